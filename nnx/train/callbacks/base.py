"""What may happen while a model trains: callbacks see the run after every epoch and may end it."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from nnx.errors import ConfigError
from nnx.train.files.log import Log
from nnx.train.files.weights import write_whole
from nnx.train.record import Record, as_json, score
from nnx.train.run import Run
from nnx.typing import Array


class Callback:
    """The base: override what you need. ``on_epoch`` ends the training by returning true.

    ``remembers`` names the attributes that a checkpoint keeps, so that a training that was cut goes on as it would
    have: numbers, text, arrays, and lists, tuples and dictionaries of them.
    """

    remembers: ClassVar[tuple[str, ...]] = ()

    def on_start(self, run: Run) -> None:
        """Before the first step."""

    def on_step(self, run: Run) -> None:
        """After each step; ``run.step`` counts them. Look at nothing on the device here: that would wait for it."""

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """After each epoch."""
        return None

    def on_end(self, run: Run) -> None:
        """After the last epoch, also when a callback or ^C ended it."""

    def remembered(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback."""
        return {name: getattr(self, name) for name in self.remembers}

    def on_resume(self, run: Run, remembered: dict[str, Any]) -> None:
        """In place of ``on_start``, where a training goes on from a checkpoint: what it kept is given back."""
        self.on_start(run)
        vars(self).update({name: remembered[name] for name in self.remembers if name in remembered})


class OnEpoch(Callback):
    """A plain function ``f(run, record)`` as a callback."""

    def __init__(self, function: Callable[[Run, Record], bool | None]) -> None:
        self.function = function

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """Call it."""
        return self.function(run, record)


class EarlyStopping(Callback):
    """End when ``monitor`` has not improved by ``min_delta`` for ``patience`` epochs, and restore the best arrays.

    Metrics that grow with quality (accuracy, r2) are maximised, everything else minimised. Errors: ``ConfigError`` for
    a patience below 1.

    >>> import nnx
    >>> train, val = nnx.data.split(nnx.data.load("digits"), (0.8, 0.2), seed=0)
    >>> model = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 10))
    >>> run = nnx.fit(model, train, val, epochs=50, callbacks=[EarlyStopping(patience=2, min_delta=0.05)])
    >>> len(run.history) < 50
    True
    """

    remembers = ("best", "best_epoch", "arrays")

    def __init__(
        self, patience: int = 10, *, monitor: str = "val_loss", min_delta: float = 0.0, restore: bool = True
    ) -> None:
        if patience < 1:
            raise ConfigError(
                expected="patience ≥ 1 epochs", got=repr(patience), where="EarlyStopping", fix="10 is usual."
            )
        self.patience, self.monitor, self.min_delta, self.restore = patience, monitor, min_delta, restore

    def on_start(self, run: Run) -> None:
        """Forget an earlier training."""
        self.best, self.best_epoch, self.arrays = math.inf, 0, dict[str, Array]()

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """Compare with the best so far."""
        value = score(record, self.monitor)
        if value < self.best - self.min_delta:
            self.best, self.best_epoch, self.arrays = value, record["epoch"], run.model.state()
        return bool(record["epoch"] - self.best_epoch >= self.patience)

    def on_end(self, run: Run) -> None:
        """Back to the best."""
        if self.restore and self.arrays:
            run.model.load(self.arrays)
            run.kept_epoch = self.best_epoch


class MetricsFile(Callback):
    """Every record as one line of JSON in ``metrics.jsonl``, before the next epoch begins; null for NaN and infinity.

    On a full disk the lines wait (see :class:`nnx.train.files.log.Log`).
    """

    def __init__(self, directory: str | os.PathLike[str], *, tell: Callable[[str], None] | None = None) -> None:
        self.path = Path(directory) / "metrics.jsonl"
        self._log = Log(self.path, tell)

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """Append the record."""
        self._log.append(as_json(record))
        return None

    def on_end(self, run: Run) -> None:
        """Write what has had to wait."""
        self._log.close()

    def on_resume(self, run: Run, remembered: dict[str, Any]) -> None:
        """The epochs after the checkpoint come again: their lines go."""
        write_whole(self.path, "".join(as_json(record) + "\n" for record in run.history).encode())
