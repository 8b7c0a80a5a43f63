"""Data larger than memory: trained on within a limit that the file exceeds three times."""

import json
import sys

import numpy as np
import pytest
from support.process import run_python

ROWS, WIDTH = 75_000, 1000  # 300 MB of float32
ROOM = 95 << 20

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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and figures of memory are Linux's")
def test_a_file_of_three_times_the_memory_is_trained_on(tmp_path):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype="float32", shape=(ROWS, WIDTH))
    x[::1000, 3] = 1000.0  # the rest is a hole of zeros
    x.flush()
    np.save(tmp_path / "y.npy", np.arange(ROWS) % 2)
    found = json.loads(run_python(TRAIN.replace("ROOM", str(ROOM)), tmp_path))
    assert (found["kind"], found["rows"]) == ("Streamed", ROWS // 10)
    assert found["grew"] < ROOM < x.nbytes / 3
    assert found["mean"] == pytest.approx(1.0, abs=0.15)
    assert "half of the free memory" in found["refused"]
