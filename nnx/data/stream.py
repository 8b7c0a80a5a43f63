"""Rows that stay where they are until they are asked for: data larger than memory.

A memory map would do, but for three things: it counts as the process's memory, so a limit (RLIMIT_AS) forbids it; what
it has read stays resident; and a file that is cut while it is mapped ends the process. Rows are read with ``pread``
instead, in the order of the file.
"""

import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nnx.data.limits import claim, fits
from nnx.data.resident import Resident
from nnx.errors import DataError, ShapeError

BLOCK = 1 << 21
"""Values that are looked at together."""

_UNASKED = 16 << 20  # bytes below which nobody asks what memory there is


class Source(Protocol):
    """Where rows come from."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def rows(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """The rows start ≤ i < stop."""


class FileRows:
    """Rows of one array in a file, C-ordered, from a byte on."""

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path, self.offset, self.shape, self.dtype = path, offset, shape, dtype
        self._width = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._close = weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> tuple[Any, ...]:
        return FileRows, (self.path, self.offset, self.shape, self.dtype)

    def rows(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """The rows start ≤ i < stop. ``DataError`` if the file has become shorter."""
        wanted = (stop - start) * self._width
        data = self._bytes(self.offset + start * self._width, wanted)
        if len(data) != wanted:
            raise DataError("the file changed while it was read", where=str(self.path), fix="Load it again.")
        return np.frombuffer(data, dtype=self.dtype).reshape(stop - start, *self.shape[1:])

    def _bytes(self, at: int, count: int) -> bytes:
        pieces = []
        while count:
            if hasattr(os, "pread"):
                piece = os.pread(self._file, count, at)
            else:
                os.lseek(self._file, at, os.SEEK_SET)
                piece = os.read(self._file, count)
            if not piece:
                break
            pieces.append(piece)
            at, count = at + len(piece), count - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class ArrayRows:
    """Rows of an array in memory, or of a memory map."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def rows(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """A view of the rows start ≤ i < stop."""
        return self.array[start:stop]


class Streamed:
    """Some rows of a source, perhaps in another shape and dtype, read when they are asked for.

    It has the shape, dtype and length of an array, and gives one when it is indexed: ``x[3]``, ``x[10:20]``, ``x[[5,
    1], ...]``. ``numpy.asarray(x)`` reads it whole. Errors: ``DataError`` where that would take more than half of the
    free memory.

    >>> x = Streamed(ArrayRows(np.arange(6).reshape(3, 2))).take(np.asarray([2, 0]))
    >>> x, x[0], x[:, 1]
    (Streamed(2 rows of (2,) int64), array([4, 5]), array([5, 1]))
    """

    def __init__(
        self, source: Source, index: np.ndarray[Any, Any] | None = None, row: Any = None, dtype: Any = None
    ) -> None:
        self._source, self._index = source, index
        self.shape: tuple[int, ...] = (
            source.shape[0] if index is None else len(index),
            *(source.shape[1:] if row is None else row),
        )
        self.dtype = np.dtype(dtype or source.dtype.newbyteorder("="))
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape, dtype=np.int64))
        self.nbytes = self.size * self.dtype.itemsize
        self.finite: bool = False
        """Whether every value was seen to be finite."""

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Streamed({len(self)} rows of {self.shape[1:]} {self.dtype})"

    def __getitem__(self, key: Any) -> np.ndarray[Any, Any]:
        chosen, *rest = key if isinstance(key, tuple) and key else (key,)
        if isinstance(chosen, (int, np.integer)):
            number = range(len(self))[chosen]
            row: np.ndarray[Any, Any] = self._read(np.asarray([number]))[0]
            return row[tuple(rest)] if rest else row
        if chosen is Ellipsis and not rest:
            chosen = slice(None)
        if isinstance(chosen, slice) and chosen.step in (None, 1):
            start, stop, _ = chosen.indices(len(self))
            values = self._read(slice(start, max(start, stop)))
        else:
            values = self._read(np.arange(len(self))[chosen])
        return values[(slice(None), *rest)] if rest else values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return self[:]  # in its own dtype: NumPy converts it

    def __iter__(self) -> Iterator[np.ndarray[Any, Any]]:
        for block in self.blocks():
            yield from block

    def blocks(self) -> Iterator[np.ndarray[Any, Any]]:
        """All rows in their order, about two million values at a time."""
        step = max(1, BLOCK * len(self) // max(1, self.size))
        for start in range(0, len(self), step):
            yield self[start : start + step]

    def take(self, index: np.ndarray[Any, Any]) -> "Streamed":
        """Some of the rows; none is read."""
        index = np.asarray(index, dtype=np.int64)
        return self._like(
            Streamed(self._source, index if self._index is None else self._index[index], self.shape[1:], self.dtype)
        )

    def astype(self, dtype: Any) -> "Streamed":
        """The same rows, converted when they are read."""
        return self._like(Streamed(self._source, self._index, self.shape[1:], dtype))

    def reshape(self, *shape: int) -> "Streamed":
        """The same rows in another shape."""
        if (
            len(shape) < 1
            or shape[0] not in (-1, len(self))
            or int(np.prod(shape[1:], dtype=np.int64)) * len(self) != self.size
        ):
            raise ShapeError(
                expected=f"a shape of {len(self)} rows", got=str(shape), where="reshape", fix="Rows stay rows."
            )
        return self._like(Streamed(self._source, self._index, shape[1:], self.dtype))

    def _like(self, other: "Streamed") -> "Streamed":
        other.finite = self.finite
        return other

    def _read(self, chosen: slice | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        count = chosen.stop - chosen.start if isinstance(chosen, slice) else len(chosen)
        needed = count * self.nbytes // max(1, len(self))
        if needed > _UNASKED:
            claim(needed, repr(self))
        if self._index is None and isinstance(chosen, slice):
            found = self._source.rows(chosen.start, chosen.stop)
        else:
            found = self._gather(chosen if self._index is None else self._index[chosen])
        return found.astype(self.dtype).reshape(count, *self.shape[1:])

    def _gather(self, index: Any) -> np.ndarray[Any, Any]:
        """Rows by number, read in the order in which they lie, neighbours together."""
        out = np.empty((len(index), *self._source.shape[1:]), dtype=self._source.dtype)
        order = np.argsort(index, kind="stable")
        lying = index[order]
        starts = np.flatnonzero(np.diff(lying, prepend=-2) != 1)
        for start, stop in zip(starts, [*starts[1:], len(lying)]):
            out[order[start:stop]] = self._source.rows(int(lying[start]), int(lying[stop - 1]) + 1)
        return out


def rows_at(x: Any, index: np.ndarray[Any, Any]) -> Any:
    """Some rows of host inputs that were seen to be finite: a copy, or where that is large, a view that reads them when they are asked for."""
    if isinstance(x, (Streamed, Resident)):
        return x.take(index)
    needed = len(index) * x.nbytes // max(1, len(x))
    if needed > _UNASKED and not fits(needed):
        view = Streamed(ArrayRows(x)).take(index)
        view.finite = True
        return view
    return x[index, ...]


def in_blocks(x: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Rows on the host in their order, about two million values at a time."""
    if isinstance(x, (Streamed, Resident)):
        return x.blocks()
    step = max(1, BLOCK * len(x) // max(1, x.size))
    return (x[start : start + step] for start in range(0, len(x), step))
