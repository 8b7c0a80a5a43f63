"""An epoch of small steps: the rows shuffled and taken batch by batch, an update after each."""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any

from nnx import backends, metrics
from nnx.backends.recorded.recording import compiled
from nnx.data import batch_count, batches
from nnx.optim import Optimizer
from nnx.train.files.plain import check_count, check_like, check_numbers
from nnx.train.plans import KINDS
from nnx.train.problem import Problem
from nnx.train.run import Run
from nnx.train.sharing.sharded import Sharded
from nnx.train.stepper import Stepper, stepper
from nnx.train.trouble.watch import Watch
from nnx.typing import Array


class MiniBatches:
    """One step for every ``batch_size`` rows; loss and metric are means over the rows as they were met."""

    def __init__(self, problem: Problem, optimizer: Optimizer) -> None:
        self.problem = problem
        self.steps = batch_count(len(problem.train), problem.batch_size)
        self.optimizer = optimizer.with_steps_per_epoch(self.steps)
        self.step: Any = stepper(problem.model, problem.loss, problem.compile)
        if problem.shards:
            self.step = Sharded(problem.model, problem.loss, problem.shards, problem.group, problem.compile)
        self.done, self.average = 0, _Average(problem.train.task, problem.device)
        self.watch = Watch(self, problem.device, recorded=isinstance(self.step, Stepper))
        self.touching, self.between = False, True

    def begin(self, run: Run) -> None:
        """The optimizer and its first state."""
        run.begin(self.optimizer, self.optimizer.init(run.model.parameters()), self.steps)

    def epoch(self, run: Run, epoch: int, told: Callable[[], None], meet: Callable[[], None]) -> dict[str, float]:
        """All rows once. After each step the run has the new state, ``told`` is called, and ``meet`` may end it.

        ``done`` is how many batches lie behind: an epoch that a checkpoint has cut goes on with the next. ``Diverged``
        is raised where something is no number.
        """
        watch = self.watch
        watch.enter(run, epoch, touching=self.touching)
        for rows in self.rest(epoch):
            watch.before()
            watch.passed(self.take(run, rows))
            told()
            meet()
        watch.look()
        values = self.average.values()
        self.done, self.average = 0, _Average(self.problem.train.task, self.problem.device)
        return values

    def rest(self, epoch: int) -> Iterator[Any]:
        """The rows of the batches that are left of an epoch."""
        problem = self.problem
        order = batches(len(problem.train), problem.batch_size, seed=problem.seed, epoch=epoch)
        return islice(order, self.done, None)

    def take(self, run: Run, rows: Any) -> Array:
        """One step with these rows; its loss. ``between`` is false while the run has the step and the epoch not yet."""
        problem = self.problem
        x, y = problem.rows(rows)
        step = self.step(run.optimizer, run.working, x, y, problem.seed, run.step)
        self.between = False
        run.working, run.step = step.state, run.step + 1
        self.average.add(step.loss, step.outputs, y)
        self.done += 1
        self.between = True
        return step.loss

    def total(self) -> Any:
        """The sum of the losses so far: no number if one was none. A plain zero before the first."""
        return self.average.sums[0]

    def remembered(self) -> dict[str, Any]:
        """What a checkpoint must hold besides the run's state: the sums of the epoch so far."""
        return {"done": self.done, "rows": self.average.rows, "sums": list(self.average.sums)}

    def resume(self, run: Run, state: dict[str, Any], remembered: dict[str, Any]) -> None:
        """In place of ``begin``: go on from a checkpoint."""
        check_like(state, self.optimizer.init(run.model.parameters()), "the optimizer's state")
        run.begin(self.optimizer, state, self.steps)
        check_count(remembered["done"], "batches of the epoch")
        check_count(remembered["rows"], "rows of the epoch")
        check_numbers(remembered["sums"], len(self.average.sums), "sums of the epoch")
        self.recall(remembered)

    def recall(self, remembered: dict[str, Any]) -> None:
        """Go back to where this was remembered."""
        self.done, self.average.rows = remembered["done"], remembered["rows"]
        self.average.sums = list(remembered["sums"])

    def so_far(self) -> tuple[int, float | None]:
        """The rows that lie behind in the epoch at hand, and their mean loss."""
        rows = self.average.rows
        return rows, float(self.problem.device.to_numpy(self.total())) / rows if rows else None

    def release(self) -> None:
        """Let go of what steps are taken with: nobody takes any more."""
        self.step = None

    def look(self) -> None:
        """Raise ``Diverged`` if something is no number."""
        self.watch.look()

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
        self.rows += int(outputs.shape[0])
        self.sums = _adding(self.device, self.classes)(*self.sums, loss, outputs, y)

    def values(self) -> dict[str, float]:
        loss, quality = (float(self.device.to_numpy(total)) / self.rows for total in self.sums)
        return {"loss": loss, "accuracy" if self.classes else "mae": quality}


@cache
def _adding(device: backends.Backend, classes: bool) -> Callable[..., list[Array]]:
    """(sum of losses, sum of the metric, loss, outputs, y) → both sums with this batch; one call where the library compiles."""

    def add(losses: Array, qualities: Array, loss: Array, outputs: Array, y: Array) -> list[Array]:
        n = int(outputs.shape[0])
        quality = metrics.accuracy(outputs, y) if classes else metrics.mae(outputs, y)
        return [losses + loss * n, qualities + quality * n]

    return device.jit(add) if device.jit else _Replayed(add, device)


class _Replayed:
    """Sums by a recording of each kind of batch: what is checked and looked up once needs no second time."""

    def __init__(self, add: Callable[..., list[Array]], device: backends.Backend) -> None:
        self.add, self.device = add, device
        self.made: dict[Any, Callable[..., Any]] = {}

    def __call__(self, losses: Array, qualities: Array, loss: Array, outputs: Array, y: Array) -> list[Array]:
        arrays, kind = (losses, qualities, loss, outputs, y), (outputs.shape, outputs.dtype, y.shape, y.dtype)
        run = self.add if isinstance(losses, float) else self.made.get(kind)
        if run is None:
            if len(self.made) == KINDS:
                self.made.clear()
            run = self.made[kind] = compiled(self.add, arrays, self.device)
        return list(run(*arrays))
