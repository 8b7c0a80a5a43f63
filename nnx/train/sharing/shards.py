"""A batch in a fixed number of shards, and sums over them in a fixed order: the same bits however many processes share the work.

Floating addition is not associative, so a sum over processes depends on their number, unless its order does not. Here
the order is a binary tree over the shards, the same for any number of processes::

    ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))

A process has a run of shards that is a whole subtree; the rest of the tree is climbed together, by pairs. A long vector
is summed in halves (each process ends with its part of the total, and then they hand the parts round), a short one
whole. Both give the sums of the tree.

Source: Rabenseifner (2004), Optimization of Collective Reduction Operations, ICCS (recursive halving and doubling); the
fixed order is ours.
"""

import operator
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nnx import backends, optim
from nnx.errors import ConfigError
from nnx.train.sharing.group import Group
from nnx.typing import Array

SHARDS = 8
"""The usual number."""

LEAST = 2
"""Rows that a shard has at least, where the batch has as many: batch norm finds no variance in one."""

LONG = 1 << 16
"""Bytes from which a vector is summed in halves."""


def check_shards(shards: Any, group: Group, batch_size: int) -> None:
    """``ConfigError`` unless the shards are a power of two, as are the processes, and a batch is enough for all."""
    if not isinstance(shards, (int, np.integer)) or isinstance(shards, bool) or shards < 1 or shards & (shards - 1):
        raise ConfigError(expected="shards a power of two", got=repr(shards), where="fit", fix="Use shards=8.")
    shards, size = int(shards), group.size
    if size & (size - 1) or size > shards:
        few = 1 << min(size, shards).bit_length() - 1
        more = f" or shards={1 << (size - 1).bit_length()}" if size > shards and not size & (size - 1) else ""
        raise ConfigError(
            expected=f"1, 2, 4, … up to {shards} processes: as many as shards, or a half, a quarter, … of that",
            got=str(size),
            where="fit",
            fix=f"Use mpiexec -n {few}{more}.",
        )
    if batch_size < LEAST * shards:
        raise ConfigError(
            expected=f"batch_size ≥ {LEAST * shards}, {LEAST} rows for each of {shards} shards",
            got=repr(batch_size),
            where="fit",
            fix=f"Use batch_size={LEAST * shards} or more.",
        )


def check_sharing(shards: int, group: Group, batch_size: int) -> None:
    """The same for a training that has begun."""
    if shards:
        check_shards(shards, group, batch_size)
    elif group.size > 1:
        raise ConfigError(
            expected="one process, for a training that was begun without shards",
            got=f"{group.size} processes",
            where="resume",
            fix="Leave mpiexec away.",
        )


def check_optimizer(optimizer: Any) -> None:
    """``ConfigError`` for what has no steps of batches."""
    if isinstance(optimizer, optim.LBFGS):
        raise ConfigError(
            expected="with shards, an optimizer that takes a step for every batch",
            got="L-BFGS",
            where="fit",
            fix="Use Adam, or train in one process without shards.",
        )


def cut(rows: int, shards: int) -> list[slice]:
    """Which rows each shard has: all nearly the same number, the longer ones first; of a short batch the last shards get none.

    >>> [part.stop - part.start for part in cut(29, 8)]
    [4, 4, 4, 4, 4, 3, 3, 3]
    >>> [part.stop - part.start for part in cut(5, 4)]
    [3, 2, 0, 0]
    """
    filled = max(min(shards, rows // LEAST), 1)
    base, longer = divmod(rows, filled)
    ends = [0]
    for number in range(shards):
        ends.append(ends[-1] + (base + (number < longer) if number < filled else 0))
    return [slice(a, b) for a, b in pairwise(ends)]


def own(shards: int, group: Group) -> range:
    """The shards of this process."""
    each = shards // group.size
    return range(group.rank * each, (group.rank + 1) * each)


class Tree:
    """The sum of vectors that come one after the other, in the order of the tree: no more of them wait than it has levels."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, Array | None]] = []

    def add(self, vector: Array | None, join: Callable[[Array, Array], Array] = operator.add) -> None:
        """The next one; None for a shard without rows, which adds nothing."""
        level = 0
        while self.waiting and self.waiting[-1][0] == level:
            left = self.waiting.pop()[1]
            vector = left if vector is None else join(left, vector)  # the shards with rows come first
            level += 1
        self.waiting.append((level, vector))

    def total(self) -> Array | None:
        """The sum, once all have come; their number is a power of two."""
        ((_, total),) = self.waiting
        return total


def summed(group: Group, vector: Array, filled: Sequence[bool]) -> Array:
    """The sum over the processes of a flat vector each, up the tree. ``filled``: which processes have rows; the others'
    vectors do not count.

    The vector may be on the host, or where the group can carry it; there it is overwritten.
    """
    if group.size == 1:
        return vector
    if not group.carries(vector):
        backend = backends.of(vector)
        return backend.asarray(summed(group, np.array(backend.to_numpy(vector)), filled))
    xp = backends.of(vector).xp
    return (_whole if vector.nbytes < LONG else _halved)(group, xp, vector, filled)


def _joined(group: Group, level: int, mine: Array, theirs: Array, filled: Sequence[bool]) -> Array:
    """The sum of two subtrees of 2^level processes; what is right of nothing but rows has rows itself, so only the right may be empty."""
    step = 1 << level
    first = group.rank & ~(2 * step - 1)
    left, right = (theirs, mine) if group.rank & step else (mine, theirs)
    return left + right if filled[first + step] else left


def _whole(group: Group, xp: Any, total: Array, filled: Sequence[bool]) -> Array:
    for level in range(group.size.bit_length() - 1):
        theirs = xp.empty_like(total)
        group.swap(group.rank ^ (1 << level), total, theirs)
        total = _joined(group, level, total, theirs, filled)
    return total


def _halved(group: Group, xp: Any, total: Array, filled: Sequence[bool]) -> Array:
    bounds, levels = [(0, int(total.shape[0]))], group.size.bit_length() - 1
    for level in range(levels):  # a part half as long at each level, summed over twice as many
        start, end = bounds[-1]
        middle, peer = (start + end) // 2, group.rank ^ (1 << level)
        upper = bool(group.rank & (1 << level))
        keep, give = ((middle, end), (start, middle)) if upper else ((start, middle), (middle, end))
        theirs = xp.empty_like(total[keep[0] : keep[1]])
        group.swap(peer, total[give[0] : give[1]], theirs)
        mine = total[keep[0] : keep[1]]
        if xp is backends.get("numpy").xp and filled[(group.rank & ~((2 << level) - 1)) + (1 << level)]:
            np.add(*((theirs, mine) if upper else (mine, theirs)), out=mine)  # the same, without a new array
        else:
            total[keep[0] : keep[1]] = _joined(group, level, mine, theirs, filled)
        bounds.append(keep)
    for level in reversed(range(levels)):  # and back
        (start, end), (low, high) = bounds[level], bounds[level + 1]
        given = slice(start, low) if low > start else slice(high, end)
        group.swap(group.rank ^ (1 << level), total[low:high], total[given])
    return total
