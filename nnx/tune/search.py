"""What a search found: its trials in order of their scores, the best of them, and what they say of the space."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnx.errors import StateError
from nnx.tune.edges import edges
from nnx.tune.extra import optuna, quiet
from nnx.tune.storage import redacted
from nnx.tune.study import FIRST, Study

WORDS = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
LEAST = 10
"""Trials that importances are worked out from, at least."""

QUANTILE = 0.25
"""Importance for what: for being among this share of the trials."""


@dataclass(frozen=True)
class Row:
    """One trial: its ticket (``first`` for the configuration that was tried first), what was tried, what came of it."""

    trial: int | str
    stage: int
    state: str
    params: Mapping[str, Any]
    score: float | None
    epoch: int | None
    loss: float | None
    seconds: float | None
    reason: str
    curve: Mapping[int, float]


@dataclass(frozen=True)
class Search:
    """What :func:`nnx.tune` returns. ``rows`` has the best trial first; those that were pruned, failed or have not ended follow."""

    name: str
    storage: str
    monitor: str
    maximise: bool
    trials: int
    rows: tuple[Row, ...]
    importances: Mapping[str, float] = field(default_factory=dict)
    study: Study | None = field(default=None, repr=False, compare=False)
    stopped: str = ""
    """Why it ended before its last trial: interrupted, terminated; empty if it did not."""

    def of(self, *states: str) -> list[Row]:
        """The trials in these states: done, pruned, failed, running, waiting."""
        return [row for row in self.rows if row.state in states]

    @property
    def best(self) -> Row:
        """The best trial. ``StateError`` if none was done; it names what the first one failed of."""
        done = self.of("done")
        if done:
            return done[0]
        failed = self.of("failed")
        raise StateError(
            "no trial was completed",
            got=f"{failed[0].reason}" if failed else f"{len(self.rows)} trials that have not ended",
            where=f"search {self.name}",
            fix="" if failed else "Continue it.",
        )

    @property
    def first(self) -> Row | None:
        """The configuration that was tried first, if there was one."""
        return next((row for row in self.rows if row.trial == FIRST), None)

    def edges(self, allowed: Callable[[str, Any], bool] = lambda name, value: True) -> list[str]:
        """A sentence for each range at whose end the best trial lies, with what to write instead."""
        if self.study is None or self.best.trial == FIRST:
            return []
        return edges(self.study.space, self.best.params, allowed)

    def write(self, directory: Path) -> list[str]:
        """trials.csv, curves.csv and, where they are known, importances.csv; their names."""
        names = list(dict.fromkeys(name for row in self.rows for name in row.params))
        trials: list[list[Any]] = [
            ["trial", "stage", "state", self.monitor, "epoch", "val_loss", "seconds", *names, "reason"]
        ]
        for row in self.rows:
            values = [_cell(row.params.get(name)) for name in names]
            trials.append(
                [row.trial, row.stage, row.state, row.score, row.epoch, row.loss, row.seconds, *values, row.reason]
            )
        curves: list[list[Any]] = [["trial", "epoch", self.monitor]]
        curves += [[row.trial, epoch, value] for row in self.rows for epoch, value in sorted(row.curve.items())]
        tables = {"trials.csv": trials, "curves.csv": curves}
        if self.importances:
            tables["importances.csv"] = [["name", "importance"], *map(list, self.importances.items())]
        for name, table in tables.items():
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(table)
            (directory / name).write_text(text.getvalue(), encoding="utf-8")
        return list(tables)


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def look(study: Study, stopped: str = "", *, judge: bool = True) -> Search:
    """The search as it stands; ``judge`` works the importances out, too."""
    trials = study.trials()
    rows = [_row(trial) for trial in trials]
    sign = -1.0 if study.plan.maximise else 1.0
    order = {"done": 0, "pruned": 1, "failed": 2, "running": 3, "waiting": 4}

    def place(pair: tuple[int, Row]) -> tuple[float, ...]:
        at, row = pair
        score = float("inf") if row.score is None else sign * row.score
        return (order[row.state], score, float("inf") if row.loss is None else row.loss, at)

    rows = [row for _, row in sorted(enumerate(rows), key=place)]
    return Search(
        study.name, redacted(study.url or "memory"), study.plan.monitor, study.plan.maximise, study.plan.trials,
        tuple(rows), importances(study) if judge else {}, study, stopped,
    )  # fmt: skip


def _row(trial: Any) -> Row:
    known, state = trial.user_attrs, WORDS[trial.state.name]
    ended, result = state in ("done", "pruned"), known.get("result", {})
    return Row(
        known["ticket"], known["stage"], state, known.get("params", {}), trial.value if ended else None,
        result.get("epoch"), result.get("loss"), result.get("seconds"), result.get("reason", ""), dict(trial.intermediate_values),
    )  # fmt: skip


def importances(study: Study) -> dict[str, float]:
    """How much each range matters for being among the best quarter: shares that sum to 1, the largest first.

    PED-ANOVA, which needs no library beyond NumPy; nothing with fewer than ten trials that were done. Of widths, the number
    of layers and the first count: the others are not there in every trial.

    Watanabe, Bansal, Hutter: PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces (IJCAI
    2023).
    """
    library = optuna()
    done = [t for t in study.trials() if t.state == library.trial.TrialState.COMPLETE and t.params]
    everywhere = [p for p in study.space.ranges if all(p.stored in t.params for t in done)]
    if len(done) < LEAST or len(everywhere) < 2:
        return {}
    with quiet():
        copy = library.create_study(direction="maximize" if study.plan.maximise else "minimize")
        copy.add_trials(done)
        judge = library.importance.PedAnovaImportanceEvaluator(target_quantile=QUANTILE)
        found = library.importance.get_param_importances(
            copy, evaluator=judge, params=[part.stored for part in everywhere]
        )
    names = {part.stored: part.name for part in everywhere}
    if not all(value == value for value in found.values()):
        return {}
    return {names[stored]: float(value) for stored, value in found.items()}
