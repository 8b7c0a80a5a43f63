"""Rows that live on a device: batches are gathered there, and only what is asked for comes to the host."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nnx import backends
from nnx.errors import ShapeError
from nnx.typing import Array

BLOCK = 1 << 21
"""Values that are looked at together."""


class Resident:
    """The inputs (N, …) of a data set as an array of a backend.

    It has the shape, length and (as NumPy's) dtype of its array. Indexed by a slice or by row numbers on the host it
    gives rows on the device; :meth:`blocks` is how they come to the host, some at a time. It is made of finite numbers
    only (see ``nnx.estimators.arrays.check_rows``).

    >>> import nnx
    >>> x = Resident(nnx.backends.get("strict:device1").asarray(np.arange(6.0).reshape(3, 2)))
    >>> x, x[np.asarray([2, 0]), ...].device
    (Resident(3 rows of (2,) float64 on strict:device1), array_api_strict.Device('device1'))
    """

    finite = True

    def __init__(self, array: Array) -> None:
        self.array, self.backend = array, backends.of(array)
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype = np.dtype(backends.dtype_name(array.dtype))
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Resident({len(self)} rows of {self.shape[1:]} {self.dtype} on {self.backend.spec})"

    def __getitem__(self, key: Any) -> Array:
        chosen = key[0] if isinstance(key, tuple) else key
        if isinstance(chosen, slice):
            start, stop, step = chosen.indices(len(self))  # the standard knows no slice beyond the end
            return self.array[start:stop:step, ...]
        with self.backend.use():
            return self.backend.xp.take(self.array, self._numbers(chosen), axis=0)

    def take(self, index: np.ndarray[Any, Any]) -> "Resident":
        """Some of the rows, on the device."""
        return Resident(self[index])

    def reshape(self, *shape: int) -> "Resident":
        """The same rows in another shape."""
        if shape[0] not in (-1, len(self)):
            raise ShapeError(
                expected=f"a shape of {len(self)} rows", got=str(shape), where="reshape", fix="Rows stay rows."
            )
        with self.backend.use():
            return Resident(self.backend.xp.reshape(self.array, (len(self), *shape[1:])))

    def pieces(self) -> Iterator[Array]:
        """All rows in their order on the device, about two million values at a time."""
        step = max(1, BLOCK * len(self) // max(1, self.size))
        return (self[start : start + step] for start in range(0, len(self), step))

    def blocks(self) -> Iterator[np.ndarray[Any, Any]]:
        """The same on the host."""
        return map(self.backend.to_numpy, self.pieces())

    def _numbers(self, index: Any) -> Array:
        narrow = self.backend.refuses("int64")
        return self.backend.asarray(np.asarray(index), dtype="int32" if narrow else "int64")
