"""A step over shards: gradients of the parts of a batch, by as many processes as there are, summed in an order of their own.

The loss is a mean over the rows, so that of the batch is the mean of those of its shards, each weighted by its rows,
and so is the gradient. Dropout draws with a key of its own in each shard. Batch norm takes the statistics of each shard
(ghost batch norm), and the running statistics become the weighted mean of what the shards make of them. All processes
have the same sums, and take the same step.

Source: Hoffer, Hubara and Soudry (2017), Train longer, generalize better, arXiv:1705.08741, for statistics of parts of
a batch.
"""

from collections.abc import Callable
from typing import Any

from nnx.layers import Module
from nnx.train.evaluation import backend_of
from nnx.train.plans import Plans
from nnx.train.sharing.flat import Flat, flat
from nnx.train.sharing.group import Group
from nnx.train.sharing.shards import Tree, cut, own, summed
from nnx.train.step import Found, Step
from nnx.train.stepper import known
from nnx.train.updates import Updates
from nnx.typing import Array


class Sharded:
    """Steps as ``nnx.train.stepper`` takes them, over ``shards`` shards and the processes of ``group``."""

    def __init__(
        self, model: Module, loss: Callable[..., Array], shards: int, group: Group, compile: bool | None = None
    ) -> None:
        self.model, self.shards, self.group = model, shards, group
        self.records = bool(compile or (compile is None and known(model, loss)))
        # a compiled step counts at once: one as written is rounded otherwise, and who met what first must not show in the bits
        self.plans, self.updates = Plans(model, loss, trusting=True), Updates(model)
        self.backend = backend_of(model)
        self._memory = self.backend.memory()
        self._flat: Flat | None = None

    def __call__(self, optimizer: Any, state: dict[str, Any], x: Array, y: Array, seed: int, number: int) -> Step:
        """One step: the same in every process."""
        found = self.gradient(x, y, seed, number)
        with self._memory:
            return self.updates(optimizer, state, found)

    def gradient(self, x: Array, y: Array, seed: int, number: int) -> Found:
        """Of the whole batch. The gradients are valid until the next."""
        rows = int(x.shape[0])
        parts = cut(rows, self.shards)
        sizes = [part.stop - part.start for part in parts]
        mine = own(self.shards, self.group)
        if self._flat is not None:
            self._flat.begin(rows)
        tree, outputs = Tree(), []
        for k in mine:
            leaf = None
            if sizes[k]:
                flat, found = self._shard(x, y, parts[k], seed, number, k)
                outputs.append(found.outputs)
                leaf = flat.leaf(found, sizes[k] / rows)
            tree.add(leaf, self._join)
        if self._flat is None:  # nothing for this process yet: another's shard, to know what it is made of
            self._shard(x, y, parts[0], seed, number, 0)
        assert self._flat is not None
        vector = self._flat.whole(tree.total(), outputs, sum(sizes[: mine.start]), sum(sizes[mine.stop :]))
        filled = [sizes[first] > 0 for first in range(0, self.shards, len(mine))]
        return self._flat.unpacked(summed(self.group, vector, filled), rows)

    def _shard(self, x: Array, y: Array, part: slice, seed: int, number: int, shard: int) -> tuple[Flat, Found]:
        found = self._gradient(x[part, ...], y[part, ...], seed, number * self.shards + shard)
        if self._flat is None or not self._flat.fits(found):
            self._flat = flat(found, self.backend)
            self._flat.begin(int(x.shape[0]))
        return self._flat, found

    def _gradient(self, x: Array, y: Array, seed: int, number: int) -> Found:
        plan = self.plans.find(x, y, seed, number) if self.records else None
        return self.plans.gradient(plan, x, y, seed, number)

    def _join(self, left: Array, right: Array) -> Array:
        assert self._flat is not None
        return self._flat.join(left, right)
