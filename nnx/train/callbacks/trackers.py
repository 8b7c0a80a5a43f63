"""Trainings shown by other tools: TensorBoard, MLflow, Weights & Biases. Each is a callback that loads what you have installed.

They log what ``run.history`` holds, once an epoch, under the same names and at the number of the step. Another tool takes a
subclass of :class:`Tracker` with three methods.
"""

import os
from collections.abc import Mapping
from typing import Any

from nnx.errors import BackendUnavailable
from nnx.train.callbacks.base import Callback
from nnx.train.record import Record
from nnx.train.run import Run


class TrackerUnavailable(BackendUnavailable):
    """The tool's library is not installed."""

    def __init__(self, library: str, install: str, where: str) -> None:
        super().__init__(f"{library} is not installed", where=where, fix=f"Run: python -m pip install {install}")


class Tracker(Callback):
    """The base: ``open`` when the training begins, ``log`` after each epoch, ``close`` when it has ended, however it did."""

    def open(self, run: Run) -> None:
        """Begin, or go on where a checkpoint has remembered it."""

    def log(self, values: dict[str, float], step: int) -> None:
        """The numbers of an epoch, which ended with this step."""

    def close(self, run: Run) -> None:
        """End it; ``run.stopped`` says why the training did, and is empty after its last epoch."""

    def on_start(self, run: Run) -> None:
        """Before the first step: nothing is remembered of an earlier training."""
        for name in self.remembers:
            setattr(self, name, None)
        self.open(run)

    def on_resume(self, run: Run, remembered: dict[str, Any]) -> None:
        """Go on with the same record."""
        for name in self.remembers:
            setattr(self, name, remembered.get(name))
        self.open(run)

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """The record's numbers."""
        self.log({name: float(value) for name, value in record.items() if name != "step"}, int(record["step"]))
        return None

    def on_end(self, run: Run) -> None:
        """Whatever ended it."""
        self.close(run)


class TensorBoard(Tracker):
    """Event files in ``directory`` for ``tensorboard --logdir``, written by tensorboardX.

    With ``writer`` any object with ``add_scalar`` is written to instead, such as
    ``torch.utils.tensorboard.SummaryWriter(…)``; it stays open.
    """

    def __init__(self, directory: str | os.PathLike[str] = "tensorboard", *, writer: Any = None) -> None:
        self.directory, self.writer = str(directory), writer
        if writer is None:
            self._kind()

    def _kind(self) -> Any:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise TrackerUnavailable("tensorboardX", "tensorboardX, or pass writer=", "TensorBoard") from None
        return SummaryWriter

    def open(self, run: Run) -> None:
        """A new event file; those of an earlier part of the training stand beside it."""
        self._own = self._kind()(self.directory) if self.writer is None else None

    def log(self, values: dict[str, float], step: int) -> None:
        """A scalar for each."""
        writer = self._own or self.writer
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    def close(self, run: Run) -> None:
        """Write what is left."""
        (self._own.close if self._own else self.writer.flush)()


class MLflow(Tracker):
    """A run of MLflow, in the experiment and at the place that ``mlflow.set_experiment`` and ``set_tracking_uri`` have set.

    Inside ``with mlflow.start_run():`` it logs to that run. ``params`` are logged when it begins; ``settings`` are those of
    ``mlflow.start_run``. After ``nnx.resume`` it goes on with the same run.
    """

    remembers = ("run_id",)

    def __init__(self, params: Mapping[str, Any] | None = None, **settings: Any) -> None:
        self.params, self.settings = dict(params or {}), settings
        self._library()

    def _library(self) -> Any:
        try:
            import mlflow
        except ImportError:
            raise TrackerUnavailable("mlflow", "mlflow", "MLflow") from None
        return mlflow

    def open(self, run: Run) -> None:
        """The run at hand, that of the checkpoint, or a new one."""
        mlflow = self._library()
        active = mlflow.active_run()
        self._own = active is None
        self.run_id: str | None
        if active is None:
            active = mlflow.start_run(**(self.settings if self.run_id is None else {"run_id": self.run_id}))
        self.run_id = active.info.run_id
        mlflow.log_params(self.params)

    def log(self, values: dict[str, float], step: int) -> None:
        """All in one call."""
        self._library().log_metrics(values, step=step, run_id=self.run_id)

    def close(self, run: Run) -> None:
        """Finished, failed where it diverged, killed where it was interrupted; a run of yours stays open."""
        if self._own:
            ending = {"diverged": "FAILED", "interrupted": "KILLED", "terminated": "KILLED"}
            self._library().end_run(ending.get(run.stopped, "FINISHED"))


class WandB(Tracker):
    """A run of Weights & Biases; ``settings`` are those of ``wandb.init``, such as project="digits" or mode="offline".

    After ``nnx.resume`` it goes on with the same run.
    """

    remembers = ("run_id",)

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self._library()

    def _library(self) -> Any:
        try:
            import wandb
        except ImportError:
            raise TrackerUnavailable("wandb", "wandb", "WandB") from None
        return wandb

    def open(self, run: Run) -> None:
        """A new run, or that of the checkpoint."""
        again = {} if self.run_id is None else {"id": self.run_id, "resume": "allow"}
        self._run = self._library().init(**self.settings, **again)
        self.run_id: str | None = self._run.id

    def log(self, values: dict[str, float], step: int) -> None:
        """All in one call."""
        self._run.log(values, step=step)

    def close(self, run: Run) -> None:
        """With an exit code that is not 0 where it diverged or was interrupted."""
        self._run.finish(exit_code=int(run.stopped in ("diverged", "interrupted", "terminated")))
