"""Recordings of training steps: the gradient of one kind of batch as a function without Python in it, and the keeping of them.

A recording holds for batches of one shape and a model of one structure. What differs from step to step goes in: arrays,
batch, and the draws of dropout. Where the library compiles, the optimizer's update goes in too
(:mod:`nnx.train.whole`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnx import backends
from nnx.autodiff import value_and_grad
from nnx.backends.recorded.recording import compiled
from nnx.errors import NnxError
from nnx.layers import Module, training
from nnx.layers.observing import current_observer
from nnx.layers.places import Places
from nnx.layers.training import Draw
from nnx.train.objective import minimised
from nnx.train.step import Found, gradient
from nnx.train.whole import Whole
from nnx.typing import Array

KINDS = 8
"""Of so many kinds of batches a recording is kept; further ones are trained on as it is written."""

RECORDINGS = 32
"""A model that has to be recorded more often than this changes too often for it to pay."""


class Plans:
    """The recordings of a training, one for each kind of batch. ``declined`` says why there are no more, if it came to that.

    ``trusting``: a recording counts at once where the library compiles; else its first replay is to be compared.
    """

    def __init__(self, model: Module, loss: Callable[..., Array], *, trusting: bool) -> None:
        self.model, self.loss, self.trusting = model, loss, trusting
        self.declined = ""
        self.made: dict[Any, Plan | None] = {}
        self._recordings = 0

    def find(self, x: Array, y: Array, seed: int, number: int, left: Sequence[Array] = ()) -> "Plan | None":
        """The recording of this kind of batch, made if it is time for one: the second time that the kind is met, since
        the first may be the only one. Where the library compiles, the first time, for it would compile every operation
        of a written step too.

        ``left``: the arrays that the last step's plan gave the model.
        """
        if self.declined or current_observer() is not None:
            return None
        kind = (x.shape, x.dtype, y.shape, y.dtype)
        plan = self.made.get(kind)
        if plan is not None and plan.places.fit(left):
            return plan
        compiles = backends.of(x).jit is not None
        if kind not in self.made:
            if len(self.made) >= KINDS:
                return None
            self.made[kind] = None
            if not compiles:
                return None
        self._recordings += 1
        if self._recordings > RECORDINGS:
            self.declined = "the model's structure changes as it trains"
            return None
        try:
            plan = self.made[kind] = Plan(self.model, self.loss, x, y, seed, number)
        except MemoryError:
            raise
        except Exception as error:  # the step may be sound all the same: taken as it is written, it will tell
            self.declined = str(error)
            return None
        plan.trusted = compiles and self.trusting
        return plan if plan.trusted else None  # what changes from step to step shows in another step than this

    def gradient(self, plan: "Plan | None", x: Array, y: Array, seed: int, number: int) -> Found:
        """What a step gives: replayed, or as it is written. The gradients are valid until the next.

        What a recording gives first is compared with what is written, which counts; if it differs, all are declined.
        """
        if plan is not None and plan.trusted:
            return plan.run(x, y, seed, number)
        written = gradient(self.model, self.loss, x, y, seed, number)
        if plan is not None:
            replayed = plan.run(x, y, seed, number)
            pairs = zip([replayed.outputs, *replayed.arrays], [written.outputs, *written.arrays], strict=True)
            plan.trusted = all(plan.same(*pair) for pair in pairs)
            if not plan.trusted:
                self.declined = (
                    "a replayed step differed from the step as written: the model or the loss changes as it trains"
                )
        return written


class Plan:
    """The gradient of one kind of batch as a compiled function, with what goes in and out of the model."""

    def __init__(
        self,
        model: Module,
        loss: Callable[..., Array],
        x: Array,
        y: Array,
        seed: int,
        number: int,
        compiler: Any = compiled,
    ) -> None:
        self.loss, self.trusted, self.backend = loss, False, backends.of(x)
        self.trained = list(model.parameters())
        self.places = Places(model, [*self.trained, *(path for path in model.state() if path not in set(self.trained))])
        passes: list[Any] = []

        def rehearsed(*arrays: Array) -> None:  # what it draws, and which buffers it computes
            with training(seed, number, write_back=False) as this:
                passes.append(this)
                minimised(self.loss)(self.places.twin(arrays[:-2]), *arrays[-2:])

        self.backend.rehearse(rehearsed, *self.places.take(), x, y)
        this = passes[-1]
        if this.keys:
            raise NnxError(
                "a layer draws by a key of its own", fix="Use current_pass().draw(purpose, self, function, …)."
            )
        self.draws, self.moved = list(this.draws), list(this.buffers)
        self._draws = [_on_host(draw) if self.backend.jit else draw for draw in this.draws.values()]
        changing = {*self.trained, *self.moved}
        self.places = Places(
            model, [*self.trained, *self.moved, *(path for path in self.places.paths if path not in changing)]
        )
        given = [*self.places.take(), x, y, *self.drawn(seed, number)]
        self._run = compiler(self.pure, given, self.backend, range(2, 2 + len(self.trained)))
        self.whole = Whole(self) if self.backend.jit is not None else None

    def pure(self, *arrays: Array) -> list[Array]:
        """(parameters, other arrays, x, y, draws) → (loss, outputs, gradients, buffers)."""
        count = len(self.places.paths)
        twin, (x, y, *draws) = self.places.twin(arrays[:count]), arrays[count:]
        with training(write_back=False, drawn=dict(zip(self.draws, draws))) as this:
            (loss, outputs), grads = value_and_grad(minimised(self.loss), has_aux=True)(twin, x, y)
        return [loss, outputs, *(grads[path] for path in self.trained), *(this.buffers[path] for path in self.moved)]

    def drawn(self, seed: int, number: int) -> list[Array]:
        """The draws of a step."""
        return [draw.at(seed, number) for draw in self._draws] if self._draws else []

    def run(self, x: Array, y: Array, seed: int, number: int) -> Found:
        """What a step gives. The gradients are valid until the next."""
        loss, outputs, *rest = self._run(*self.places.take(), x, y, *self.drawn(seed, number))
        return Found(loss, outputs, dict(zip(self.trained, rest)), dict(zip(self.moved, rest[len(self.trained) :])))

    def same(self, replayed: Array, written: Array) -> bool:
        """Whether two arrays have the same bits; where the library compiles or adds in any order, whether they agree to a few roundings."""
        a, b = self.backend.to_numpy(replayed), self.backend.to_numpy(written)
        if self.backend.jit is None and self.backend.repeats:
            return np.array_equal(a, b, equal_nan=True)
        scale = np.max(np.abs(b), initial=0.0)
        return bool(np.all(np.abs(a - b) <= 1e4 * np.finfo(b.dtype).eps * scale))


def _on_host(draw: Draw) -> Draw:
    """The same draw as a host array: a compiled function takes it along with its call, which costs less than sending it first."""
    host = backends.get("numpy")
    return draw._replace(args=tuple(host if isinstance(arg, backends.Backend) else arg for arg in draw.args))
