"""An epoch of small steps: the rows shuffled and taken batch by batch, an update after each."""

from collections.abc import Callable
from itertools import islice
from typing import Any

from nnx import backends, metrics
from nnx.data import batch_count, batches
from nnx.optim import Optimizer
from nnx.train.problem import Problem
from nnx.train.run import Run
from nnx.train.sharded import Sharded
from nnx.train.stepper import stepper
from nnx.typing import Array


class MiniBatches:
    """One step for every ``batch_size`` rows; loss and metric are means over the rows as they were met."""

    remedy = "Lower the learning rate by 10, clip the gradients, or look for bad values in the data."

    def __init__(self, problem: Problem, optimizer: Optimizer) -> None:
        self.problem = problem
        self.steps = batch_count(len(problem.train), problem.batch_size)
        self.optimizer = optimizer.with_steps_per_epoch(self.steps)
        self.step: Any = stepper(problem.model, problem.loss, problem.compile)
        if problem.shards:
            self.step = Sharded(problem.model, problem.loss, problem.shards, problem.group, problem.compile)
        self.done, self.average = 0, _Average(problem.train.task, problem.device)

    def begin(self, run: Run) -> None:
        """The optimizer and its first state."""
        run.begin(self.optimizer, self.optimizer.init(run.model.parameters()), self.steps)

    def epoch(self, run: Run, epoch: int, told: Callable[[], None], meet: Callable[[], None]) -> dict[str, float]:
        """All rows once. After each step the run has the new state, ``told`` is called, and ``meet`` may end it.

        ``done`` is how many batches lie behind: an epoch that a checkpoint has cut goes on with the next.
        """
        problem = self.problem
        order = batches(len(problem.train), problem.batch_size, seed=problem.seed, epoch=epoch)
        for rows in islice(order, self.done, None):
            x, y = problem.rows(rows)
            step = self.step(run.optimizer, run.state, x, y, problem.seed, run.step)
            run.state, run.step = step.state, run.step + 1
            self.average.add(step.loss, step.outputs, y)
            self.done += 1
            told()
            meet()
        values = self.average.values()
        self.done, self.average = 0, _Average(problem.train.task, problem.device)
        return values

    def remembered(self) -> dict[str, Any]:
        """What a checkpoint must hold besides the run's state: the sums of the epoch so far."""
        return {"done": self.done, "rows": self.average.rows, "sums": list(self.average.sums)}

    def resume(self, run: Run, state: dict[str, Any], remembered: dict[str, Any]) -> None:
        """In place of ``begin``: go on from a checkpoint."""
        run.begin(self.optimizer, state, self.steps)
        self.done, self.average.rows, self.average.sums = (remembered[name] for name in ("done", "rows", "sums"))

    def seen(self) -> int:
        """How many rows the last epoch looked at."""
        return len(self.problem.train)


class _Average:
    """Means over an epoch, kept on the device and pulled once."""

    def __init__(self, task: str | None, device: backends.Backend) -> None:
        self.classes, self.device = task == "classification", device
        self.rows = 0
        self.sums: list[Array] = [0.0, 0.0]

    def add(self, loss: Array, outputs: Array, y: Array) -> None:
        n = int(outputs.shape[0])
        quality = metrics.accuracy(outputs, y) if self.classes else metrics.mae(outputs, y)
        self.rows += n
        self.sums = [self.sums[0] + loss * n, self.sums[1] + quality * n]

    def values(self) -> dict[str, float]:
        loss, quality = (float(self.device.to_numpy(total)) / self.rows for total in self.sums)
        return {"loss": loss, "accuracy" if self.classes else "mae": quality}
