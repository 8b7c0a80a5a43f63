"""T8: the learning rate against a range test: 100 steps at rates that grow from 1e-7 to 10, on a copy.

All steps take the same 256 rows without dropout, so that what moves the loss is the rate and not the draw of the batch.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from nnx.doctor.measure import number
from nnx.doctor.subject import Subject
from nnx.doctor.trial import Trial
from nnx.doctor.verdict import Check, Finding, Severity
from nnx.optim import Chain, Constrained, Optimizer

LOW, HIGH, STEPS, STEADY, ROWS = 1e-7, 10.0, 100, 40, 256
_SMOOTH = 0.5


def range_test(subject: Subject, check: Check) -> Finding:
    """T8."""
    unit = _at_rate_one(subject.optimizer)
    if unit is None or not math.isfinite(subject.rate):
        return check.skip("the optimizer has no learning rate")
    rates = list(np.geomspace(LOW, HIGH, STEPS))
    few = subject.train.take(subject.draw("range test", ROWS))
    losses = (
        Trial(subject, "range test", optimizer=unit, dropout=False, rows=few, whole=True)
        .run(STEPS, rates=rates)
        .pulled_losses()
    )
    suggested = suggestion(np.asarray(rates), losses, check.limits["stop"])
    steady = Trial(subject, "range test", optimizer=unit).run(STEADY, rates=[subject.rate] * STEADY).pulled_losses()
    rises = not np.isfinite(steady).all() or float(np.median(steady[-10:])) > float(steady[0]) * 1.05
    course = f"the loss {'rises' if rises else 'goes'} from {number(float(steady[0]))} to {number(float(np.median(steady[-10:])))} at {number(subject.rate)}"
    if suggested is None:
        severity: Severity = "fail" if rises else "warn"
        text = f"no rate lowers the loss; {course}"
        return check.say(
            severity,
            text,
            "a rate that lowers it",
            "optimizer",
            {"suggested": "once the loss falls at some rate (I7)"},
            rises=float(rises),
        )
    ratio = subject.rate / suggested
    halves = float(np.median(steady[-10:])) < check.limits["falls"] * float(steady[0])
    severity = (
        "fail"
        if rises
        else "pass"
        if check.limits["low"] <= ratio and (ratio <= check.limits["high"] or halves)
        else "warn"
    )
    text = f"{number(subject.rate)}, suggested {number(suggested)}; {course}"
    bound = f"{number(suggested * check.limits['low'])}–{number(suggested * check.limits['high'])}"
    return check.say(
        severity, text, bound, "optimizer", {"suggested": number(suggested)}, ratio=ratio, rises=float(rises)
    )


def suggestion(rates: np.ndarray[Any, Any], losses: np.ndarray[Any, Any], stop: float) -> float | None:
    """The rate at which the smoothed loss falls fastest, before it reaches ``stop`` times its least; None if it never falls by 2 %.

    >>> rates = np.geomspace(1e-7, 10, 100)
    >>> losses = 1.0 - 0.9 / (1.0 + (1e-3 / rates) ** 2)
    >>> 3e-4 < suggestion(rates, losses, 4.0) < 3e-3
    True
    """
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(np.argmin(finite))
    smooth, average = [], 0.0
    for step, loss in enumerate(losses[:end]):
        average = _SMOOTH * average + (1 - _SMOOTH) * float(loss)
        smooth.append(average / (1 - _SMOOTH ** (step + 1)))
        if step > 10 and loss > stop * min(smooth):
            break
    curve = np.asarray(smooth)
    if len(curve) < 15 or curve.min() > 0.98 * curve[:10].mean():
        return None
    slope = np.gradient(curve)
    return float(rates[10 + int(np.argmin(slope[10:-1]))])


def _at_rate_one(optimizer: Optimizer) -> Optimizer | None:
    """The same optimizer with the learning rate 1, to be multiplied by a rate."""
    if isinstance(optimizer, (Chain, Constrained)):
        inner = _at_rate_one(optimizer.optimizer)
        return None if inner is None else replace(optimizer, optimizer=inner)
    if not hasattr(optimizer, "learning_rate"):
        return None
    return replace(optimizer, learning_rate=1.0)  # type: ignore[type-var]
