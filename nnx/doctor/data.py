"""D: the data, before anything is computed with them. D5, D6 and D10 are in ``splits.py``; D7 is in ``leakage.py``, D1
is in ``missing.py``."""

from typing import Any

import numpy as np

from nnx.doctor.leakage import one_feature_tells
from nnx.doctor.measure import number, percent, pull, similarity, units_first
from nnx.doctor.missing import all_there
from nnx.doctor.splits import fitted_on_training_rows, rows_in_two_parts, split_is_sane
from nnx.doctor.subject import Subject
from nnx.doctor.verdict import Check, Finding, Severity, graded
from nnx.doctor.walk import first_trained, hidden, walk
from nnx.errors import NnxError
from nnx.layers import MinMaxScale, Standardize, Unstandardize
from nnx.train.evaluation import looks_up
from nnx.typing import Array


def dtypes_and_labels(subject: Subject, check: Check) -> Finding:
    """D2: labels 0…C−1 for the C outputs of the model; inputs of floating-point numbers, unless they are looked up."""
    outputs = int(subject.few.shape[-1]) if subject.few.ndim == 2 else 0
    for rows in (subject.train, subject.val, subject.test):
        if rows is None or rows.labels is None or outputs < 2:
            continue
        wrong = np.flatnonzero((rows.labels < 0) | (rows.labels >= outputs))
        if wrong.size:
            row = int(wrong[0])
            label = int(rows.labels[row])
            where = f"{rows.name}.y, row {row}"
            return check.say(
                "fail",
                f"label {label}; {wrong.size} of {len(rows)} labels are out of range",
                f"0…{outputs - 1}",
                where,
                {"label": label, "outputs": outputs},
                count=wrong.size,
            )
    if subject.train.x.dtype.kind in "iu" and not looks_up(subject.model):
        return Finding(
            "warn",
            f"inputs of {subject.train.x.dtype}",
            "floating-point inputs",
            "train.x",
            "Cast the inputs: x.astype(numpy.float32).",
        )
    return check.ok(f"inputs {subject.train.x.dtype}, targets {subject.train.y.dtype}", "labels fit the outputs")


def target_output_loss(subject: Subject, check: Check) -> Finding:
    """D9: target, output and loss are made for each other."""
    y, out, loss = subject.train.y, subject.few, subject.loss_name
    shapes = f"targets {('N', *y.shape[1:])}, outputs {('N', *out.shape[1:])}".replace("'", "")

    def misfit(text: str, bound: str, where: str, advice: str) -> Finding:
        return check.say("fail", text, bound, where, {"advice": advice})

    if out.shape[0] != min(8, len(subject.train)):
        text = f"outputs of shape {tuple(out.shape)} for {min(8, len(subject.train))} rows"
        return misfit(text, "a row for each row", "outputs", "Keep the rows on the first axis: look at reshapes")
    whole = y.dtype.kind in "iu"
    if whole and loss in ("mse", "l1", "huber"):
        advice = 'Use loss="cross_entropy"; if these are quantities, give them as floating-point numbers'
        return misfit(f'classes with loss="{loss}"', "cross_entropy for classes", "loss", advice)
    if not whole and loss == "cross_entropy" and not _probabilities(y, out):
        advice = 'Use loss="mse"; if these are classes, give them as whole numbers 0…C−1'
        return misfit(f'real targets with loss="{loss}"', "mse, l1 or huber for real targets", "loss", advice)
    if not whole and tuple(y.shape[1:]) != tuple(out.shape[1:]):
        advice = (
            "Give the targets the shape of the outputs, such as y[:, None] for (N, 1), or the last layer their width"
        )
        return misfit(shapes, "the same shape", "train.y", advice)
    if whole and y.ndim != 1 and tuple(y.shape[1:]) != tuple(out.shape[1:]):
        return misfit(shapes, "labels (N,)", "train.y", "Give one label a row, such as y[:, 0] or y.argmax(axis=1)")
    try:
        value = subject.loss(out, subject.targets(subject.train, slice(0, 8)))
    except NnxError as error:
        text = str(NnxError(error.what, expected=error.expected, got=error.got))
        return misfit(text, "a loss that takes these targets", error.where or "loss", error.fix.rstrip("."))
    if tuple(getattr(value, "shape", (1,))) != ():
        text = f"a loss of shape {tuple(getattr(value, 'shape', ()))}"
        return misfit(text, "one number, 0-d", "loss", "Let the loss end in a mean over all rows")
    return check.ok(shapes, "they fit")


def _probabilities(y: np.ndarray[Any, Any], out: Array) -> bool:
    return (
        y.ndim == 2
        and y.shape[1] == out.shape[-1]
        and bool((y >= 0).all() and np.allclose(y.sum(axis=1), 1, atol=1e-3))
    )


def scale(subject: Subject, check: Check) -> Finding:
    """D3: the inputs are near 1 where the first trainable layer sees them."""
    first = first_trained(subject.inference[0])
    if first is None or first.x.ndim < 2:
        return check.skip("no layer with parameters is called with rows")
    xp, z = subject.backend.xp, units_first(first.x)
    if not xp.isdtype(z.dtype, "real floating"):
        return check.skip("the first trainable layer takes whole numbers")
    mean = xp.mean(z, axis=0)
    middle = xp.sort(xp.abs(mean))[z.shape[1] // 2]
    highest = xp.max(xp.abs(z), axis=0)
    seen = pull(
        {
            "largest": xp.max(highest),
            "column": xp.argmax(highest),
            "mean": middle,
            "std": xp.sqrt(xp.mean((z - mean) ** 2)),
            "rms": xp.sqrt(xp.mean(z * z)),
        }
    )
    t = check.limits
    unit = t["largest_low"] <= seen["largest"] <= t["largest_high"] + 1e-6
    standard = seen["mean"] <= t["mean"] and t["std_low"] <= seen["std"] <= t["std_high"]
    severity: Severity = "pass" if unit or standard else "warn"
    if not t["rms_low"] <= seen["rms"] <= t["rms_high"]:
        severity = "fail"
    column, rows = int(seen.pop("column")), subject.train
    named = f" in {rows.column(column)}" if z.shape == rows.flat[: z.shape[0]].shape else ""
    text = f"max {number(seen['largest'])}{named}, " + ", ".join(
        f"{name} {number(value)}"
        for name, value in (("middle mean", seen["mean"]), ("std", seen["std"]), ("RMS", seen["rms"]))
    )
    prepared = any(isinstance(module, (Standardize, MinMaxScale)) for _, module in subject.model.modules())
    advice = (
        "Scale only once: the model has a preparation layer already"
        if prepared
        else f"Put `nnx.Standardize({z.shape[1]})` first, and scale only once"
    )
    bound = "max in [0.5, 1], or mean ≤ 0.2 and std in [0.5, 2]; RMS in [0.01, 50]"
    return check.say(severity, text, bound, f"input of {first.named}", {"advice": advice}, **seen)


def constant_features(subject: Subject, check: Check) -> Finding:
    """D4: columns that never change, or are copies of another."""
    x, rows = subject.train.flat, subject.train
    constant = np.flatnonzero(np.all(x == x[:1], axis=0))
    seen: dict[bytes, int] = {}
    copies = []
    for column in range(x.shape[1]):
        first = seen.setdefault(np.ascontiguousarray(x[: 1 << 14, column]).tobytes(), column)
        if first != column and column not in constant:
            copies.append((column, first))
    for path, module in subject.model.modules():
        for name in ("scale", "range"):
            if isinstance(module, (Standardize, MinMaxScale)) and hasattr(module, name):
                array = getattr(module, name)
                if float(subject.backend.to_numpy(subject.backend.xp.min(subject.backend.xp.abs(array)))) == 0.0:
                    return check.say(
                        "fail", f"{path} divides by 0", "a scale above 0", f"{path}.{name}", {"column": "A column"}
                    )
    useless = constant.size + len(copies)
    part = useless / x.shape[1]
    named = rows.column(int(constant[0])) if constant.size else rows.column(copies[0][0]) if copies else "train.x"
    severity: Severity = "fail" if constant.size == x.shape[1] else "warn" if part >= check.limits["share"] else "pass"
    text = f"{constant.size} constant and {len(copies)} copied of {x.shape[1]} columns"
    return check.say(severity, text, "fewer than half", f"train.x, {named}", {"column": named.capitalize()}, share=part)


def balance(subject: Subject, check: Check) -> Finding:
    """D8: no class has ten times the rows of another."""
    labels, outputs = subject.train.labels, int(subject.few.shape[-1]) if subject.few.ndim == 2 else 0
    if labels is None or outputs < 2:
        return check.skip("the targets are not classes")
    counts = np.bincount(labels, minlength=subject.train.classes or 0).astype(np.float64)
    if not counts.all():
        empty = subject.train.label(int(np.argmin(counts)))
        return check.say("fail", f"{empty} has no training rows", "rows of every class", f"train.y, {empty}")
    p = counts / counts.sum()
    ratio, even = float(counts.max() / counts.min()), float(np.exp(-np.sum(p * np.log(p))) / len(p))
    severity: Severity = "pass" if ratio <= check.limits["ratio"] else "warn"  # perplexity is above 53 % then
    most, least = (subject.train.label(int(at(counts))) for at in (np.argmax, np.argmin))
    text = f"{most} has {number(ratio)} times the rows of {least}; perplexity {percent(even)} of even"
    where = f"train.y, {least} has {number(counts.min())} {'rows' if counts.min() > 1 else 'row'}"
    return check.say(severity, text, "at most 10 times", where, ratio=ratio, perplexity=even)


def target_scale(subject: Subject, check: Check) -> Finding:
    """D11: real targets are as large as the outputs at the start, or as the unit that the last layer gives them."""
    y = subject.train.y
    if subject.task != "regression":
        return check.skip("the targets are not real numbers")
    out, xp = subject.inference[1], subject.backend.xp
    stats = {"mean": xp.mean(out), "std": xp.std(out)}
    tail = subject.inference[0][-1:]
    if tail and isinstance(tail[0].module, Unstandardize):  # outputs that hardly differ are I6's and T6's affair
        stats["std"] = xp.maximum(stats["std"], xp.max(tail[0].module.scale))
    seen = pull(stats)
    if not seen["std"] > 0:
        return check.skip("the outputs are constant at the start")
    far = float(np.sqrt(np.mean((y.astype(np.float64) - seen["mean"]) ** 2)))
    ratio = far / seen["std"]
    severity = graded(abs(np.log10(max(ratio, 1e-30))), warn=check.limits["decades"], fail=check.limits["decades_fail"])
    text = f"targets are {number(far)} away from outputs of std {number(seen['std'])}"
    return check.say(severity, text, "ratio 0.1–10", "train.y", ratio=ratio)


def augmentation(subject: Subject, check: Check) -> Finding:
    """D12: what augmentation makes of a row still looks like it to the layers."""
    if subject.augment is None:
        return check.skip("no augmentation was given")
    x = subject.sample[0]
    before, (calls, out) = subject.inference, walk(subject.model, subject.augment(x))
    stats = {
        call.named: similarity(a.out, call.out) for a, call in zip(hidden(before[0]), hidden(calls)) if a.out.ndim > 1
    }
    seen = pull(stats or {"outputs": similarity(before[1], out)})
    where = min(seen, key=lambda name: seen[name])
    value = float(np.mean(list(seen.values())))
    t = check.limits
    severity: Severity = "pass" if value >= t["similar"] else "warn" if value >= t["near"] else "fail"
    return check.say(severity, f"similarity {number(value)}", "≥ 0.95", f"least at {where}", similarity=value)


FIRST = (
    Check("D1", "data", "every value is there, and finite", {"far": 5.0, "often": 3.0}, "{advice}.", "TDC UM, own", all_there),
    Check("D2", "data", "dtypes, and labels 0…C−1", {}, "Label {label} at {where}, but the last layer has {outputs} outputs: relabel or widen it.", "UM", dtypes_and_labels),
    Check("D9", "data", "target, output and loss fit", {}, "{advice}.", "pytorch#16045", target_output_loss),
)  # fmt: skip
"""A failure of one of these ends the examination."""

CHECKS = (
    Check("D3", "data", "inputs are near 1 at the first layer", {"largest_low": 0.5, "largest_high": 1.0, "mean": 0.2, "std_low": 0.5, "std_high": 2.0, "rms_low": 0.01, "rms_high": 50.0}, "{advice}.", "TDC SM UM, own", scale),
    Check("D4", "data", "features change", {"share": 0.5}, "{column} never changes or repeats another: drop it.", "TDC", constant_features),
    Check("D5", "data", "normaliser fitted on training rows only", {"closer": 0.2, "far": 0.1}, "Fit `Standardize` after the split, on `train`.", "C2", fitted_on_training_rows),
    Check("D6", "data", "no training rows in val or test", {"share": 0.05, "most": 0.5}, "{rows} in both: remove duplicates before the split, or split by group.", "DC", rows_in_two_parts),
    Check("D7", "data", "no feature alone gives the target away", {"warn": 0.7, "fail": 0.99, "fail_real": 0.9}, "It may give the answer away: is it known at prediction time? If not, drop it.", "DC", one_feature_tells),
    Check("D8", "data", "classes are balanced", {"ratio": 10.0}, "Weight the loss or resample; start the last bias at log prior (I3).", "SM TDC", balance),
    Check("D10", "data", "the split is sane", {"z": 8.0, "expected": 5.0}, "Use `nnx.data.split(…, seed=0)`: stratified, seeded; and prepare both parts alike.", "keras#8346", split_is_sane),
    Check("D11", "data", "real targets are as large as the outputs", {"decades": 1.0, "decades_fail": 3.0}, "Standardise the target (`nnx.Unstandardize` last does it), or start the last bias at its mean.", "TDC K, own", target_scale),
    Check("D12", "data", "augmentation keeps the data", {"similar": 0.95, "near": 0.75}, "The transform moves the data too far: lower its strength.", "TDC, own", augmentation),
)  # fmt: skip
