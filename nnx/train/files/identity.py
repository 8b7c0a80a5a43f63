"""Which data a model was trained on, told from other data without reading all of a file larger than memory."""

import hashlib
from typing import Any

import numpy as np

from nnx import backends
from nnx.data import Dataset
from nnx.errors import DataError

ROWS = 256


def identity(data: Dataset) -> dict[str, Any]:
    """Shape, dtype, and the SHA-256 of up to 256 rows, evenly spaced.

    >>> identity(Dataset(np.zeros((4, 2), dtype=np.float32), np.asarray([0, 1, 1, 0]), classes=("no", "yes")))["shape"]
    [4, 2]
    """
    chosen = np.linspace(0, len(data) - 1, min(ROWS, len(data))).astype(np.int64)
    digest = hashlib.sha256()
    for array in (data.x, data.y):
        if array is not None:
            rows = array[chosen, ...]
            digest.update(np.ascontiguousarray(backends.of(rows).to_numpy(rows)).tobytes())
    return {"shape": list(data.x.shape), "dtype": str(data.x.dtype), "task": data.task, "sha256": digest.hexdigest()}


def check_same(data: Dataset | None, known: Any, name: str) -> None:
    """``DataError`` unless these are the data that were identified so; ``None`` stands for no data."""
    now = data and identity(data)
    if now != known:
        was, got = _brief(known), _brief(now)
        raise DataError(
            expected=f"{name} as it was: {was}",
            got="other values in the same shape" if got == was else got,
            where="resume",
            fix="Give the data that it was trained on, split with the same seed; on other data begin a new training.",
        )


def _brief(data: Any) -> str:
    """Data that were identified so, in a few words."""
    if not isinstance(data, dict):
        return "no data"
    return f"shape {data.get('shape')} of {data.get('dtype')}, {data.get('task')}"
