"""T8: the learning rate against a range test: 100 steps at rates that grow from 1e-7 to 10, on a copy.

All steps take the same 256 rows without dropout, so that what moves the loss is the rate and not the draw of the batch.
What the losses say is judged as by ``nnx.lr_find``. A rate is held against the one at which the loss falls fastest; suggested
is the geometric mean of that and a tenth of the one at which it is lowest, for on tables of all kinds the first alone was
too low: 30 times for SGD with momentum, 20 for Adam.
"""

import math

import numpy as np

from nnx.doctor.measure import number
from nnx.doctor.subject import Subject
from nnx.doctor.trial import Trial
from nnx.doctor.verdict import Check, Finding, Severity
from nnx.errors import ConfigError
from nnx.optim import Optimizer, with_learning_rate
from nnx.train.range_test import HIGH, LOW, ROWS, STEPS, judge

STEADY = 40


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
    found = judge(rates, losses.tolist(), check.limits["stop"])
    steady, still = (
        Trial(subject, "range test", optimizer=unit).run(STEADY, rates=[rate] * STEADY).pulled_losses()[-10:]
        for rate in (subject.rate, 1e-30)
    )  # the second takes the same batches with the same units dropped, and moves nothing
    before, after = (float(np.median(losses)) for losses in (still, steady))
    rises = not np.isfinite(steady).all() or after > before + 0.05 * abs(before)
    course = (
        f"the loss {'rises' if rises else 'goes'} from {number(before)} to {number(after)} at {number(subject.rate)}"
    )
    if found.steepest is None or found.tenth is None:
        severity: Severity = "fail" if rises else "warn"
        text = f"no rate lowers the loss; {course}"
        return check.say(
            severity,
            text,
            "a rate that lowers it",
            "optimizer",
            {"advice": "Look at the data, the loss and the derivatives (I7): no rate will do"},
            rises=float(rises),
        )
    ratio = subject.rate / found.steepest
    most = check.limits["adam"] if subject.core.name.startswith("adam") else math.inf
    suggested = min(math.sqrt(found.steepest * found.tenth), found.steepest * check.limits["high"], most)
    halves = after < check.limits["falls"] * before
    severity = (
        "fail"
        if rises
        else "pass"
        if check.limits["low"] <= ratio and (ratio <= check.limits["high"] or halves)
        else "warn"
    )
    text = f"{number(subject.rate)}, suggested {number(suggested)}; {course}"
    bound = f"{number(found.steepest * check.limits['low'])}–{number(found.steepest * check.limits['high'])}"
    advice = {"advice": f"Use the suggested rate {number(suggested)}"}
    figures = {"ratio": ratio, "rises": float(rises), "suggested": suggested}
    return check.say(severity, text, bound, "optimizer", advice, **figures)


def _at_rate_one(optimizer: Optimizer) -> Optimizer | None:
    """The same optimizer with the learning rate 1, to be multiplied by a rate."""
    try:
        return with_learning_rate(optimizer, 1.0)
    except ConfigError:
        return None
