"""An element-wise rule over many NumPy arrays, small ones joined end to end, since each call costs more than its work.

Within ``with Memory():`` results are written into arrays whose last holder has gone, so that a training step asks the
system for nothing; what was cut from one array is known again when it comes back, and there is nothing to join. BLAS takes
one thread meanwhile: large work is shared among those of :mod:`nnx.backends.fast.crew`.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import prod
from operator import is_
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from nnx.backends import portable
from nnx.backends.fast import crew
from nnx.backends.fast.compiled import loop_of
from nnx.backends.portable.each import SMALL, grouped
from nnx.typing import Array, Namespace

BLOCK = 32_768
"""Elements of a rule's arrays that are taken at once where it is not compiled: some hundred kilobytes each."""

Shapes = tuple[tuple[int, ...], ...]


def each(
    rule: Callable[..., Any], xp: Namespace, columns: Sequence[Sequence[Array]], numbers: Sequence[float]
) -> list[list[Array]]:
    """The ``each`` hook of NumPy: the default's values bit for bit, since the rule is element by element."""
    first = columns[0]
    dtype = first[0].dtype
    for column in columns:
        for array in column:
            if type(array) is not np.ndarray or array.dtype != dtype:
                return portable.each(rule, xp, columns, numbers)
    small = [i for i, array in enumerate(first) if array.size <= SMALL]
    if (
        len(small) == len(first) or known(columns[1]) is not None
    ):  # gradients that a recorded step has made lie together
        return _rows(rule, xp, columns, numbers)
    return grouped(lambda part: _rows(rule, xp, part, numbers), columns, small)


def _rows(rule: Any, xp: Any, columns: Sequence[Sequence[Array]], numbers: Sequence[float]) -> list[list[Array]]:
    """The rule on these rows as if they were one."""
    shapes = tuple([array.shape for array in columns[0]])
    memory = getattr(_current, "memory", None) or Memory()
    args = [*map(joined, columns), *numbers]
    loop = loop_of(rule, args)
    if loop is not None:
        sets = memory.take(shapes, args[0].dtype, loop.outputs)
        loop.into([made.flat for made in sets], args)
    else:
        sets = _in_blocks(rule, xp, args, shapes, memory)
    return [list(made.pieces) for made in sets]


def _in_blocks(rule: Any, xp: Any, args: list[Any], shapes: Shapes, memory: "Memory") -> list["Set"]:
    """The rule as it is written, on parts that stay in the cache from its first operation to its last."""
    size = args[0].size

    def results(part: slice) -> Any:
        return rule(xp, *[arg[part] if type(arg) is np.ndarray else arg for arg in args])

    first = results(slice(0, BLOCK))
    sets = memory.take(shapes, args[0].dtype, len(first))

    def some(start: int, stop: int) -> None:
        for at in range(start, stop, BLOCK):
            part = slice(at, min(at + BLOCK, stop))
            for made, result in zip(sets, results(part)):
                np.copyto(made.flat[part], result)

    for made, result in zip(sets, first):
        np.copyto(made.flat[:BLOCK], result)
    crew.share(some, [(BLOCK + part.start, BLOCK + part.stop) for part in crew.cut(max(size - BLOCK, 0), 8 * BLOCK)])
    return sets


def joined(arrays: Sequence[Array]) -> Array:
    """The arrays end to end: what they were cut from, if they are its pieces."""
    whole = known(arrays)
    if whole is not None:
        return whole.flat
    return np.concatenate([array.reshape(-1) for array in arrays]) if len(arrays) > 1 else arrays[0].reshape(-1)


def known(arrays: Sequence[Array]) -> "Set | None":
    """What the arrays were cut from, if they are all of it."""
    made = beginning(id(arrays[0]))
    return made if made and len(made.pieces) == len(arrays) and all(map(is_, made.pieces, arrays)) else None


def beginning(identity: int) -> "Set | None":
    """The living set whose first piece is the array with this identity."""
    return _by_piece.get(identity)


class Memory:
    """Arrays to write results into, over and over: each is taken when nobody else holds it or a part of it any more.

    For one thread at a time. Where reference counts cannot be trusted (free-threaded Python) nothing is used again.
    """

    def __init__(self) -> None:
        self._sets: dict[tuple[Shapes, Any], list[Set]] = {}

    def __enter__(self) -> "Memory":
        crew.one_blas_thread.__enter__()
        self._before = getattr(_current, "memory", None)
        _current.memory = self
        return self

    def __exit__(self, *_: Any) -> None:
        _current.memory = self._before
        crew.one_blas_thread.__exit__()

    def take(self, shapes: Shapes, dtype: Any, count: int = 1) -> list["Set"]:
        """So many sets of arrays of these shapes, their values whatever they are."""
        kept = self._sets.setdefault((shapes, dtype), [])
        found = [made for made in kept if made.idle()][:count] if COUNTED else []
        if len(found) < count:  # the arrays may be grouped in another way from now on
            for other in self._sets.values():
                if other is not kept:
                    other[:] = [made for made in other if not made.idle()]
        for _ in range(count - len(found)):
            found.append(Set(shapes, dtype))
            if COUNTED:
                kept.append(found[-1])
        return found


class Set:
    """One array, and the pieces that it is cut into; as long as it lives, its pieces are known."""

    __slots__ = ("__weakref__", "_idle", "flat", "pieces", "shapes")

    def __init__(self, shapes: Shapes, dtype: Any) -> None:
        ends = list(accumulate(map(prod, shapes)))
        self.shapes = shapes
        self.flat = np.empty(ends[-1], dtype)
        self.pieces = [self.flat[end - prod(shape) : end].reshape(shape) for end, shape in zip(ends, shapes)]
        self._idle: list[int] = []
        self._idle = self._holders()
        _by_piece[id(self.pieces[0])] = self

    def _holders(self) -> list[int]:
        return [sys.getrefcount(self.flat), *map(sys.getrefcount, self.pieces)]

    def idle(self) -> bool:
        """Whether nobody holds a reference that was not there when it was made."""
        return self._holders() == self._idle

    def holders(self, by: Sequence[int]) -> list[int]:
        """What :meth:`held` is asked: the whole held by nobody else, each piece by so many."""
        whole, *pieces = self._idle
        return [whole, *(count + more for count, more in zip(pieces, by, strict=True))]

    def held(self, holders: list[int]) -> bool:
        """Whether there are these holders and no others."""
        return self._holders() == holders


COUNTED = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
_current = threading.local()
_by_piece: WeakValueDictionary[int, Set] = WeakValueDictionary()
"""The living sets by the identity of their first piece."""
