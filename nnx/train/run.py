"""A training run: the model, its history, and what it was made with."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnx.errors import StateError
from nnx.layers import Module
from nnx.optim import LBFGS, with_learning_rate
from nnx.train.record import Record, score

METRICS, MODEL = "metrics.jsonl", "model.safetensors"
STATISTICS, SNAPSHOTS = "statistics.jsonl", "snapshots.safetensors"
"""The files of a run's directory."""


@dataclass(repr=False)
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
    working: dict[str, Any] = field(default_factory=dict)
    """The optimizer's state at work, which the next step takes over: its arrays change. To keep it, take ``state``."""
    step: int = 0
    kept_epoch: int = 0
    """The epoch to whose weights a callback has gone back at the end; 0 where the model has those of the last step."""
    stopped: str = ""
    """Why it ended before its last epoch: interrupted, terminated, diverged, a callback ended it, or that L-BFGS
    converged or found no step downhill; empty if it did not."""
    optimizer: Any = None
    """The optimizer at work, bound to the length of an epoch."""
    rate_factor: float = 1.0
    """What the learning rate of the schedule is multiplied by."""
    fixed_rate: float | None = None
    """The learning rate that was set in place of the schedule's, by :meth:`set_rate`."""

    def begin(self, optimizer: Any, state: dict[str, Any], steps_per_epoch: int) -> None:
        """From here on this optimizer is at work."""
        self.optimizer, self.state, self.steps_per_epoch = optimizer, state, steps_per_epoch
        self.rate_factor, self.fixed_rate, self._scheduled = 1.0, None, optimizer

    def resume_rate(self, fixed: float | None, factor: float) -> None:
        """The rate as it was when a checkpoint was written, whose optimizer state has the factor in it already."""
        if fixed is not None:
            self.optimizer = with_learning_rate(self._scheduled, fixed)
        self.fixed_rate, self.rate_factor = fixed, factor

    @property
    def state(self) -> dict[str, Any]:
        """The optimizer's state as it is now. It is the reader's own: what is held is not written over by later steps."""
        return _own(self.working)

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self.working = _own(state)

    # the learning rate, while it trains -------------------------------------------------------------------------------
    @property
    def has_rate(self) -> bool:
        """Whether the optimizer at work has a learning rate; L-BFGS has none."""
        return self.optimizer is not None and not isinstance(self.optimizer, LBFGS)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; for L-BFGS, the length that the last line search has found."""
        return float(self.optimizer.rate(self.working) if self.has_rate else self.working.get("length", 0.0))

    def scale_rate(self, by: float) -> None:
        """Multiply the learning rate from the next step on, whatever the schedule says then."""
        self._factor(self.rate_factor * by)

    def set_rate(self, learning_rate: float | None) -> None:
        """This learning rate from the next step on, in place of the schedule; ``None``: the schedule's again."""
        self.optimizer = (
            self._scheduled if learning_rate is None else with_learning_rate(self._scheduled, learning_rate)
        )
        self.fixed_rate = learning_rate
        self._factor(1.0)

    def _factor(self, factor: float) -> None:
        self.rate_factor = factor
        self.working = self.optimizer.with_rate_factor(self.working, factor)

    # how far it is ----------------------------------------------------------------------------------------------------
    @property
    def steps_into_epoch(self) -> int:
        """The steps since the last epoch ended."""
        return self.step - (int(self.history[-1]["step"]) if self.history else 0)

    @property
    def done(self) -> float:
        """The share of its epochs that lies behind."""
        return (len(self.history) + self.steps_into_epoch / self.steps_per_epoch) / self.epochs

    # how good it is ---------------------------------------------------------------------------------------------------
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
            raise StateError(expected="a finished epoch", got="none", where="run.best", fix="Train for an epoch first.")
        return min(self.history, key=lambda record: score(record, self.monitor))

    def __repr__(self) -> str:
        last = self.history[-1] if self.history else {}
        scores = [
            f"{name} {last[name]:.4g}"
            for name in ("loss", "val_loss", self.metric, f"val_{self.metric}")
            if name in last
        ]
        told = [f"epoch {len(self.history)} of {self.epochs}", *scores, *filter(None, [self.stopped])]
        return f"Run({', '.join(told)})"

    def curve(self, name: str) -> list[float]:
        """One value of every epoch, e.g. ``run.curve("val_loss")``."""
        return [float(record[name]) for record in self.history]


def _own(state: dict[str, Any]) -> dict[str, Any]:
    """The same arrays in other dictionaries."""
    return {key: _own(value) if type(value) is dict else value for key, value in state.items()}
