"""I9: softmax where it does not belong, a last activation that cannot reach the targets, dropout of the outputs, linear after
linear.

Softmax is known by its outputs, rows that are nowhere negative and sum to 1, so one written inside a layer of one's own is
seen too; a loss that wants logits is known by not changing when the same number is added to all of them.
"""

import math

import numpy as np

from nnx.doctor.measure import number, percent, pull, share
from nnx.doctor.subject import Subject
from nnx.doctor.verdict import Check, Finding
from nnx.doctor.walk import SQUASHING, Call
from nnx.layers import (
    ELU,
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    ConvTranspose1d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    Maxout,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
    Unstandardize,
)  # fmt: skip
from nnx.layers.training import inference
from nnx.typing import Array

LINEAR = (Linear, Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d)
PASSING = (Dropout, Flatten, Reshape, AvgPool1d, AvgPool2d, AdaptiveAvgPool1d, AdaptiveAvgPool2d, GlobalAvgPool)
"""Layers through which two linear ones are still one. A maximum is not."""
LOGITS = ("cross_entropy", "binary_cross_entropy", "hinge")
"""Losses on logits."""


def softmax_and_ranges(subject: Subject, check: Check) -> Finding:
    """I9."""
    calls = [call for call in subject.inference[0] if not isinstance(call.module, (Dropout, Flatten, Reshape))]
    if not calls:
        return check.skip("the model has no layers to look at")
    return (
        _dropped(check, subject.inference[0])
        or _softmax(subject, check, calls)
        or _reach(subject, check, calls)
        or _linear_twice(check, subject.inference[0])
    )


def _dropped(check: Check, calls: list[Call]) -> Finding | None:
    last = calls[-2] if len(calls) > 1 and isinstance(calls[-1].module, Unstandardize) else calls[-1]
    if not isinstance(last.module, Dropout) or not last.module.p:
        return None
    text = f"dropout {number(last.module.p)} of the outputs"
    return _fail(check, text, last.named, "Remove the dropout at the end: in training it puts 0 for answers")


def _softmax(subject: Subject, check: Check, calls: list[Call]) -> Finding | None:
    outputs = subject.inference[1]
    for call in calls:
        last = call.out is outputs
        if isinstance(call.module, Softmax) and call.out.shape[-1] == 1:
            return _fail(
                check,
                "softmax over one output is always 1",
                call.named,
                "Remove the softmax, or give the layer more outputs",
            )
        if not _sums_to_one(call.out) or (not last and _sums_to_one(call.x)):
            continue
        if not last and call.out.shape == outputs.shape and call is calls[-1]:
            last = True
        if not last:
            return _fail(
                check, "softmax between hidden layers", call.named, "Remove the hidden softmax: use a ReLU there"
            )
    if subject.labels_known and subject.gives_probabilities and _wants_logits(subject):
        return _fail(
            check,
            "probabilities go into a loss on logits",
            calls[-1].named,
            "Remove the softmax: `cross_entropy` takes logits",
        )
    return None


def _sums_to_one(x: Array) -> bool:
    if x.ndim != 2 or x.shape[-1] < 2:
        return False
    from nnx import backends

    xp = backends.of(x).xp
    if not xp.isdtype(x.dtype, "real floating"):
        return False
    seen = pull({"least": xp.min(x), "off": xp.max(xp.abs(xp.sum(x, axis=-1) - 1.0))})
    return seen["least"] >= 0 and seen["off"] < 1e-3


def _wants_logits(subject: Subject) -> bool:
    y = subject.targets(subject.train, slice(0, 8))
    with inference():
        stats = {name: subject.loss(out, y) for name, out in (("here", subject.few), ("moved", subject.few + 3.0))}
    seen = pull(stats)
    return abs(seen["here"] - seen["moved"]) <= 1e-4 * max(1.0, abs(seen["here"]))


def _range(call: Call) -> tuple[float, float]:
    """What values an activation can give."""
    module = call.module
    if isinstance(module, (Sigmoid, Softmax)):
        return 0.0, 1.0
    if isinstance(module, Tanh):
        return -1.0, 1.0
    if isinstance(module, (ReLU, Softplus)):
        return 0.0, math.inf
    return (-module.alpha, math.inf) if isinstance(module, ELU) else (-math.inf, math.inf)


def _reach(subject: Subject, check: Check, calls: list[Call]) -> Finding | None:
    last = calls[-2] if len(calls) > 1 and isinstance(calls[-1].module, Unstandardize) else calls[-1]
    low, high = _range(last)
    if (
        not isinstance(last.module, SQUASHING)
        or isinstance(last.module, Maxout)
        or (low, high) == (-math.inf, math.inf)
    ):
        return None
    if subject.loss_name in LOGITS and not isinstance(last.module, Softmax):
        text = f"logits only in [{number(low)}, {number(high)}]"
        advice = f"Remove the {type(last.module).__name__} at the end: `{subject.loss_name}` takes logits of any size"
        return _fail(check, text, last.named, advice)
    if subject.labels_known or subject.task != "regression":
        return None
    y, bounds = subject.targets(subject.train), [low, high]
    xp = subject.backend.xp
    if last is not calls[-1]:
        tail = calls[-1].module
        scale, mean = (subject.backend.to_numpy(array) for array in (tail.scale, tail.mean))
        bounds = [float(np.min(low * scale + mean)), float(np.max(high * scale + mean))]
    slack = 1e-6 * max(1.0, *(abs(b) for b in bounds if math.isfinite(b)))
    outside = pull({"share": share(xp.logical_or(y < bounds[0] - slack, y > bounds[1] + slack))})["share"]
    if outside <= check.limits["outside"]:
        return None
    text = f"{percent(outside)} of the targets are outside [{number(bounds[0])}, {number(bounds[1])}]"
    return _fail(
        check,
        text,
        last.named,
        f"Remove the {type(last.module).__name__} at the end, or scale the targets into its range",
    )


def _linear_twice(check: Check, calls: list[Call]) -> Finding:
    """Two linear layers with nothing between; a convolution in groups before one that joins them is a design, no slip."""
    source: dict[int, Call] = {}
    for call in calls:
        before = source.get(id(call.x))
        if isinstance(call.module, PASSING):
            if before is not None:
                source[id(call.out)] = before
            continue
        in_groups = before is not None and getattr(before.module, "groups", 1) > 1
        if before is not None and not in_groups and type(before.module) in LINEAR and type(call.module) in LINEAR:
            text = f"{before.named} feeds {call.named} with nothing between"
            advice = {"advice": "Put an activation between the two: together they are one linear layer"}
            return check.say("warn", text, "an activation between", call.named, advice)
        source[id(call.out)] = call
    return check.ok("no softmax before the loss, the outputs can reach the targets", "none")


def _fail(check: Check, text: str, where: str, advice: str) -> Finding:
    return check.say("fail", text, "none", where, {"advice": advice})
