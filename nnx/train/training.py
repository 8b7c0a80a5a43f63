"""A training at work: the loop, where it is, and all that a checkpoint must hold of it."""

import math
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nnx import losses, optim
from nnx.data import Dataset
from nnx.errors import ConfigError, NnxError, OutOfMemoryError
from nnx.layers import Module
from nnx.train import checks
from nnx.train.callbacks.base import Callback
from nnx.train.callbacks.checkpoints import Checkpoints
from nnx.train.course import Course
from nnx.train.evaluation import METRIC, evaluate
from nnx.train.files import durable
from nnx.train.files.checkpoint import Checkpoint
from nnx.train.files.identity import identity
from nnx.train.files.saving import save
from nnx.train.full_batch import FullBatch
from nnx.train.interrupt import Wish, interruptible
from nnx.train.kept import keep
from nnx.train.memory import nbytes, spoken
from nnx.train.mini_batches import MiniBatches
from nnx.train.problem import Problem
from nnx.train.run import MODEL, Run
from nnx.train.sharing.agreement import agree, check_alike, hand_round
from nnx.train.sharing.group import ALONE, Group
from nnx.train.sharing.shards import check_optimizer
from nnx.train.stepper import Stepper
from nnx.train.trouble.diverged import error_of, report, write_report
from nnx.train.trouble.exhausted import explained, frugally, ran_out
from nnx.train.trouble.watch import Diverged

Way = MiniBatches | FullBatch
"""How an epoch goes: ``begin(run)`` or ``resume(run, …)``, ``epoch(run, number, told, meet)``, ``seen()``, ``remembered()``."""


class Training:
    """What ``fit`` begins, ``resume`` takes up again, and :meth:`go` leads to its end. One object, one training."""

    def __init__(
        self,
        model: Module,
        train: Dataset,
        val: Dataset | None,
        course: Course,
        callbacks: Sequence[Callback],
        directory: Path | None,
        group: Group = ALONE,
    ) -> None:
        self.model, self.train, self.val, self.course, self.group = model, train, val, course, group
        loss = losses.get(course.loss)
        self.problem = Problem(model, train, loss, course.batch_size, course.seed, course.compile, course.shards, group)
        self.device = self.problem.device
        with self.device.use():
            self.ways = [(_way(self.problem, optimizer), epochs) for optimizer, epochs in course.phases]
        metric = METRIC[train.task or "regression"]
        epochs = sum(n for _, n in self.ways)
        self.run = Run(model, train.task, epochs, 1, metric, validated=val is not None, directory=directory)
        self.watching = [callback for callback in callbacks if not isinstance(callback, Checkpoints)]
        keepers = [callback for callback in callbacks if isinstance(callback, Checkpoints)]
        self.keeper = keepers[0] if keepers else None
        self.epoch, self.phase, self.elapsed = 0, 0, 0.0
        self.good = model.state()

    @property
    def way(self) -> Way:
        """How the epoch at hand goes."""
        return self.ways[self.phase][0]

    # beginning --------------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """From the first step."""
        self._need_space()
        with self.group.together():
            with self.device.use():
                self.way.begin(self.run)
            self.good = self.model.state()
            for callback in self.callbacks:
                callback.on_start(self.run)
        self.check_alike()

    def check_alike(self) -> None:
        """``ConfigError`` unless all processes begin alike."""
        if self.group.size == 1:
            return
        settings = [self.course.config(), identity(self.train), self.val and identity(self.val), self.run.step]
        check_alike(self.group, self.model, settings)

    @property
    def callbacks(self) -> list[Callback]:
        """All of them, who keeps checkpoints last."""
        return [*self.watching, *([self.keeper] if self.keeper else [])]

    # the loop ---------------------------------------------------------------------------------------------------------
    def go(self) -> Run:
        """To the end, or until something ends it."""
        run = self.run
        with self.device.use(), interruptible() as wish:
            try:
                while self.epoch < run.epochs and not run.stopped:
                    self._enter()
                    self._one_epoch(wish)
            except KeyboardInterrupt:
                if wish.insisted:
                    raise
                try:
                    if wish.signals:  # met between two steps; a bare KeyboardInterrupt may come within one
                        self.way.look()
                    if self.keeper and wish.signals:
                        run.stopped = ""
                        self.keeper.save(self.checkpoint)
                    run.stopped = wish.word
                except Diverged as found:
                    self._diverge(found)
            except Exception as error:
                if not ran_out(error, self.problem):
                    raise
                traceback.clear_frames(error.__traceback__)  # what they hold is most of what was there
                run.stopped = "out of memory"
            if run.stopped == "out of memory":
                raise self._explained()
            for callback in self.callbacks:
                callback.on_end(run)
            if run.directory:
                self._save_model(run.directory)
            hand_round(self.group, self.model)
        if run.stopped == "diverged":
            raise error_of(self.report, run)
        return run

    def _save_model(self, directory: Path) -> None:
        try:
            save(self.model, directory / MODEL, notes=self._notes())
        except OSError as error:
            saved = self.keeper.saved if self.keeper else None
            raise NnxError(
                f"the model cannot be written ({error.strerror or error})",
                where=str(directory / MODEL),
                fix=f"Free {spoken(2 * self._size())} there; then "
                + (
                    f"go on with nnx.resume: the last checkpoint is {saved}."
                    if saved
                    else "nnx.save(model, path), or train again."
                ),
            ) from None

    def _size(self) -> int:
        return sum(map(nbytes, self.model.state().values()))

    def _need_space(self) -> None:
        """``ConfigError`` where the disk has no room for the model that is to be written: better now than at the end."""
        if self.run.directory is None:
            return
        try:
            durable.need_space(self.run.directory, self._size())
        except OSError as error:
            raise ConfigError(
                f"the disk is full: for the model {error.strerror}",
                where=str(self.run.directory),
                fix="Free some space, or choose a directory elsewhere.",
            ) from None

    def _enter(self) -> None:
        """The next phase begins when its first epoch does."""
        last = 0
        for phase, (way, epochs) in enumerate(self.ways):
            last += epochs
            if self.epoch < last:
                if phase != self.phase:
                    self.phase = phase
                    way.begin(self.run)
                return

    def _one_epoch(self, wish: Wish) -> None:
        run = self.run

        def meet() -> None:
            agree(self.group, wish, run)
            wish.meet()

        self.started = time.perf_counter() - self.elapsed
        self.way.touching = any(_touches(callback) for callback in self.watching)
        try:
            values = self.way.epoch(run, self.epoch, self._told, meet)
        except Diverged as found:
            self._diverge(found)
            return
        seconds = time.perf_counter() - self.started
        record = {"epoch": self.epoch + 1, "step": run.step, **values, **self._validation()}
        record |= {"learning_rate": run.learning_rate, "examples_per_second": self.way.seen() / seconds}
        run.history.append(record | {"seconds": seconds})
        endings = [bool(callback.on_epoch(run, run.history[-1])) for callback in self.watching]
        ended = any(endings)
        if self.group.size > 1:
            run.history[-1], ended = self.group.share([run.history[-1], ended])
            check_alike(self.group, self.model)
        if ended:
            run.stopped = "a callback ended it"
        self.good, self.epoch, self.elapsed = self.model.state(), self.epoch + 1, 0.0
        over = bool(run.stopped) or self.epoch == run.epochs
        if self.keeper and (self.keeper.due(run.step, epoch_ended=True) or (over and self.keeper.wanted)):
            self.keeper.save(self.checkpoint)
        if not run.stopped:
            meet()

    def _told(self) -> None:
        """After each step."""
        for callback in self.watching:
            callback.on_step(self.run)
        within = self.way.done < self.run.steps_per_epoch  # else the epoch ends here, and is asked for in a moment
        if self.keeper and within and self.keeper.due(self.run.step, epoch_ended=False):
            self.way.look()
            self.elapsed = time.perf_counter() - self.started
            self.keeper.save(self.checkpoint)

    def _explained(self) -> OutOfMemoryError:
        """What to say where memory ran out, after the state between two steps was saved, if that is where it is."""
        run, saved = self.run, False
        run.stopped = ""
        recorded = isinstance(getattr(self.way, "step", None), Stepper)
        if self.way.between:
            self.way.release()
            with suppress(MemoryError):
                saved = self.keeper is not None and self.keeper.save(self.checkpoint)
        return explained(
            self.problem, run, epoch=self.epoch + 1, batch=self.way.done + 1, saved=saved, recorded=recorded
        )

    def _diverge(self, found: Diverged) -> None:
        """The state before the step is saved and told; the epoch is a line without numbers, and the weights before it are kept."""
        run, seconds = self.run, time.perf_counter() - self.started
        self.elapsed, run.stopped = seconds, ""
        saved = self.keeper.saved if self.keeper and self.keeper.save(self.checkpoint) else None
        rows, loss = self.way.so_far()
        self.report = report(run, found, epoch=self.epoch + 1, batch=self.way.done + 1, loss=loss, checkpoint=saved)
        if run.directory:
            write_report(run.directory, self.report)
        names = ("loss", "accuracy" if self.train.task == "classification" else "mae")
        values = dict.fromkeys((*names, *self._validation()), math.nan)
        record = {"epoch": self.epoch + 1, "step": run.step, **values, "learning_rate": run.learning_rate}
        run.history.append(record | {"examples_per_second": rows / seconds, "seconds": seconds})
        for callback in self.watching:
            callback.on_epoch(run, run.history[-1])
        run.stopped = "diverged"
        self.model.load(self.good)

    def _validation(self) -> dict[str, float]:
        val = self.val
        if not val or not self.group.first:
            return {}
        found = frugally(self.problem, lambda rows: evaluate(self.model, val, loss=self.course.loss, batch_size=rows))
        return {f"val_{name}": value for name, value in found.items()}

    def checkpoint(self) -> Checkpoint:
        """All that the rest of the training depends on, as it is between two steps."""
        return keep(self)

    def _notes(self) -> dict[str, Any]:
        """What a model file says of the data it was trained on: how to encode others, and how it was judged."""
        loss = self.course.loss
        return {
            "schema": self.train.schema.to_dict(), "data": identity(self.train), "loss": loss if isinstance(loss, str) else None
        }  # fmt: skip


def _way(problem: Problem, optimizer: Any) -> Way:
    if problem.shards:
        check_optimizer(optimizer)
    if isinstance(optimizer, optim.LBFGS):
        return FullBatch(problem, optimizer)
    checks.check_batches(problem.model, problem.train, problem.batch_size)
    return MiniBatches(problem, optimizer)


def _touches(callback: Callback) -> bool:
    """Whether it is told of every step and is not one of ours, which leave the weights alone."""
    return type(callback).on_step is not Callback.on_step and not type(callback).__module__.startswith("nnx.")
