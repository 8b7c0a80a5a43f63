"""An epoch as one iteration of L-BFGS over the whole training set.

L-BFGS compares the objective at many points, so that must be one function, the same at every call::

    f(w) = 1/N Σᵢ loss(model_w(xᵢ), yᵢ) + penalties(w),   the model as it is at inference

All rows, in their order, ``batch_size`` of them at a time: memory stays bounded, the sum is the same. What draws or
adapts in training is at rest, as when the model is used: dropout lets everything through, and batch norm divides by its
running statistics, which are constants of f. They are those that Adam, say, has left; where a model has never been
trained they are measured on the training set before the first iteration. So the loss that falls is the one
``nnx.evaluate`` gives.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nnx import metrics
from nnx.autodiff import value_and_grad
from nnx.errors import ConfigError
from nnx.layers.training import inference
from nnx.optim import LBFGS
from nnx.optim.lbfgs import STUCK
from nnx.train.batch_statistics import measure_statistics
from nnx.train.files.plain import check_count, check_numbers
from nnx.train.objective import minimised
from nnx.train.problem import Problem
from nnx.train.run import Run
from nnx.train.trouble.diagnosis import bad, diagnosed_whole
from nnx.train.trouble.watch import Diverged, quietly
from nnx.typing import Array

SAME = 1e-4
"""How closely two evaluations must agree: sums of floats may be gathered in another order on a GPU."""


class Seen(NamedTuple):
    """What one evaluation of the objective found besides the gradient."""

    params: Mapping[str, Array]
    loss: float
    quality: Array


class FullBatch:
    """One iteration for every epoch; loss and metric are those at its end, in inference, without the penalties."""

    touching, between = False, True

    def __init__(self, problem: Problem, optimizer: LBFGS) -> None:
        self.problem, self.optimizer = problem, optimizer
        self.classes = problem.train.task == "classification"
        self.done, self.rows = 0, 0
        self._check_fixed()

    def begin(self, run: Run) -> None:
        """Statistics for batch norms that have none, and an empty memory."""
        measure_statistics(self.problem)
        self.twin = run.model.copy()  # so that the run's model always has the weights of a finished iteration
        run.begin(self.optimizer, self.optimizer.init({}), 1)

    def epoch(self, run: Run, epoch: int, told: Callable[[], None], meet: Callable[[], None]) -> dict[str, float]:
        """One iteration, and ``told`` is called; ``meet`` may end it after any batch: then it is as if it had not begun.

        ``run.stopped`` says so when there is nothing left to gain. ``done`` is 1 between the iteration and the end of
        its epoch.
        """
        if not self.done:
            self._iterate(run, meet)
        self.done = 1
        if self.optimizer.converged(run.working):
            run.stopped = f"converged: every entry of the gradient is within {self.optimizer.tolerance:g}"
        elif run.working.get("stuck"):
            run.stopped = STUCK
        told()
        meet()
        self.done = 0
        quality = float(self.problem.device.to_numpy(self.now.quality)) / len(self.problem.train)
        return {"loss": self.now.loss, "accuracy" if self.classes else "mae": quality}

    def _iterate(self, run: Run, meet: Callable[[], None]) -> None:
        evaluated: list[Seen] = []

        def objective(params: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
            loss, quality, grads = self._evaluate(params, meet)
            evaluated.append(Seen(params, loss, quality))
            return loss, grads

        params, state, optimizer = run.model.parameters(), run.working, self.optimizer
        if "grads" not in state:
            state = optimizer.evaluated(objective, state, params)
            self.now = evaluated[-1]
            if not math.isfinite(state["loss"]) or any(map(bad, state["grads"].values())):
                with quietly():
                    raise Diverged(*diagnosed_whole(self.problem, run, run.model))
        if not optimizer.converged(state):
            params, state = optimizer.step(objective, state, params)
            self.now = next((seen for seen in evaluated if seen.params is params), self.now)
            run.model.load(params)
        run.working, run.step = state, run.step + 1
        self.rows = len(self.problem.train) * len(evaluated)

    def release(self) -> None:
        """There is nothing to let go of."""

    def look(self) -> None:
        """Nothing to look at between two iterations: what the line search accepts is finite."""

    def remembered(self) -> dict[str, Any]:
        """What a checkpoint must hold besides the run's state: what the last iteration found."""
        now = {"loss": self.now.loss, "quality": self.now.quality} if hasattr(self, "now") else None
        return {"done": self.done, "now": now, "rows": self.rows}

    def resume(self, run: Run, state: dict[str, Any], remembered: dict[str, Any]) -> None:
        """In place of ``begin``: go on from a checkpoint, with the statistics that the model has."""
        self.twin = run.model.copy()
        run.begin(self.optimizer, state, 1)
        self.done, self.rows, now = (remembered[name] for name in ("done", "rows", "now"))
        check_count(self.done, "batches of the epoch")
        check_count(self.rows, "rows of the epoch")
        if now is not None:
            check_numbers([now["loss"], now["quality"]], 2, "loss and quality of the last iteration")
            self.now = Seen({}, now["loss"], now["quality"])

    def so_far(self) -> tuple[int, float | None]:
        """No rows lie behind within an iteration."""
        return 0, None

    def seen(self) -> int:
        """How many rows the last epoch looked at: all of them, once for each evaluation."""
        return self.rows

    def _evaluate(self, params: Mapping[str, Array], meet: Callable[[], None]) -> tuple[float, Array, dict[str, Array]]:
        """The mean loss, the sum of the metric (on the device), and the gradient, batch by batch."""
        n_all, xp = len(self.problem.train), self.problem.device.xp
        derive = value_and_grad(minimised(self.problem.loss), has_aux=True)
        self.twin.load(dict(params))
        losses: list[Array] = []
        quality: Array = 0.0
        grads: dict[str, Array] = {}
        for x, y in self.problem.in_order():
            with inference():
                (value, outputs), part = derive(self.twin, x, y)
            n = int(x.shape[0])
            grads = {path: g * (n / n_all) + grads[path] if grads else g * (n / n_all) for path, g in part.items()}
            quality = quality + (metrics.accuracy(outputs, y) if self.classes else metrics.mae(outputs, y)) * n
            losses.append(value * (n / n_all))
            meet()
        pulled = self.problem.device.to_numpy(xp.stack(losses))
        return math.fsum(pulled.tolist()), quality, grads

    def _check_fixed(self) -> None:
        """``ConfigError`` if the model gives another loss for the same rows and weights when it is asked again."""
        loss_of, (x, y) = minimised(self.problem.loss), next(self.problem.in_order())
        with inference():
            first, again = (float(self.problem.device.to_numpy(loss_of(self.problem.model, x, y)[0])) for _ in range(2))
        if abs(first - again) > SAME * max(abs(first), abs(again)):
            raise ConfigError(
                expected="for L-BFGS, a loss that is the same function at every call",
                got=f"{first:.6g} and then {again:.6g} for the same rows and weights",
                where="fit",
                fix="Draw only inside nnx.training (see nnx.Dropout), or use Adam.",
            )
