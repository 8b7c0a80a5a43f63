"""A training on a file larger than the memory that it may take, in a process of its own."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from support.process import run_python

WIDTH = 1000

TRAIN = """
import json, resource, sys
from pathlib import Path
import numpy as np
import nnx

def status(name):
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)).split()[1]) * 1024

warm = nnx.data.load((np.zeros((64, 2), dtype="float32"), np.arange(64) % 2))
nnx.fit(nnx.Sequential(nnx.Standardize(2), nnx.Linear(2, 2)), warm, warm, epochs=1)
before, room = status("VmSize"), int(sys.argv[1]) if len(sys.argv) > 1 else ROOM
resource.setrlimit(resource.RLIMIT_AS, (before + room, before + room))
resident = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
data = nnx.data.load("x.npy")
train, val = nnx.data.split(data, (0.9, 0.1), seed=0)
model = nnx.Sequential(nnx.Standardize(data.x.shape[1]), nnx.Linear(data.x.shape[1], 2))
run = nnx.fit(model, train, val, epochs=1, batch_size=512)
said = nnx.predict(model, val, batch_size=512)
try:
    np.asarray(data.x)
    refused = ""
except nnx.errors.DataError as error:
    refused = str(error)
print(json.dumps({"kind": type(data.x).__name__, "grew": status("VmHWM") - resident, "rows": len(said), "mean": float(model.layers[0].mean[3]), "refused": refused}))
"""


def trained_within(room: int, rows: int, folder: Path) -> dict[str, Any]:
    """What came of a training on ``rows`` rows of 4 kB, most of them a hole in the file, with ``room`` bytes of address space to spare."""
    x = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype="float32", shape=(rows, WIDTH))
    x[::1000, 3] = 1000.0
    x.flush()
    np.save(folder / "y.npy", np.arange(rows) % 2)
    found: dict[str, Any] = json.loads(run_python(TRAIN.replace("ROOM", str(room)), folder, timeout=600))
    return found | {"bytes": x.nbytes}
