"""Named arrays in one safetensors file: the only place that touches the library.

safetensors stores an array that is not C-contiguous or not little-endian wrongly, without a word; :func:`stored` sees
that it never gets one. A file is written beside its place and renamed, so a reader finds the old one or the new one.
"""

import io
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nnx.data.limits import claim
from nnx.errors import DataError

HEADER_LIMIT = 8 << 20
ARRAY_LIMIT = 100_000


def stored(array: Any) -> np.ndarray[Any, Any]:
    """``array`` as a C-contiguous little-endian host array of the same shape and values.

    >>> stored(np.asarray([[1.0, 2.0], [3.0, 4.0]]).T).flags.c_contiguous
    True
    """
    x: np.ndarray[Any, Any] = np.asarray(array, order="C")
    if x.dtype.byteorder == ">" or (x.dtype.byteorder == "=" and not np.little_endian):
        x = x.astype(x.dtype.newbyteorder("<"))
    return x


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Write host arrays and texts to ``path``, whole or not at all."""
    write_whole(path, packed(arrays, metadata))


def packed(arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    """Host arrays and texts as the bytes of a safetensors file, the same bytes for the same contents.

    The library writes the texts in an order of chance; here they stand in the order of their names.
    """
    from safetensors.numpy import save

    data = save({name: stored(array) for name, array in arrays.items()}, metadata=dict(metadata))
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that the arrays begin where a processor likes them to
    return struct.pack("<Q", len(text)) + text + bytes(memoryview(data)[end:])


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file beside its place, make sure it is on the disk, then rename it."""
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """The arrays and texts of a file. ``DataError`` for anything that is not a whole safetensors file."""
    source = Path(path)
    try:
        with open(source, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            metadata = _header(source, file, size)
        claim(size, str(source))
        data = source.read_bytes()
    except OSError as error:
        raise DataError(
            expected="a model file", got=f"{error.strerror}", where=str(source), fix="Check the path."
        ) from None
    return _arrays(data, source), metadata


def unpacked(data: bytes, source: Path) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """The same of the bytes of a file, which was read from ``source``."""
    metadata = _header(source, io.BytesIO(data), len(data))
    return _arrays(data, source), metadata


def _arrays(data: bytes, source: Path) -> dict[str, np.ndarray[Any, Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(data))
    except KeyError:
        return _widened(data, source)
    except (SafetensorError, ValueError) as error:
        raise _broken(source, str(error)) from None


def _widened(data: bytes, source: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a file with numbers that NumPy lacks: bfloat16 is the upper half of float32, and comes as that."""
    import safetensors

    unpack: Any = safetensors.deserialize
    arrays = {}
    for name, told in unpack(data):
        kind = told["dtype"]
        if kind == "BF16":
            halves = np.frombuffer(told["data"], dtype="<u2").astype("<u4")
            flat: np.ndarray[Any, Any] = (halves << 16).view("<f4")
        elif kind in _KINDS:
            flat = np.frombuffer(told["data"], dtype=_KINDS[kind]).copy()
        else:
            raise DataError(
                expected=f"numbers of a type that NumPy has, or BF16: {', '.join(_KINDS)}",
                got=f"{kind} for {name}",
                where=str(source),
                fix="Convert them to float32 where the file was written.",
            )
        arrays[name] = flat.reshape(told["shape"])
    return arrays


_KINDS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?", "C64": "<c8",
}  # fmt: skip


def _header(source: Path, file: BinaryIO, size: int) -> dict[str, str]:
    """The metadata, after the header was found to be of sane size, without duplicate names or absurd shapes."""
    try:
        lead = file.read(8)
        length = struct.unpack("<Q", lead)[0] if len(lead) == 8 else -1
        if not 0 <= length <= min(HEADER_LIMIT, size - 8):
            raise _broken(source, f"a header of {length} bytes in a file of {size}")
        header = json.loads(file.read(length), object_pairs_hook=lambda pairs: _unique(pairs, source))
    except DataError:
        raise
    except (ValueError, RecursionError):  # a number of more than 4300 digits is a ValueError of no other name
        raise _broken(source, "a header that is not JSON") from None
    if not isinstance(header, dict) or len(header) > ARRAY_LIMIT:
        raise _broken(source, "no table of arrays")
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _broken(source, "metadata that is not text")
    return metadata


def _unique(pairs: list[tuple[str, Any]], source: Path) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise _broken(source, "a name that stands twice")
    return table


def _broken(source: Path, why: str) -> DataError:
    return DataError(
        expected="a whole safetensors file", got=why, where=str(source), fix="Copy it again, or take an earlier one."
    )
