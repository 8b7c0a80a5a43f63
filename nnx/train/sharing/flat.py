"""What shards give, end to end in one vector: so it is weighted, summed and sent at once."""

from itertools import accumulate, pairwise
from math import prod

import numpy as np

from nnx import backends
from nnx.errors import StateError
from nnx.train.step import Found
from nnx.typing import Array


class Flat:
    """Loss, buffers and gradients in one vector, in the widest of their dtypes, and behind them the outputs of the whole batch.

    By plain functions of arrays, on any backend. Errors: ``StateError`` for a buffer that is no floating array.
    """

    def __init__(self, found: Found, backend: backends.Backend) -> None:
        self.xp, self.backend = backend.xp, backend
        odd = [path for path, array in found.buffers.items() if not self.xp.isdtype(array.dtype, "real floating")]
        if odd:
            raise StateError(
                expected="with shards, buffers of which the mean over the shards makes sense",
                got=f"{odd[0]} of dtype {found.buffers[odd[0]].dtype}",
                where="fit",
                fix="Make it a floating array, or train without shards.",
            )
        self.moved, self.trained = list(found.buffers), list(found.grads)
        self.shapes = [tuple(array.shape) for array in found.arrays]
        self.dtypes = [array.dtype for array in found.arrays]
        self.dtype = self.xp.result_type(*self.dtypes, found.outputs.dtype)
        self.bounds = list(pairwise([0, *accumulate(map(prod, self.shapes))]))
        self.length = self.bounds[-1][1]
        self.row, self.out_dtype = tuple(found.outputs.shape[1:]), found.outputs.dtype

    def fits(self, found: Found) -> bool:
        """Whether this is how such results are laid out."""
        return (list(found.buffers), list(found.grads)) == (self.moved, self.trained)

    def begin(self, rows: int) -> None:
        """A batch of so many rows: what was given of the last one may be overwritten."""

    def leaf(self, found: Found, weight: float) -> Array:
        """The vector of one shard, times its weight."""
        return self.xp.concat([self._flat(array) for array in found.arrays]) * weight

    def join(self, left: Array, right: Array) -> Array:
        """The sum of two vectors."""
        return left + right

    def whole(self, total: Array | None, outputs: list[Array], before: int, after: int) -> Array:
        """The vector with the outputs that are known here behind it, and zeros for the rows before and after them."""
        total = self._zeros(self.length) if total is None else total
        each = prod(self.row)
        known = [self._flat(out) for out in outputs]
        return self.xp.concat([total, self._zeros(before * each), *known, self._zeros(after * each)])

    def unpacked(self, vector: Array, rows: int) -> Found:
        """What the vector of the whole batch holds. The gradients are valid until the next :meth:`begin`."""
        loss, *pieces = (
            self.xp.astype(self.xp.reshape(vector[a:b], shape), dtype, copy=False)
            for (a, b), shape, dtype in zip(self.bounds, self.shapes, self.dtypes)
        )
        outputs = self.xp.reshape(vector[self.length :], (rows, *self.row))
        outputs = self.xp.astype(outputs, self.out_dtype, copy=False)
        count = len(self.moved)
        return Found(loss, outputs, dict(zip(self.trained, pieces[count:])), dict(zip(self.moved, pieces[:count])))

    def _flat(self, array: Array) -> Array:
        wide = array if array.dtype == self.dtype else self.xp.astype(array, self.dtype)
        return self.xp.reshape(wide, (-1,))

    def _zeros(self, count: int) -> Array:
        return self.xp.zeros((count,), dtype=self.dtype, device=self.backend.device)


class HostFlat(Flat):
    """The same on NumPy, bit for bit, in vectors that are used again: a new one costs more than what is written into it."""

    def __init__(self, found: Found, backend: backends.Backend) -> None:
        super().__init__(found, backend)
        self._all: list[np.ndarray] = []
        self._free: list[np.ndarray] = []

    def begin(self, rows: int) -> None:
        """All vectors are free, if they are long enough."""
        if self._all and self._all[0].size < self.length + rows * prod(self.row):
            self._all = []
        self._free, self._rows = list(self._all), rows

    def leaf(self, found: Found, weight: float) -> np.ndarray:
        """Written into a free vector."""
        vector = self._take()
        for array, (a, b), shape in zip(found.arrays, self.bounds, self.shapes):
            np.multiply(array, weight, out=vector[a:b].reshape(shape), dtype=self.dtype)
        return vector

    def join(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Into the left one."""
        np.add(left[: self.length], right[: self.length], out=left[: self.length])
        self._free.append(right)
        return left

    def whole(self, total: np.ndarray | None, outputs: list[Array], before: int, after: int) -> np.ndarray:
        """Behind the sum, in the same vector."""
        if total is None:
            total = self._take()
            total[: self.length] = 0.0
        each, end = prod(self.row), self.length
        tail = total[end : end + self._rows * each]
        tail[: before * each] = 0.0
        tail[tail.size - after * each :] = 0.0
        for out in outputs:
            start = before * each
            tail[start : start + out.size] = out.reshape(-1)
            before += int(out.shape[0])
        return total[: end + tail.size]

    def unpacked(self, vector: np.ndarray, rows: int) -> Found:
        """All but the gradients is copied: it stays."""
        found = super().unpacked(vector, rows)
        buffers = {path: array.copy() for path, array in found.buffers.items()}
        return Found(found.loss.copy(), found.outputs.copy(), found.grads, buffers)

    def _take(self) -> np.ndarray:
        if self._free:
            return self._free.pop()
        made = np.empty(self.length + self._rows * prod(self.row), dtype=self.dtype)
        self._all.append(made)
        return made


def flat(found: Found, backend: backends.Backend) -> Flat:
    """The layout for such results."""
    host = all(type(array) is np.ndarray for array in found.arrays)
    return (HostFlat if host else Flat)(found, backend)
