"""A training in a process of its own whose address space is limited: ``python limited.py MEGABYTES SPEC BATCH DIRECTORY [yes|no [once]]``."""

import json
import re
import sys
from pathlib import Path

import numpy as np


def main(
    megabytes: int, spec: str, batch: int, directory: str, compile: bool | None = None, once: bool = False
) -> None:
    """Trains with so much more than it has after its imports; says as JSON what came of it."""
    import resource

    import nnx
    from nnx import errors

    rng = np.random.default_rng(0)
    x = rng.normal(size=(16384, 64)).astype(np.float32)
    train = nnx.data.load((x, rng.integers(0, 10, size=len(x))), task="classification")
    model = nnx.Sequential(nnx.Linear(64, 512), nnx.Tanh(), nnx.Linear(512, 512), nnx.Tanh(), nnx.Linear(512, 10))
    settings = {"optimizer": nnx.optim.SGD(0.01), "backend": spec, "compile": compile}
    few = train.take(np.arange(64))
    nnx.fit(model, few, epochs=3, batch_size=16, **settings)  # so that what a library loads late is there
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (megabytes << 20), resource.RLIM_INFINITY))
    try:
        nnx.fit(model, train, few, epochs=1, batch_size=batch, directory=directory, **settings)
        said: dict[str, object] = {"done": True}
    except errors.OutOfMemoryError as error:
        said = {"done": False, "message": str(error)}
    found = None if once else re.search(r"batch_size=(\d+)", str(said.get("message")))
    if found:
        nnx.fit(model, train, few, epochs=1, batch_size=int(found[1]), **settings)
        said["again"] = int(found[1])
    print(json.dumps(said))


if __name__ == "__main__":
    megabytes, spec, batch, directory, *how = sys.argv[1:]
    main(int(megabytes), spec, int(batch), directory, how[0] == "yes" if how else None, "once" in how)
