"""I7 and I8: derivatives are right, and no row's output depends on another row."""

import numpy as np

from nnx.autodiff.check import gradcheck
from nnx.autodiff.transforms import vjp
from nnx.doctor.measure import number, pull
from nnx.doctor.subject import Subject
from nnx.doctor.trial import Trial
from nnx.doctor.verdict import Check, Finding, Severity, graded
from nnx.errors import DtypeError, GradientError, TracingError
from nnx.layers import training

ROWS = 3
"""Rows that the derivative is checked with; batch norm needs two or more."""


def gradients_are_right(subject: Subject, check: Check) -> Finding:
    """I7: the gradient of the loss against differences in float64, after some steps, with dropout masks held fixed.

    Where these steps throw the weights far away, differences there say nothing: it is checked at the start instead.
    """
    trial = Trial(subject, "gradients", penalise=False).run(int(check.limits["steps"]))
    losses = trial.pulled_losses()
    if not np.abs(losses).max() <= check.limits["thrown"] * abs(losses[0]):
        trial = Trial(subject, "gradients", penalise=False)
    model = trial.model
    rows = subject.draw("gradient check", ROWS)
    x, y = subject.inputs(subject.train, rows), subject.targets(subject.train, rows)

    try:
        with training(seed=subject.seed, step=trial.step, write_back=False):
            report = gradcheck(
                subject.loss_of, model, x, y, directions=1, entries=int(check.limits["entries"]), rtol=check.limits["warn"], raises=False, seed=subject.seed
            )  # fmt: skip
    except (DtypeError, TracingError) as error:
        return check.skip(f"not to be had in float64 ({error})"[:200])
    except GradientError as error:
        if "two values" in str(error):
            return check.skip("the loss gives two values for the same arguments: draw with nnx.random")
        return check.skip(f"the loss is not finite after {trial.step} steps")
    names = model.parameters()
    found = [row for row in report.parameters if row.path in names]
    checked = [row for row in found if row.checked]
    if not checked:
        return check.skip("every entry lies at a kink")
    checked = [row for row in checked if max(abs(row.analytic), abs(row.numeric)) >= check.limits["least"]]
    if not checked:
        return check.ok("all gradients are 0 or nearly so", "< 1e-4")  # which T6 and T10 judge
    worst = max(checked, key=lambda row: row.error)
    severity = graded(worst.error, warn=check.limits["warn"], fail=check.limits["fail"])
    text = f"relative error {number(worst.error)}: analytic {number(worst.analytic)}, numeric {number(worst.numeric)}"
    entry = f" {worst.at}" if worst.at.startswith("[") else ""
    where = f"{worst.path}{entry}"
    advice = f"The derivative at {where} is wrong: run `nnx.gradcheck` on it"
    if worst.analytic == 0:
        advice = f"The loss depends on {where}, but no gradient comes back to it: look for stop_gradient or rounding behind it"
    return check.say(severity, text, "< 1e-4", where, {"advice": advice}, error=min(worst.error, 1e300))


def rows_apart(subject: Subject, check: Check) -> Finding:
    """I8: ∂out_i/∂x_j is exactly 0 for i ≠ j, in inference; i is a row in the middle, which what runs either way meets."""
    n = min(8, len(subject.train))
    i = n // 2
    if n < 2:
        return check.skip("there is only one training row")
    x, xp = subject.inputs(subject.train, slice(0, n)), subject.backend.xp
    try:
        out, pull_back = vjp(lambda x: subject.model(x), x)
    except (DtypeError, TracingError) as error:
        return check.skip(f"the model cannot be differentiated by its inputs ({error})"[:200])
    if out.ndim < 1 or out.shape[0] != n:
        return check.say("fail", f"outputs of shape {tuple(out.shape)} for {n} rows", "a row for each row", "outputs")
    zero = xp.zeros_like(out)
    one = xp.concat([zero[:i, ...], xp.ones_like(out[i : i + 1, ...]), zero[i + 1 :, ...]], axis=0)
    weights = 1.0 + xp.cumulative_sum(xp.ones_like(xp.reshape(out, (-1,))))
    (slope,) = pull_back(one * xp.reshape(weights, out.shape))
    rest = xp.concat([slope[:i, ...], slope[i + 1 :, ...]], axis=0)
    others = pull({"others": xp.max(xp.abs(rest))})["others"]
    severity: Severity = "fail" if others != 0 else "pass"
    text = f"|∂out_{i}/∂x_j| up to {number(others)} in other rows" if others else "no row feels another"
    return check.say(severity, text, "exactly 0", "outputs", others=others)
