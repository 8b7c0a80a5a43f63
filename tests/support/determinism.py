"""The same training in this process and in others, with other hash seeds and other settings of the machine."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parent.parent
FLAGS = ("digits", "--model", "mlp:256", "--batch-size", "256", "--epochs", "1", "--check", "off", "--no-record")
"""A training whose products are large enough for two threads and two kernels to sum them in other orders."""
OTHER = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "OPENBLAS_CORETYPE": "Haswell"}, {
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Prescott",
}  # fmt: skip
"""Two machines, as BLAS sees them."""


def sha(model: Any) -> str:
    """The SHA-256 of all arrays of a model."""
    from nnx import backends

    digest = hashlib.sha256()
    for path, array in model.state().items():
        digest.update(path.encode() + np.ascontiguousarray(backends.of(array).to_numpy(array)).tobytes())
    return digest.hexdigest()


def trained(spec: str, epochs: int = 2) -> str:
    """What a small training with everything that draws and adapts ends with."""
    import nnx

    rows = nnx.data.split(nnx.data.load("digits"), (0.2, 0.8), seed=0)[0]
    model = nnx.Sequential(
        nnx.Standardize(64), nnx.Linear(64, 32), nnx.BatchNorm(32), nnx.ReLU(), nnx.Dropout(0.3), nnx.Linear(32, 10)
    )
    run = nnx.fit(model, rows, optimizer=nnx.optim.Adam(1e-2), epochs=epochs, batch_size=64, seed=3, backend=spec)
    return sha(run.model)


def elsewhere(spec: str, **settings: str) -> str:
    """:func:`trained` in a process of its own with a hash seed of chance."""
    code = f"import sys; sys.path.append({str(TESTS)!r}); from support.determinism import trained; print(trained({spec!r}))"
    return _run(["-c", code], Path.cwd(), settings).split()[-1]


def command(place: Path, *arguments: str, settings: dict[str, str] | None = None) -> tuple[str, str]:
    """``nnx`` in a process of its own, in the folder ``place``: what it said, and the SHA-256 of the model it left in ``run``."""
    place.mkdir(parents=True, exist_ok=True)
    said = _run(["-m", "nnx", *arguments], place, settings or {})
    return said, hashlib.sha256((place / "run" / "model.safetensors").read_bytes()).hexdigest()


def _run(arguments: list[str], place: Path, settings: dict[str, str]) -> str:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("NNX_DETERMINISTIC", "NNX_RESTARTED")
    }
    done = subprocess.run(
        [sys.executable, "-P", *arguments], cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=300, env=environment | {"MPLBACKEND": "Agg", "PYTHONHASHSEED": "random"} | settings,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
