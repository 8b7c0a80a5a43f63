"""One trial: what the function to be tuned gets, and how its scores reach the storage."""

import math
from collections.abc import Mapping
from typing import Any

from nnx.errors import ConfigError
from nnx.train import Callback, Run
from nnx.train.record import Record, score
from nnx.tune.pruner import pruner
from nnx.tune.study import Study


class Trial:
    """The values to try: ``trial["lr"]``, ``trial.params``. Give ``trial.callbacks`` to ``nnx.fit``: they keep the curve,
    and end a hopeless trial where there is a pruner."""

    def __init__(self, study: Study, found: Any, trial_id: int, params: Mapping[str, Any]) -> None:
        self.params = dict(params)
        self.ticket: int | str = found.user_attrs["ticket"]
        self.report = Report(study, found, trial_id)

    @property
    def callbacks(self) -> list[Callback]:
        """For ``nnx.fit(callbacks=…)``."""
        return [self.report]

    def __getitem__(self, name: str) -> Any:
        return self.params[name]


class Report(Callback):
    """Every epoch's score goes to the storage; the pruner may end the training."""

    def __init__(self, study: Study, found: Any, trial_id: int) -> None:
        self.study, self.found, self.id = study, found, trial_id
        self.monitor = study.plan.monitor
        self.curve: dict[int, float] = {}
        self.pruned = False
        self.pruner: Any = None

    def on_start(self, run: Run) -> None:
        """Begin the curve."""
        self.curve, self.pruned = {}, False
        if self.found.user_attrs["ticket"] != "first":
            self.pruner = pruner(self.study.plan.pruner, run.epochs)

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """Tell the storage; ask the pruner."""
        value = value_of(record, self.monitor)
        epoch = int(record["epoch"])
        self.curve[epoch] = value
        self.study.storage.set_trial_intermediate_value(self.id, epoch, value)
        if self.pruner is not None and epoch < run.epochs and math.isfinite(value):
            self.pruned = bool(self.pruner.prune(self.study.optuna, self._so_far()))
        return self.pruned

    def _so_far(self) -> Any:
        """The trial as of this attempt: one that was put back has scores of an earlier one in the storage."""
        now = self.study.storage.get_trial(self.id)
        now.intermediate_values = dict(self.curve)
        if len(self.curve) == 1:
            now.system_attrs = {k: v for k, v in now.system_attrs.items() if not k.startswith("completed_rung")}
        return now


def value_of(record: Record, monitor: str) -> float:
    """The monitored value of an epoch. ``ConfigError`` if it has none."""
    score(record, monitor)
    return float(record[monitor])


def result_of(answer: Any, monitor: str) -> tuple[float, dict[str, Any]]:
    """The score that a function to be tuned gave back, and what else is known of it: that of the weights that were kept.

    Not the best of all epochs: nobody has the weights of that one, and with many trials the highest peak is luck.
    """
    if isinstance(answer, Run):
        kept = answer.history[(answer.kept_epoch or len(answer.history)) - 1]
        return value_of(kept, monitor), {"epoch": kept["epoch"], "loss": kept.get("val_loss", kept.get("loss"))}
    try:
        return float(answer), {}
    except (TypeError, ValueError):
        raise ConfigError(
            expected="the Run of nnx.fit, or a number",
            got=type(answer).__name__,
            where="what the function to be tuned returns",
            fix="End it with: return nnx.fit(…, callbacks=trial.callbacks).",
        ) from None
