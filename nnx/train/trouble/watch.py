"""Whether a training still computes numbers: looked at so that it costs next to nothing, and found to the step by taking steps again.

A loss that is no number stays in the sum of the epoch's losses, and a gradient that is none reaches the weights. So one
flag, of that sum and of the weights, tells for all steps since it was last clean. It is looked at every so many steps,
for on a GPU a look waits for the device; where a result is there at once, the loss is looked at after each. Then the
steps since are taken again from what is kept: arrays that somebody refers to never change, draws are keyed and batches
are determined, so these are the same steps. What is kept are references.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from nnx import backends, tree
from nnx.layers.places import Places
from nnx.train.run import Run
from nnx.train.trouble.diagnosis import Began, between, diagnosed, unexplained
from nnx.typing import Array

RECORDED, WRITTEN, LATE = 64, 16, 32
"""Steps between two looks at the weights: where steps are replayed, where each is taken as written, where a look waits for the device."""

SMALL = 256 << 20
"""Bytes of weights and optimizer state that are kept beside those at work. Of larger ones nothing is kept, and each
step is looked at; but where updates are written over them: there new ones beside the old ones of one step would take as
much memory."""


class Diverged(Exception):  # noqa: N818  it never leaves this package: Training makes the error of it
    """Something is no finite number any more. The run, the model and the epoch are as they were before the step that began it."""

    def __init__(self, began: Began, rows: Any = None) -> None:
        super().__init__(began)
        self.began, self.rows = began, rows


class Position(NamedTuple):
    """All that the next step depends on, by reference."""

    weights: dict[str, Array]
    state: dict[str, Any]
    optimizer: Any
    fixed_rate: float | None
    rate_factor: float
    step: int
    kept: dict[str, Any]


class Watch:
    """Looks at a run's steps. ``way`` takes them: ``rest(epoch)`` the rows of those that are left of the epoch,
    ``take(run, rows)`` one of them.
    """

    def __init__(self, way: Any, device: backends.Backend, *, recorded: bool) -> None:
        self.way, self.device = way, device
        self.usual = (RECORDED if recorded else WRITTEN) if device.eager else LATE
        self._over = recorded and device.over is not None
        self._number = device.fetch if device.eager else None
        self.left: Any = None
        """The optimizer's state as the last step left it: another one was put there by somebody else."""
        self._soon = 0

    def enter(self, run: Run, epoch: int, *, touching: bool) -> None:
        """An epoch, or what is left of one, begins. ``touching``: whether callbacks that nnx does not know are told of every step."""
        self.run, self.epoch, self._places = run, epoch, Places(run.model, run.model.state())
        self._arrays = self._places.take() if touching else []
        self._base: Position | None = None
        self._touching = touching
        size = sum(
            math.prod(array.shape) for array in tree.leaves((run.model.state(), run.state)) if hasattr(array, "shape")
        )
        self.every = self.usual if 4 * size <= SMALL or self._over else 1
        if self.way.problem.group.size > 1:  # all processes must take the same steps again
            self.every, self._touching = 1, False
        self.look()

    def before(self) -> None:
        """Before a step: what a callback has changed since the last one is where steps are taken again from."""
        if self.run.working is not self.left or (self._touching and self._moved()):
            self.look()

    def passed(self, loss: Array) -> None:
        """After a step: raises :class:`Diverged` if it is time to look, and something is no number."""
        number = self._number
        if (number is not None and not math.isfinite(number(loss))) or self.run.step >= self._soon:
            self.look(stepped=True)
        self.left = self.run.working
        if self._touching:
            self._arrays = self._places.take()

    def look(self, *, stepped: bool = False) -> None:
        """Look now. The steps up to here are sound afterwards, or :class:`Diverged` is raised.

        What is not finite and does not come of the steps was put there after the last, unless that has just been
        ``stepped``.
        """
        if not self._clean():
            raise self._found(outside=not stepped)
        self._base = self.position()
        self._soon, self.left = self.run.step + self.every, self.run.working

    def _moved(self) -> bool:
        """Whether a callback gave the model other arrays. That it wrote into them shows in the next step, and is no step's doing."""
        return not all(map(is_, self._places.take(), self._arrays))

    def _clean(self) -> bool:
        floating = [array for array in self.run.model.state().values() if _floats(array)]
        if total := [array for array in [self.way.total()] if hasattr(array, "dtype")]:
            floating += total
        return not floating or bool(self.device.to_numpy(self.device.finite(self.device.xp, floating)))

    # where it is ------------------------------------------------------------------------------------------------------
    def position(self) -> Position:
        """Where the run is now."""
        run = self.run
        return Position(
            run.model.state(),
            run.state,
            run.optimizer,
            run.fixed_rate,
            run.rate_factor,
            run.step,
            self.way.remembered(),
        )

    def restore(self, there: Position) -> None:
        """Back there."""
        run = self.run
        Places(run.model, there.weights).put(there.weights)
        run.state, run.optimizer, run.step = there.state, there.optimizer, there.step
        run.fixed_rate, run.rate_factor = there.fixed_rate, there.rate_factor
        self.way.recall(there.kept)

    def _found(self, *, outside: bool) -> Diverged:
        """Take the steps since the last clean look again, one by one; the run is then before the first that fails."""
        run, way, base = self.run, self.way, self._base
        weights = run.model.state()
        if base is None:
            when = "before the first step" if not run.step else "between two epochs"
            return Diverged(between(weights, when) or unexplained(run.step, run.step))
        last = run.step
        self.restore(base)
        with quietly():
            for rows in way.rest(self.epoch):
                if run.step == last:
                    break
                before = self.position()
                way.take(run, rows)
                if not self._clean():
                    self.restore(before)
                    return Diverged(diagnosed(way.problem, run, rows), rows)
        began = between(weights, f"after step {last}") if outside else None
        return Diverged(began or unexplained(base.step, last))


@contextmanager
def quietly() -> Iterator[None]:
    """Without NumPy's warnings: what they say is known."""
    with np.errstate(all="ignore"):
        yield


def _floats(array: Array) -> bool:
    return "float" in str(array.dtype)
