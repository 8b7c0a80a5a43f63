"""Files for the readers, written the way other programs write them."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

IDX_TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    code = IDX_TYPES[array.dtype.str[1:]]
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    """``write("name", content)``: text, bytes, an array as IDX, a function of the IDX writer, or keyword arrays as NPZ; ``.gz`` is packed."""

    def write(name: str, content: Any = None, **arrays: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if arrays:
            np.savez(path, **arrays)
            return path
        if callable(content):
            content = content(idx_bytes)
        if isinstance(content, np.ndarray):
            content = idx_bytes(content)
        raw = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return write
