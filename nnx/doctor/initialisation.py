"""I: the model as it begins, before training. I9 is in ``structure.py``, I7 and I8 are in ``derivatives.py``."""

import math

import numpy as np

from nnx import optim
from nnx.doctor.derivatives import gradients_are_right, rows_apart
from nnx.doctor.measure import number, percent, pull, stack
from nnx.doctor.structure import softmax_and_ranges
from nnx.doctor.subject import Subject
from nnx.doctor.verdict import Check, Finding, Severity, graded
from nnx.doctor.walk import before_activations
from nnx.layers import BatchNorm, ConvTranspose1d, ConvTranspose2d, Dropout, Embedding, LearnedPositions
from nnx.typing import Array


def first_loss(subject: Subject, check: Check) -> Finding:
    """I1: the first loss is that of knowing nothing: log C, or the loss of the mean target; neither far above nor below.

    Weights drawn by the usual rules give outputs of variance 1–2, whose loss depends on luck where classes or features
    are few: of 3,600 healthy starts on 13 data sets (1–64 features, 2–10 classes) it was up to 3.1 nats or 19 times the
    mean target's loss above, and down to 0.31 of it.
    """
    out, y = subject.inference[1], subject.sample[1]
    loss = float(subject.backend.to_numpy(subject.loss(out, y)))
    known, guess = subject.uniform_loss, subject.constant_loss
    classes = subject.labels_known
    if not math.isfinite(known):
        known = math.log(max(int(subject.few.shape[-1]), 2)) if classes else math.nan
    if not ((math.isfinite(loss) and loss >= 0) or (math.isfinite(loss) and not classes and not subject.loss_name)):
        return check.say("fail", f"loss {number(loss)}", "finite, not negative", "loss", loss=loss)
    if not known > 0:
        return check.skip("the loss of a constant guess is not a positive number")
    t = check.limits
    excess = loss - known
    if classes:
        warn, fail = max(t["share"] * known, t["nats"]), max(t["share_fail"] * known, t["nats_fail"])
    else:
        warn, fail = t["real"] * known, t["real_fail"] * known
    severity = graded(excess, warn=warn, fail=fail)
    base = "equal scores" if classes else "the mean target"
    bound = f"at most {number(known + warn)}; {number(known)} is the loss of {base}"
    if severity == "pass" and loss < t["below"] * min(known, guess):
        text = f"loss {number(loss)} is below that of knowing nothing, {number(min(known, guess))}"
        return Finding(
            "warn",
            text,
            "≥ 25 % of it",
            "loss",
            "Is the model trained already, or does an input give the target away (D7)?",
            {"loss": loss},
        )
    return check.say(severity, f"loss {number(loss)}", bound, "last layer", loss=loss, known=known)


def regulariser(subject: Subject, check: Check) -> Finding:
    """I2: the penalty adds to the loss, and is not most of it."""
    penalty = subject.penalty
    if penalty is None:
        return check.skip("there is no regulariser")
    params = subject.model.parameters()
    loss = float(subject.backend.to_numpy(subject.loss(subject.inference[1], subject.sample[1])))
    value = float(subject.backend.to_numpy(penalty(params)))
    part = value / (value + loss) if value + loss > 0 else math.inf
    severity: Severity = (
        "fail" if value < 0 or math.isnan(value) else "pass" if part <= check.limits["share"] else "warn"
    )
    text = f"penalty {number(value)} beside a loss of {number(loss)} ({percent(part)})"
    factor = 10.0 ** math.ceil(math.log10(value / loss)) if value > loss > 0 and math.isfinite(value) else 10.0
    fill = {"factor": f"{factor:,.0f}"}
    return check.say(severity, text, "not negative, at most half", "regulariser", fill, share=part, factor=factor)


def last_bias(subject: Subject, check: Check) -> Finding:
    """I3: with unbalanced classes or distant targets the last bias begins where the answer is likely."""
    cause = next((subject.so_far[i] for i in ("D8", "D11") if i in subject.so_far and subject.so_far[i].bad), None)
    if cause is None:
        return check.ok("classes are balanced, targets near 0", "D8 and D11 pass")
    path, bias = next(((p, b) for p, b in reversed(subject.model.parameters().items()) if b.ndim == 1), ("", None))
    if bias is None:
        return check.skip("there is no bias")
    xp = subject.backend.xp
    largest = pull({"largest": xp.max(xp.abs(bias))})["largest"]
    start = "log prior" if cause.id == "D8" else "the mean target"
    severity: Severity = "warn" if largest == 0 else "pass"
    return check.say(
        severity,
        f"largest entry {number(largest)}",
        f"not 0, as {cause.id} warns",
        path,
        {"start": start},
        largest=largest,
    )


def symmetry(subject: Subject, check: Check) -> Finding:
    """I4: the units of a layer begin different from one another; the last layer alone may begin at 0."""
    xp = subject.backend.xp
    weights = {path: w for path, w in subject.model.parameters().items() if w.ndim >= 2}
    if not weights:
        return check.skip("there are no weights with two axes")

    def units_differ(w: Array) -> Array:
        if w.shape[-1] == 1:
            return xp.max(w) - xp.min(w)
        return xp.max(xp.max(w, axis=-1) - xp.min(w, axis=-1))

    apart = pull({path: units_differ(w) for path, w in weights.items()})
    alike = [path for path, value in apart.items() if value == 0]
    last = list(weights)[-1]
    if alike in ([], [last]):
        return check.ok(f"{len(weights)} weights differ from unit to unit", "not all equal")
    return check.say(
        "fail", f"all units of {len(alike)} weights are equal", "different units", alike[0], count=len(alike)
    )


def initial_variance(subject: Subject, check: Check) -> Finding:
    """I5: the variance of each weight is near that of He, Glorot or LeCun."""
    xp = subject.backend.xp
    modules = dict(subject.original.modules())
    tables = {path for path, module in modules.items() if isinstance(module, (Embedding, LearnedPositions))}
    weights = {
        path: w
        for path, w in subject.model.parameters().items()
        if w.ndim >= 2 and math.prod(w.shape) >= 16 and path.rpartition(".")[0] not in tables
    }  # rows of a table are looked up or added, not multiplied: no rule is for them
    if not weights:
        return check.skip("there are no weights with two axes and 16 entries")
    variances = pull({path: xp.mean(w * w) for path, w in weights.items()})
    ratios = {}
    apart = {
        f"{path}.weight" if path else "weight": math.prod(module.stride)
        for path, module in modules.items()
        if isinstance(module, (ConvTranspose1d, ConvTranspose2d))
    }
    for path, w in weights.items():
        fan_out = int(w.shape[-1])
        fan_in = math.prod(w.shape[:-1]) / apart.get(path, 1)  # of the inputs so many meet in one output
        rules = (2.0 / fan_in, 2.0 / (fan_in + fan_out), 1.0 / fan_in)
        v = variances[path]
        ratios[path] = (
            1.0
            if min(rules) <= v <= max(rules)
            else min((v / rule for rule in rules), key=lambda r: abs(math.log(max(r, 1e-300))))
        )
    zero_last = list(weights)[-1]
    if variances[zero_last] == 0:
        del ratios[zero_last]
    if not ratios:
        return check.ok("the only weight begins at 0", "0.25–4", zero_last)
    path = max(ratios, key=lambda name: abs(math.log(max(ratios[name], 1e-300))))
    ratio, t = ratios[path], check.limits
    severity: Severity = (
        "pass" if t["low"] <= ratio <= t["high"] else "warn" if t["low_fail"] <= ratio <= t["high_fail"] else "fail"
    )
    return check.say(severity, f"variance is {number(ratio)} times the nearest rule's", "0.25–4", path, ratio=ratio)


def signal(subject: Subject, check: Check) -> Finding:
    """I6: what reaches the activations neither dies out nor blows up with depth."""
    xp = subject.backend.xp
    layers = before_activations(subject.in_training)
    if not layers:
        return check.skip("there is no hidden layer")
    stds = pull({name: xp.std(z) for name, z in layers})
    t = check.limits
    where = max(
        stds, key=lambda name: abs(math.log(max(stds[name], 1e-30) / 0.5)) if math.isfinite(stds[name]) else math.inf
    )
    low, high = min(stds.values()), max(stds.values())
    ratio = (high / low) ** 2 if low > 0 else math.inf
    severity: Severity = "pass"
    if not (t["low"] <= low and high <= t["high"] and ratio <= t["ratio"]):
        severity = "warn"
    if not (t["low_fail"] <= low and high <= t["high_fail"] and ratio <= t["ratio_fail"]):
        severity = "fail"
    text = f"std before activations {number(low)}–{number(high)}, variance ratio {number(ratio)}"
    way = "dies" if stds[where] < 0.5 else "blows up"
    return check.say(severity, text, "0.05–2, ratio ≤ 100", where, {"way": way}, low=low, high=high, ratio=ratio)


def settings(subject: Subject, check: Check) -> Finding:
    """I10: settings that seldom go well."""
    t, found = check.limits, dict[str, tuple[float, str, str, str]]()

    def note(name: str, value: float, text: str, usual: str, where: str = "optimizer") -> None:
        found[name] = value, text, usual, where

    dropped = {p: m.p for p, m in subject.original.modules() if isinstance(m, Dropout) and m.p > t["dropout"]}
    if dropped:
        path = max(dropped, key=lambda name: dropped[name])
        layers = f" in {len(dropped)} layers" * (len(dropped) > 1)
        note("dropout", dropped[path], f"dropout {number(dropped[path])}{layers} (≤ 0.5)", "dropout 0.2", path)
    calls = subject.inference[0]
    before = calls[: next((at for at, call in enumerate(calls) if call.trained), 0)]
    of_inputs = {call.named: call.module.p for call in before if isinstance(call.module, Dropout)}
    if max(of_inputs.values(), default=0.0) > t["inputs"]:
        path = max(of_inputs, key=lambda name: of_inputs[name])
        text = f"dropout {number(of_inputs[path])} of the inputs (≤ {number(t['inputs'])})"
        note("inputs", of_inputs[path], text, "dropout 0.2 of the inputs, or none", path)
    norms = [path for path, module in subject.original.modules() if isinstance(module, BatchNorm)]
    if norms and subject.batch_size < min(t["rows"], len(subject.train)):
        text = f"batches of {subject.batch_size} rows for batch norm (≥ {number(t['rows'])})"
        note("rows", subject.batch_size, text, "batches of 32 rows", norms[0])
    core, adam, rate = subject.core, subject.core.name.startswith("adam"), subject.rate
    if adam and rate > t["adam_rate"]:
        note("adam_rate", rate, f"learning rate {number(rate)} with Adam (≤ 0.01)", "a learning rate of 1e-3")
    if rate < t["rate"]:
        note("rate", rate, f"learning rate {number(rate)} (≥ 1e-7)", "Adam 1e-3")
    plain = core.name.startswith("sgd") and not any(
        isinstance(link, (optim.clip_by_global_norm, optim.clip_by_norm)) for link in subject.links
    )
    if plain and not subject.labels_known and rate * subject.loss_unit > t["sgd_step"]:
        known = f"the mean target has a loss of {number(subject.loss_unit)}"
        text = f"learning rate {number(rate)} with SGD where {known}: unless clipped, its steps grow with that"
        usual = "`nnx.Unstandardize` as the last layer, Adam 1e-3 or clipped gradients"
        note("sgd_step", rate * subject.loss_unit, text, usual)
    late = subject.late_share
    if late > t["late"]:
        text = f"learning rate below 1 % of its peak in {percent(late)} of the steps (≤ 50 %)"
        note("late", late, text, "a schedule as long as the training")
    for name, sign, limit, usual in (("eps", -1, t["eps"], "1e-8"), ("momentum", 1, t["momentum"], "0.9"), ("weight_decay", 1, t["decay"], "0.01")):  # fmt: skip
        value, said = getattr(core, name, None), name.replace("_", " ")
        if isinstance(value, (int, float)) and sign * value > sign * limit and (adam or name != "eps"):
            bound = f"{'≤' if sign > 0 else '≥'} {number(limit)}"
            note(name, float(value), f"{said} {number(value)} ({bound})", f"{said} {usual}")
    if not found:
        return check.ok(f"{core.name}, learning rate {number(rate)}", "usual settings", "optimizer")
    values, texts, usual_ones, places = zip(*found.values())
    advice = {"advice": ", ".join(dict.fromkeys(usual_ones))}
    return check.say("warn", "; ".join(texts), "usual settings", places[0], advice, **dict(zip(found, values)))


def mean_over_batch(subject: Subject, check: Check) -> Finding:
    """I11: the loss of the same rows taken twice, four times, … is the same."""
    rows = subject.draw("batches", int(check.limits["rows"]))
    index = np.resize(rows, int(check.limits["rows"]))
    out = subject.model(subject.inputs(subject.train, index))
    y, xp = subject.targets(subject.train, index), subject.backend.xp
    values: list[Array] = []
    for k in range(6):
        values.append(subject.loss(xp.concat([out] * 2**k, axis=0), xp.concat([y] * 2**k, axis=0)))
    seen = subject.backend.to_numpy(stack(values)).astype(float)
    if not np.isfinite(seen).all() or not np.abs(seen).max() > 0:
        return check.skip(f"the loss is {number(float(seen[0]))} (I1)")
    change = float(np.max(np.abs(seen / seen[0] - 1))) if seen[0] else math.inf
    severity: Severity = "pass" if change <= check.limits["change"] else "fail"
    text = f"{number(float(seen[0]))} for {len(index)} rows, {number(float(seen[-1]))} for the same rows 32 times"
    return check.say(severity, text, "within 10 %", "loss", change=change)


FIRST = (
    Check("I4", "start", "units begin different", {}, "Call `model.initialize(seed=…)` with a random initialiser for {where}.", "C2 TDC", symmetry),
    Check("I9", "start", "softmax and last activation fit the loss", {"outside": 0.01}, "{advice}.", "UM TDC", softmax_and_ranges),
    Check("I10", "start", "settings are usual ones", {"dropout": 0.5, "inputs": 0.2, "rows": 8.0, "adam_rate": 1e-2, "rate": 1e-7, "sgd_step": 10.0, "eps": 1e-10, "momentum": 0.99, "decay": 1.0, "late": 0.5}, "Start from {advice}.", "UM, own", settings),
    Check("I11", "start", "the loss is a mean over the batch", {"rows": 128.0, "change": 0.1}, "Use the mean over the batch, not the sum, and the class axis inside it.", "TDC", mean_over_batch),
)  # fmt: skip

CHECKS = (
    Check("I1", "start", "the first loss is that of knowing nothing", {"share": 0.5, "nats": 3.5, "share_fail": 2.0, "nats_fail": 10.0, "real": 25.0, "real_fail": 100.0, "below": 0.25}, "Shrink the last layer's initial weights ×0.1; check the loss.", "K C3 TDC ART, measured", first_loss),
    Check("I2", "start", "the regulariser is not most of the loss", {"share": 0.5}, "Divide λ by {factor}.", "C3", regulariser),
    Check("I3", "start", "the last bias begins at the likely answer", {}, "Start the last bias at {start}.", "K TDC", last_bias),
    Check("I5", "start", "weights begin near a known rule", {"low": 0.25, "high": 4.0, "low_fail": 0.01, "high_fail": 100.0}, "Use He init before ReLU, Glorot before tanh: {where}.", "TDC, own", initial_variance),
    Check("I6", "start", "the signal keeps its size over depth", {"low": 0.05, "high": 2.0, "ratio": 100.0, "low_fail": 0.01, "high_fail": 20.0, "ratio_fail": 1e4}, "Signal {way} at {where}: He init or a norm layer.", "TDC SM, measured", signal),
)  # fmt: skip

LAST = (
    Check("I8", "start", "rows do not mix", {}, "Some op runs over the batch axis: check `axis=` and reshapes.", "K", rows_apart),
    Check("I7", "start", "derivatives are right", {"warn": 1e-4, "fail": 1e-2, "entries": 6.0, "steps": 10.0, "thrown": 10.0, "least": 1e-8}, "{advice}.", "C3 TDC", gradients_are_right),
)  # fmt: skip
"""A failure of one of these leaves the short training out."""
