"""A step over shards: gradients of the parts of a batch, by as many processes as there are, summed in an order of their own.

The loss is a mean over the rows, so that of the batch is the mean of those of its shards, each weighted by its rows, and so is the gradient.
Dropout draws with a key of its own in each shard. Batch norm takes the statistics of each shard (ghost batch norm), and the running statistics become
the weighted mean of what the shards make of them. All processes have the same sums, and take the same step.

Source: Hoffer, Hubara and Soudry (2017), Train longer, generalize better, arXiv:1705.08741, for statistics of parts of a batch.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

from nnx import backends
from nnx.autodiff import value_and_grad
from nnx.errors import NnxError, StateError
from nnx.layers import Module, training
from nnx.layers.observing import current_observer
from nnx.layers.places import Places
from nnx.train.evaluation import backend_of
from nnx.train.group import Group
from nnx.train.shards import Tree, cut, own, summed
from nnx.train.step import Step
from nnx.train.stepper import KINDS, RECORDINGS, Plan, known
from nnx.typing import Array


class Found(NamedTuple):
    """What a shard gives: loss and outputs, gradients and new buffers by path."""

    loss: Array
    outputs: Array
    grads: dict[str, Array]
    buffers: dict[str, Array]


class Gradients:
    """The gradient of a shard: as it is written, or replayed where that is known to be the same (see ``nnx.train.stepper``)."""

    def __init__(self, model: Module, loss: Callable[..., Array], compile: bool | None) -> None:
        self.model, self.loss = model, loss
        self.records = bool(compile or (compile is None and known(model, loss)))
        self._plans: dict[Any, Plan | None] = {}
        self._recordings = 0

    def __call__(self, x: Array, y: Array, seed: int, number: int) -> Found:
        """Of one shard."""
        plan = self._plan(x, y, seed, number) if self.records and current_observer() is None else None
        if plan is None:
            return self.written(x, y, seed, number)
        found = Found(*plan.run(x, y, seed, number)[1:])
        if plan.trusted:
            return found
        plan.trusted = True
        written = self.written(x, y, seed, number)
        pairs = zip(_arrays(found), _arrays(written), strict=True)
        self.records = all(plan.same(replayed, really) for replayed, really in pairs)
        return written

    def written(self, x: Array, y: Array, seed: int, number: int) -> Found:
        """By the model itself."""

        def loss_of(model: Module, x: Array, y: Array) -> tuple[Array, Array]:
            outputs = model(x)
            return self.loss(outputs, y), outputs

        with training(seed, number, write_back=False) as this:
            (loss, outputs), grads = value_and_grad(loss_of, has_aux=True)(self.model, x, y)
        return Found(loss, outputs, grads, this.buffers)

    def _plan(self, x: Array, y: Array, seed: int, number: int) -> Plan | None:
        """The recording of this kind of shard, made when it is met again; where the library compiles, at once, and then it counts: a
        step as written is rounded otherwise, and which process met what first must not show in the bits.
        """
        kind, compiles = (x.shape, x.dtype, y.shape, y.dtype), backends.of(x).jit is not None
        plan = self._plans.get(kind)
        if plan is not None and plan.places.fit():
            return plan
        if kind not in self._plans:
            if len(self._plans) >= KINDS:
                return None
            self._plans[kind] = None
            if not compiles:
                return None
        self._recordings += 1
        try:
            if self._recordings > RECORDINGS:
                raise StateError("the model's structure changes as it trains")
            plan = self._plans[kind] = Plan(self.model, self.loss, x, y, seed, number)
        except NnxError:  # the step may be sound all the same: taken as it is written, it will tell
            self.records = False
            return None
        plan.trusted = compiles
        return plan if compiles else None  # what changes from step to step shows in another step than this


def _arrays(found: Found) -> list[Array]:
    return [found.loss, found.outputs, *found.grads.values(), *found.buffers.values()]


class Flat:
    """Loss, buffers and gradients end to end in one vector, in the widest of their dtypes, and behind them the outputs of the whole batch."""

    def __init__(self, found: Found, backend: backends.Backend) -> None:
        self.xp, self.backend = backend.xp, backend
        self.arrays = [found.loss, *found.buffers.values(), *found.grads.values()]
        odd = [path for path, array in found.buffers.items() if not self.xp.isdtype(array.dtype, "real floating")]
        if odd:
            raise StateError(
                expected="with shards, buffers whose mean over the shards is their value",
                got=f"{odd[0]} of dtype {found.buffers[odd[0]].dtype}",
                where="fit",
                fix="Make it a floating array, or train without shards.",
            )
        self.moved, self.trained = list(found.buffers), list(found.grads)
        self.shapes = [tuple(array.shape) for array in self.arrays]
        self.dtypes = [array.dtype for array in self.arrays]
        self.dtype = self.xp.result_type(*self.dtypes, found.outputs.dtype)
        self.ends = list(accumulate(map(prod, self.shapes)))
        self.per_row = prod(found.outputs.shape[1:])
        self.row_shape, self.out_dtype = tuple(found.outputs.shape[1:]), found.outputs.dtype

    def packed(self, found: Found, weight: float) -> Array:
        """The vector of one shard, times its weight."""
        arrays = [found.loss, *found.buffers.values(), *found.grads.values()]
        parts = [self.xp.reshape(self._wide(array), (-1,)) for array in arrays]
        return self.xp.concat(parts) * weight

    def outputs(self, outputs: Array) -> Array:
        """Outputs as part of the vector."""
        return self.xp.reshape(self._wide(outputs), (-1,))

    def nothing(self, count: int) -> Array:
        """So many zeros."""
        return self.xp.zeros((count,), dtype=self.dtype, device=self.backend.device)

    def unpacked(self, vector: Array, rows: int) -> Found:
        """What the vector of the whole batch holds."""
        starts = [0, *self.ends]
        pieces = [
            self.xp.astype(self.xp.reshape(vector[a:b], shape), dtype, copy=False)
            for a, b, shape, dtype in zip(starts, self.ends, self.shapes, self.dtypes)
        ]
        outputs = self.xp.reshape(vector[starts[-1] :], (rows, *self.row_shape))
        buffers = dict(zip(self.moved, pieces[1:]))
        grads = dict(zip(self.trained, pieces[1 + len(self.moved) :]))
        return Found(pieces[0], self.xp.astype(outputs, self.out_dtype, copy=False), grads, buffers)

    def _wide(self, array: Array) -> Array:
        return array if array.dtype == self.dtype else self.xp.astype(array, self.dtype)


class Sharded:
    """Steps as ``nnx.train.stepper`` takes them, over ``shards`` shards and the processes of ``group``.

    ``exchanged`` is how many bytes this process has sent for the last step.
    """

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
        """Of the whole batch."""
        rows = int(x.shape[0])
        parts = cut(rows, self.shards)
        mine = [k for k in own(self.shards, self.group) if parts[k].stop > parts[k].start]
        tree, outputs = Tree(), []
        for k in own(self.shards, self.group):
            if k not in mine:
                tree.add(None)
                continue
            found = self._shard(x, y, parts[k], seed, number, k)
            outputs.append(self.flat.outputs(found.outputs))
            tree.add(self.flat.packed(found, (parts[k].stop - parts[k].start) / rows))
        if not mine:  # another's shard, only to know what it is made of
            self._shard(x, y, parts[0], seed, number, 0)
        return self._gathered(tree.total(), outputs, [part.stop - part.start for part in parts], rows)

    @property
    def flat(self) -> Flat:
        """How the vector is laid out, once a shard has been seen."""
        assert self._flat is not None
        return self._flat

    def _shard(self, x: Array, y: Array, part: slice, seed: int, number: int, shard: int) -> Found:
        found = self.gradients(x[part, ...], y[part, ...], seed, number * self.shards + shard)
        if self._flat is None or (self._flat.moved, self._flat.trained) != (list(found.buffers), list(found.grads)):
            self._flat = Flat(found, self.backend)
        return found

    def _gathered(self, total: Array | None, outputs: list[Array], sizes: Sequence[int], rows: int) -> Found:
        flat, xp = self.flat, self.backend.xp
        each = self.shards // self.group.size
        if total is None:
            total = flat.nothing(flat.ends[-1])
        if self.group.size > 1:  # the outputs of the others' rows are zeros here, and come by the sum
            before = sum(sizes[: self.group.rank * each])
            after = rows - before - sum(sizes[self.group.rank * each : (self.group.rank + 1) * each])
            outputs = [flat.nothing(before * flat.per_row), *outputs, flat.nothing(after * flat.per_row)]
        vector = xp.concat([total, *outputs])
        filled = [sizes[rank * each] > 0 for rank in range(self.group.size)]
        return flat.unpacked(summed(self.group, vector, filled), rows)
