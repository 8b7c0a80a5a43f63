"""Watch: the cheap checks while ``nnx.fit`` runs; each speaks up once."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from nnx.doctor import during
from nnx.doctor.course import of_run, step_size
from nnx.doctor.during import Whole
from nnx.doctor.measure import norm, pull_rows, stack
from nnx.doctor.report import Report, with_causes
from nnx.doctor.rows import Rows, rows_of
from nnx.doctor.short_training import CHECKS as SHORT
from nnx.doctor.verdict import Check, Finding, Severity, Verdict
from nnx.doctor.walk import walk
from nnx.train import Callback, Run, predict
from nnx.train.evaluation import backend_of, input_dtype_of
from nnx.train.record import Record
from nnx.typing import Array

ROWS, EPOCHS = 256, 10
"""Rows that units are looked at with; epochs whose steps are measured: a net that has learnt hardly moves."""
_T3 = next(check for check in of_run(lambda subject: subject) if check.id == "T3")  # type: ignore[arg-type,return-value]
_UNITS = {check.id: check for check in SHORT if check.id in ("T4", "T5")}


def say(verdict: Verdict) -> None:
    """One line on standard error."""
    where = f" at {verdict.where}" if verdict.where else ""
    print(
        f"doctor: {verdict.severity} {verdict.id}{where}: {verdict.measured} (bound: {verdict.bound}). {verdict.remedy}",
        file=sys.stderr,
    )


class Watch(Callback):
    """A callback for ``nnx.fit``: watches the loss, the size of the steps, dead and saturated units, and over- and underfitting.

    ``nnx.fit(model, train, val, callbacks=[nnx.doctor.Watch(train)])``. What it sees it tells once, by
    ``tell(verdict)``, on standard error by default; ``watch.report`` has all of it at the end. Without ``train`` it
    cannot look at units (T4, T5) or compare accuracies in inference (R2). It looks at the weights at two steps of each
    epoch and at up to 256 rows after it.
    """

    def __init__(self, train: Any = None, *, tell: Callable[[Verdict], None] = say) -> None:
        self.rows: Rows | None = None if train is None else rows_of(train, "train")
        self.tell = tell

    def on_start(self, run: Run) -> None:
        """Forget an earlier run."""
        self.found: dict[str, Verdict] = {}
        self._before: dict[str, Array] | None = None
        self._steps: list[Array] = []
        self._paths: list[str] = []

    def on_step(self, run: Run) -> None:
        """Remember the weights at the end of the first step of an epoch; compare at the end of the second.

        The steps of L-BFGS are passed over: a line search has found how long they should be.
        """
        if not run.has_rate:
            self._before = None
            return
        at = (run.step - 1) % max(run.steps_per_epoch, 3)
        if at == 0:
            self._before = {path: w for path, w in run.model.parameters().items() if w.ndim >= 2}
        elif at == 1 and self._before:
            now = run.model.parameters()
            self._paths = list(self._before)
            self._steps.append(
                stack([norm(now[p] - w) for p, w in self._before.items()] + [norm(w) for w in self._before.values()])
            )
            self._before = None

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """Judge the epoch."""
        whole = Whole(run.history, run.epochs)
        self._note(during.T12_EPOCHS, during.rising(whole, during.T12_EPOCHS))
        self._note(during.R1, during.overfitting(whole, during.R1))
        if self._steps:
            self._note(_T3, self._ratio())
        if self.rows is not None:
            self._units(run)
        return None

    def on_end(self, run: Run) -> None:
        """Judge the whole run."""
        whole = Whole(run.history, len(run.history) if run.stopped else run.epochs)
        score = None
        if self.rows is not None and run.history and "val_accuracy" in run.history[-1]:
            limit = during.R2.limits["points"]
            close = float(run.history[-1]["val_accuracy"]) - float(run.history[-1].get("accuracy", 0.0)) <= limit
            score = float(run.history[-1]["accuracy"]) if close else self._accuracy(run)
        self._note(during.R2, during.better_on_validation(replace(whole, train_score=score), during.R2))
        self._note(during.R3, during.length(whole, during.R3))

    def _accuracy(self, run: Run) -> float:
        """On training rows, in inference: in training dropout makes it look worse."""
        assert self.rows is not None
        outputs = predict(run.model, self.rows.x)
        return float(np.mean(np.argmax(outputs, axis=-1) == self.rows.y))

    @property
    def report(self) -> Report:
        """All that was judged, the last finding of each check that had nothing to say."""
        return Report(with_causes(list(self.found.values())), "nnx.fit")

    def _note(self, check: Check, finding: Finding) -> None:
        before = self.found.get(check.id)
        if before is not None and before.bad:
            return
        verdict = self.found[check.id] = replace(check.verdict(finding), moment="run")
        if verdict.bad:
            self.tell(verdict)

    def _ratio(self) -> Finding:
        """T3 from two steps of each epoch."""
        table = pull_rows(self._steps)
        n = len(self._paths)
        with np.errstate(all="ignore"):
            ratios = np.median(table[:EPOCHS, :n] / table[:EPOCHS, n:], axis=0)
        t = _T3.limits
        known = np.isfinite(ratios)
        far = np.where(known, np.abs(np.log10(np.maximum(ratios, 1e-30) / 3e-3)), np.inf)
        at = int(np.argmax(far))
        value, where = float(ratios[at]), self._paths[at]
        severity: Severity = "pass" if len(table) < 3 or t["low"] <= value <= t["early"] * t["high"] else "warn"
        text, advice, _ = step_size(value, where)
        return _T3.say(severity if known.all() else "fail", text, "1e-4–0.1", where, {"advice": advice}, ratio=value)

    def _units(self, run: Run) -> None:
        assert self.rows is not None
        step = max(len(self.rows) // ROWS, 1)
        x = backend_of(run.model).asarray(self.rows.x[::step][:ROWS], dtype=input_dtype_of(run.model))
        view = _View(walk(run.model, x)[0], run.model)
        for check in _UNITS.values():
            self._note(check, check.run(view, check))


class _View:
    """As much of a subject as T4 and T5 look at."""

    def __init__(self, calls: Any, model: Any) -> None:
        self.backend = backend_of(model)
        self._shared = self
        self.after = calls
