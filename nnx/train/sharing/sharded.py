"""A step over shards: gradients of the parts of a batch, by as many processes as there are, summed in an order of their own.

The loss is a mean over the rows, so that of the batch is the mean of those of its shards, each weighted by its rows, and so is the gradient.
Dropout draws with a key of its own in each shard. Batch norm takes the statistics of each shard (ghost batch norm), and the running statistics become
the weighted mean of what the shards make of them. All processes have the same sums, and take the same step.

Source: Hoffer, Hubara and Soudry (2017), Train longer, generalize better, arXiv:1705.08741, for statistics of parts of a batch.
"""

from collections.abc import Callable
from typing import Any

from nnx.layers import Module
from nnx.layers.places import Places
from nnx.train.evaluation import backend_of
from nnx.train.plans import Plans
from nnx.train.sharing.flat import Flat, flat
from nnx.train.sharing.group import Group
from nnx.train.sharing.shards import Tree, cut, own, summed
from nnx.train.step import Found, Step, gradient
from nnx.train.stepper import known
from nnx.typing import Array


class Gradients:
    """The gradient of a shard: as it is written, or replayed where that is known to be the same (see ``nnx.train.stepper``)."""

    def __init__(self, model: Module, loss: Callable[..., Array], compile: bool | None) -> None:
        self.model, self.loss = model, loss
        self.records = bool(compile or (compile is None and known(model, loss)))
        # a compiled step counts at once: one as written is rounded otherwise, and who met what first must not show in the bits
        self.plans = Plans(model, loss, trusting=True)

    def __call__(self, x: Array, y: Array, seed: int, number: int) -> Found:
        """Of one shard."""
        plan = self.plans.find(x, y, seed, number) if self.records else None
        if plan is None:
            return gradient(self.model, self.loss, x, y, seed, number)
        found = plan.found(*plan.run(x, y, seed, number)[1:])
        return found if plan.trusted else self.plans.compared(plan, found, x, y, seed, number)


class Sharded:
    """Steps as ``nnx.train.stepper`` takes them, over ``shards`` shards and the processes of ``group``."""

    def __init__(
        self, model: Module, loss: Callable[..., Array], shards: int, group: Group, compile: bool | None = None
    ) -> None:
        self.model, self.shards, self.group = model, shards, group
        self.gradients = Gradients(model, loss, compile)
        self.backend = backend_of(model)
        self._memory = self.backend.memory()
        self._flat: Flat | None = None
        self._places = Places(model, [])

    def __call__(self, optimizer: Any, state: dict[str, Any], x: Array, y: Array, seed: int, number: int) -> Step:
        """One step: the same in every process."""
        found = self.gradient(x, y, seed, number)
        params = self.model.parameters()
        with self._memory:
            params, state = optimizer.update(found.grads, state, params)
        if not self._places.fit():
            self._places = Places(self.model, [])
        self._places.put(params)
        self._places.put(found.buffers)
        return Step(found.loss, found.outputs, params, state)

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
        found = self.gradients(x[part, ...], y[part, ...], seed, number * self.shards + shard)
        if self._flat is None or not self._flat.fits(found):
            self._flat = flat(found, self.backend)
            self._flat.begin(int(x.shape[0]))
        return self._flat, found

    def _join(self, left: Array, right: Array) -> Array:
        assert self._flat is not None
        return self._flat.join(left, right)
