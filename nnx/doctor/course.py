"""T3, T6, T7, T9, T10, T12, T13: what the course of one training says, step by step."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnx import optim
from nnx.doctor.measure import number, percent
from nnx.doctor.subject import Subject
from nnx.doctor.trial import Course
from nnx.doctor.verdict import Check, Finding, Severity

Get = Callable[[Subject], Course]
Host = np.ndarray[Any, Any]


def windows(values: Host, size: int = 5) -> Host:
    """Means of consecutive windows; a rest is left out.

    >>> windows(np.arange(11.0)).tolist()
    [2.0, 7.0]
    """
    count = len(values) // size
    means: Host = values[: count * size].reshape(count, size).mean(axis=1)
    return means


def doubling(values: Host, times: int = 3) -> int | None:
    """The first step at which the mean of 5 steps has doubled ``times`` times in a row and is at its highest, or None.

    >>> doubling(np.repeat([1.0, 2.5, 6.0, 14.0], 5)), doubling(np.ones(40))
    (15, None)
    """
    means = windows(values)
    row = 0
    for index in range(1, len(means)):
        row = row + 1 if means[index] >= 2 * means[index - 1] > 0 else 0
        if row >= times and means[index] >= means[:index].max():
            return 5 * index
    return None


def usual(norms: Host) -> float:
    """What to clip gradients at: the 90th percentile of their norms, as far as they are finite."""
    finite = norms[np.isfinite(norms)]
    return float(np.quantile(finite, 0.9)) if finite.size else 1.0


def step_size(value: float, where: str) -> tuple[str, str, float]:
    """What T3 says of the median size of a step, what to do, and by what to multiply the learning rate.

    >>> step_size(0.05, "w")
    ('a step moves it by 0.05 of its size (median)', 'Multiply the learning rate by about 0.02', 0.02)
    """
    text = f"a step moves it by {number(value)} of its size (median)"
    if value == 0:
        return text, f"No gradient moves {where}: look at T6 and T10, not at the learning rate", 1.0
    factor = 1e-3 / value if np.isfinite(value) else 0.1
    text = text if np.isfinite(value) else "a step is no finite number"
    return text, f"Multiply the learning rate by about {factor:.1g}", float(f"{factor:.1g}")


def of_run(get: Get) -> tuple[Check, ...]:
    """The checks of a course, which ``get(subject)`` gives."""

    def update_ratio(subject: Subject, check: Check) -> Finding:
        """T3: how far a step moves the weights, for their size.

        Too little is what is too little at first and later, and teaches little: a net that has learnt moves little, and
        so does one whose schedule has come to its end or is still warming up.
        """
        course, t = get(subject), check.limits
        ratios = {
            course.paths[c]: course.update[:, c] / course.weight[:, c]
            for c in course.weights
            if course.weight[0, c] > 0
        }
        if not ratios:
            return check.skip("there is no weight with two axes that is not 0")
        early = {path: float(np.median(r[:20])) for path, r in ratios.items()}
        whole = {path: float(np.median(r)) for path, r in ratios.items()}
        high = max(ratios, key=lambda path: _nan_first(max(early[path] / t["early"], whole[path])))
        ever = {path: max(early[path], whole[path]) for path in ratios}
        low = min(ratios, key=lambda path: ever[path])
        largest, smallest = max(early[high] / t["early"], whole[high]), ever[low]
        slow = largest <= t["high"] and smallest < t["low"]
        value, where = (smallest, low) if slow else (largest, high)
        severity: Severity = "pass" if largest <= t["high"] and smallest >= t["low"] else "warn"
        if slow and float(np.median(course.loss[-20:])) < t["learnt"] * course.loss[0] and smallest > 0:
            severity = "pass"
        elif not largest <= t["high_fail"] or smallest < t["low_fail"]:
            severity = "fail"
        text, advice, factor = step_size(value, where)
        figures = {"smallest": smallest, "largest": largest, "factor": factor}
        return check.say(severity, text, "1e-4–0.1", where, {"advice": advice}, **figures)

    def vanishing(subject: Subject, check: Check) -> Finding:
        """T6: gradients that die on the way to the first layer."""
        course, t = get(subject), check.limits
        columns = course.weights
        if not columns:
            return check.skip("there is no weight with two axes")
        size = {course.paths[c]: float(np.median(course.mean_gradient[:20, c])) for c in columns}
        where = min(size, key=lambda path: size[path])
        first, last = (float(np.median(course.gradient[:20, c])) for c in (columns[0], columns[-1]))
        severity: Severity = "pass"
        unit = subject.loss_unit
        if size[where] < t["mean"] * unit or (last > 0 and first / last < t["ratio"] and first < t["norm"] * unit):
            severity = "warn"
        if size[where] < t["mean_fail"] * unit:
            severity = "fail"
        ratio = first / last if last > 0 else 0.0
        return check.say(
            severity,
            f"mean |g| {number(size[where])}, first/last layer {number(ratio)}",
            f"≥ {number(t['mean'] * unit)}, ratio ≥ 1e-3",
            where,
            smallest=size[where],
            ratio=ratio,
        )

    def exploding(subject: Subject, check: Check) -> Finding:
        """T7: gradients that grow without end, over the layers or over the steps."""
        course, t = get(subject), check.limits
        norms = course.norms
        clip = usual(norms)
        if not np.isfinite(norms).all():
            step = int(np.argmin(np.isfinite(norms)))
            column = int(np.argmin(np.isfinite(course.gradient[step])))
            return check.say(
                "fail",
                f"gradient {number(float(course.gradient[step, column]))} at step {step}",
                "finite",
                course.paths[column],
                clip=clip,
            )
        columns = course.weights
        first, last = (
            (float(np.median(course.gradient[:, c])) for c in (columns[0], columns[-1])) if columns else (0.0, 0.0)
        )
        ratio, largest, step_of = first / last if last > 0 else 0.0, float(norms.max()), doubling(norms)
        text = f"largest norm {number(largest)}, first/last layer {number(ratio)}"
        bound = f"norm ≤ {number(t['norm'] * subject.loss_unit)}"
        if largest > t["norm"] * subject.loss_unit:
            return check.say(
                "fail",
                text,
                bound,
                course.paths[int(np.argmax(course.gradient.max(axis=0)))],
                norm=largest,
                clip=clip,
            )
        if ratio > t["ratio"]:
            return check.say("warn", text, "first/last ≤ 70", course.paths[columns[0]], ratio=ratio, clip=clip)
        if step_of is not None:
            text = f"{text}; doubles every 5 steps to step {step_of}"
            return check.say("warn", text, "no doubling", "gradients", clip=clip)
        return check.ok(text, f"{bound}, first/last ≤ 70", "gradients", norm=largest, ratio=ratio)

    def clipped(subject: Subject, check: Check) -> Finding:
        """T9: the share of steps whose gradient is clipped."""
        course = get(subject)
        limits = {
            type(link): link.limit
            for link in subject.links
            if isinstance(link, (optim.clip_by_global_norm, optim.clip_by_norm))
        }
        if not limits:
            return check.skip("no gradient is clipped by its norm")
        kind, limit = next(iter(limits.items()))
        norms = course.norms if kind is optim.clip_by_global_norm else course.gradient.max(axis=1)
        part = float(np.mean(norms > limit))
        severity: Severity = "pass" if part <= check.limits["share"] else "warn"
        return check.say(
            severity,
            f"{percent(part)} of the steps are clipped to {number(limit)}",
            "at most half",
            "optimizer",
            share=part,
            clip=usual(norms),
        )

    def untrained(subject: Subject, check: Check) -> Finding:
        """T10: a parameter that even its three largest steps leave as it was."""
        course = get(subject)
        moved = np.sort(course.update, axis=0)[-3:].sum(axis=0)
        still = [c for c in range(len(course.paths)) if moved[c] <= check.limits["rtol"] * course.weight[0, c]]
        cut = [c for c in still if not course.gradient[:, c].any()]
        if not still:
            return check.ok(f"all {len(course.paths)} parameters move", "in 3 steps")
        where = course.paths[(cut or still)[0]]
        why = "the gradient is 0" if cut else "their steps are too small"
        text = f"{len(cut or still)} of {len(course.paths)} parameters do not change in 3 steps: {why}"
        advice = f"The steps of {where} are lost in rounding: raise the learning rate, and see T6, T8 and T9"
        if cut:
            advice = f"{where} is not in the loss, or its gradient is cut or comes from dead units (T4)"
        return check.say("fail", text, "none", where, {"advice": advice}, count=len(still), cut=float(bool(cut)))

    def falls(subject: Subject, check: Check) -> Finding:
        """T12: the loss falls, in means of 5 steps, or of more where batches are so small that there are more steps."""
        loss, t = get(subject).loss, check.limits
        rising = {"advice": "Lower the rate; is the sign right? (I7)"}
        if not np.isfinite(loss).all():
            step = int(np.argmin(np.isfinite(loss)))
            return check.say("fail", f"loss {number(float(loss[step]))} at step {step}", "finite", "loss", rising)
        means = windows(loss, max(5, len(loss) // 40))
        start, least, end = float(means[0]), float(means.min()), float(np.median(means[-5:]))
        signs = np.sign(np.diff(means))
        turns = float(np.mean(signs[1:] != signs[:-1])) if len(signs) > 1 else 0.0
        text = f"{number(start)} → {number(end)} in {len(loss)} steps, least {number(least)}"
        if end > t["rise"] * least and end > t["part"] * start:
            return check.say("fail", text, "below twice its least", "loss", rising, start=start, end=end, turns=turns)
        if end <= (1 - t["fall"]) * start:
            return check.ok(text, "falls by 5 % or more", "loss", start=start, end=end, turns=turns)
        way = f"it turns in {percent(turns)} of the windows" if turns > t["turns"] else "it stalls"
        advice = {
            "advice": "Try other rates (`nnx.lr_find`), a larger network; do the inputs tell anything of the target?"
        }
        text = f"{text}: {way}"
        return check.say("warn", text, "falls by 5 % or more", "loss", advice, start=start, end=end, turns=turns)

    def regulariser_grows(subject: Subject, check: Check) -> Finding:
        """T13: the regulariser's gradient for that of the data."""
        course = get(subject)
        if not course.penalty.any():
            return check.skip("there is no regulariser")
        ratio = course.penalty / course.norms
        step, middle = doubling(ratio), float(np.median(ratio))
        bad = step is not None or middle > check.limits["ratio"]
        return check.say(
            "warn" if bad else "pass",
            f"median ratio {number(middle)}",
            "≤ 10, not doubling",
            "regulariser",
            ratio=middle,
        )

    return (
        Check("T3", "short training", "steps suit the weights' size", {"early": 3.0, "low": 1e-4, "high": 0.1, "low_fail": 1e-8, "high_fail": 10.0, "learnt": 0.1}, "{advice}.", "C3 TDC SM", update_ratio),
        Check("T6", "short training", "gradients do not vanish", {"mean": 1e-6, "ratio": 1e-3, "norm": 1e-4, "mean_fail": 1e-7}, "He init, norm layers or skip connections: little reaches {where}.", "TDC AT SM", vanishing),
        Check("T7", "short training", "gradients do not explode", {"ratio": 70.0, "norm": 1e6}, "`nnx.optim.clip_by_global_norm({clip})` clips at the 90th percentile of the norms; warm up, too.", "AT TDC", exploding),
        Check("T9", "short training", "clipping is rare", {"share": 0.5}, "Raise the clip to the 90th percentile of the norms, {clip}.", "G", clipped),
        Check("T10", "short training", "every parameter is trained", {"rtol": 1e-5}, "{advice}.", "SM TDC", untrained),
        Check("T12", "short training", "the loss falls", {"fall": 0.05, "turns": 0.5, "rise": 2.0, "part": 0.25}, "{advice}", "TDC G", falls),
        Check("T13", "short training", "the regulariser stays the smaller force", {"ratio": 10.0}, "Lower λ.", "TDC", regulariser_grows),
    )  # fmt: skip


def _nan_first(value: float) -> float:
    return value if np.isfinite(value) else np.inf
