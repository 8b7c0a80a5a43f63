"""NumPy, on the CPU: the reference backend."""

import os
from functools import cache
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from nnx.backends.backend import Backend
from nnx.errors import BackendUnavailable
from nnx.typing import Array


@cache
def open(device: str) -> Backend:
    """The one NumPy backend."""
    if device not in ("", "cpu"):
        raise BackendUnavailable(
            expected="numpy or numpy:cpu", got=f"numpy:{device}", fix="NumPy has no other device; use cupy for a GPU."
        )
    if device:
        return open("")
    return Backend(
        name="numpy",
        spec="numpy",
        xp=xp,
        device="cpu",
        owns=lambda x: isinstance(x, np.ndarray | np.generic),
        resides=lambda x: True,
        send=lambda host: host,
        move=lambda x: x,
        fetch=np.asarray,
        describe=_describe,
    )


def of(array: Array) -> Backend:
    """Every NumPy array is on the CPU."""
    return open("")


def _describe() -> dict[str, Any]:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "version": np.__version__,
        "devices": ["cpu"],
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "threads": _threads(),
        "fused": "off",
    }


def _threads() -> int:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return os.cpu_count() or 1
