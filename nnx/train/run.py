"""A training run: the model, its history, and what it was made with."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnx.errors import StateError
from nnx.layers import Module
from nnx.train.record import Record, score

METRICS, MODEL = "metrics.jsonl", "model.safetensors"
STATISTICS, SNAPSHOTS = "statistics.jsonl", "snapshots.safetensors"
"""The files of a run's directory."""


@dataclass
class Run:
    """What :func:`nnx.fit` returns, and what callbacks see while it runs."""

    model: Module
    task: str | None
    epochs: int
    steps_per_epoch: int
    metric: str
    validated: bool = False
    directory: Path | None = None
    history: list[Record] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    stopped: str = ""
    """Why it ended before its last epoch: interrupted, terminated, diverged, a callback ended it; empty if it did not."""

    @property
    def monitor(self) -> str:
        """What "best" is judged by: the metric on validation data; without any, the metric or the loss in training."""
        if self.validated:
            return f"val_{self.metric}"
        return self.metric if self.history and self.metric in self.history[0] else "loss"

    @property
    def best(self) -> Record:
        """The record of the best epoch so far (the first of equals). ``StateError`` before the end of the first."""
        if not self.history:
            raise StateError(expected="a finished epoch", got="none", where="run.best")
        return min(self.history, key=lambda record: score(record, self.monitor))

    def curve(self, name: str) -> list[float]:
        """One value of every epoch, e.g. ``run.curve("val_loss")``."""
        return [float(record[name]) for record in self.history]
