"""T: short trainings on copies. T8 is in ``rates.py``; what is judged from the course of the shared run is in ``course.py``."""

import math
from functools import cached_property
from typing import Any

import numpy as np

from nnx.doctor import course
from nnx.doctor.measure import number, percent, pull, share, similarity, stack, units_first
from nnx.doctor.rates import range_test
from nnx.doctor.rows import Rows
from nnx.doctor.subject import Subject
from nnx.doctor.trial import Course, Trial
from nnx.doctor.verdict import Check, Finding, Severity
from nnx.doctor.walk import Call, hidden, walk
from nnx.layers import BatchNorm, ReLU, Sigmoid, Tanh, training
from nnx.layers.training import inference
from nnx.optim import Adam, with_learning_rate
from nnx.typing import Array

STEPS, EVERY = 200, 2
"""Steps of the shared run, and after how many of them the validation loss is noted: 100 values. With batches of fewer
than 16 rows there are more of both, as 400 rows teach little."""


class SharedRun:
    """One training with the user's settings and one with inputs zeroed: most T checks look at the same two."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        whole = subject.val
        if whole is None or len(whole) < 8:
            index = subject.draw("held out", max(1, len(subject.train) // 5))
            kept = np.setdiff1d(np.arange(len(subject.train)), index)
            self.val, self.train = subject.train.take(index), subject.train.take(kept)
        else:
            index = np.arange(len(whole)) if len(whole) <= 512 else subject.draw("validation", 512, len(whole))
            self.val, self.train = whole.take(index), subject.train

    def _train(self, zeroed: bool) -> tuple[Trial, np.ndarray[Any, Any]]:
        trial = Trial(self.subject, "shared run", rows=self.train, dropout=not zeroed, zeroed=zeroed)
        x, y = trial.inputs(self.val), self.subject.targets(self.val)
        values: list[Array] = []
        for _ in range(STEPS // EVERY):
            trial.run(EVERY * max(1, 16 // trial.batch_size), write=not zeroed)
            # With constant inputs batch norm's running variance goes to 0 and blows rounding up: it is not used there.
            place = training(seed=self.subject.seed, step=trial.step, write_back=False) if zeroed else inference()
            with place:
                values.append(self.subject.loss(trial.model(x), y))
        return trial, np.asarray(self.subject.backend.to_numpy(stack(values)), dtype=np.float64)

    @cached_property
    def trained(self) -> tuple[Trial, np.ndarray[Any, Any]]:
        """The run, and the validation loss after every second step."""
        return self._train(False)

    @property
    def course(self) -> Course:
        """What it wrote down."""
        return self.trained[0].course

    @cached_property
    def zeroed(self) -> np.ndarray[Any, Any]:
        """The validation losses of the same training with every input 0."""
        return self._train(True)[1]

    @cached_property
    def after(self) -> list[Call]:
        """The layers on the sample after the run, in inference."""
        return walk(self.trained[0].model, self.subject.sample[0])[0]


def shared(subject: Subject) -> SharedRun:
    """The subject's shared run, made once."""
    if "_shared" not in subject.__dict__:
        subject.__dict__["_shared"] = SharedRun(subject)
    run: SharedRun = subject.__dict__["_shared"]
    return run


def overfits(subject: Subject, check: Check) -> Finding:
    """T1: 16 rows are learnt by heart, without dropout and regulariser; the second try is with Adam 1e-3.

    Fewer where the model has fewer than two parameters for each of their outputs: a line does not go through 16 points.
    """
    rows = _to_learn(subject, int(check.limits["rows"]))
    if subject.labels_known:
        known = subject.uniform_loss
    else:
        known = subject.loss_of_constant(np.asarray(rows.y, dtype=np.float64).mean(axis=0), subject.targets(rows))
    bound = check.limits["share"] * known
    text = ""
    severity: Severity = "fail"
    advice = (
        "Not even Adam 1e-3 learns them: look at layers and units (I6, I9, T4, T6), the loss, and labels of equal rows"
    )
    steady = with_learning_rate(subject.core, subject.rate) if math.isfinite(subject.rate) else None  # no schedule
    for name, optimizer in (("", steady), (" with Adam 1e-3", Adam(1e-3))):
        trial = Trial(subject, "overfit", optimizer=optimizer, dropout=False, penalise=False, rows=rows, whole=True)
        found, loss, wrong = _learnt(subject, trial, bound, check)
        errors = f", {percent(wrong)} wrong" if subject.labels_known else ""
        text += f"{'; ' if text else ''}loss {number(loss)}{errors} after {trial.step} steps{name}"
        if found != "fail":
            severity = "warn" if name else found
            advice = "The loss stays above 0: look for softmax before the loss (I9), weight decay, too few units"
            if name:
                advice = "Adam 1e-3 learns them: look at the optimizer's learning rate, momentum and weight decay"
            break
    if severity != "pass" and (frozen := len(subject.model.parameters(frozen=True))):
        text += f"; {frozen} of {frozen + len(subject.model.parameters())} parameters are frozen"
        advice = f"If all of it shall learn: model.unfreeze(). {advice}"
    right = ", all right" * subject.labels_known
    return check.say(
        severity,
        text,
        f"loss < {number(bound)}{right}",
        f"{len(rows)} rows",
        {"advice": advice},
        loss=loss,
        wrong=wrong,
        adam=float(severity == "warn" and bool(name)),
    )


def _to_learn(subject: Subject, most: int) -> Rows:
    """Rows with different inputs, as far as there are: equal ones may well have different targets."""
    free = sum(int(w.size) for w in subject.model.parameters().values())
    count = max(2, min(most, free // (2 * max(math.prod(subject.few.shape[1:]), 1))))
    drawn = subject.train.take(subject.draw("overfit", 8 * count))
    different = np.sort(np.unique(drawn.flat, axis=0, return_index=True)[1])
    if len(different) < 2:
        return drawn.take(slice(0, count))
    spread = np.linspace(0, len(different) - 1, min(count, len(different))).astype(np.int64)
    return drawn.take(different[spread])


def _learnt(subject: Subject, trial: Trial, bound: float, check: Check) -> tuple[Severity, float, float]:
    """Train until it is learnt, 1000 steps at most: the severity, the last loss and the share of rows that are wrong."""
    t, xp = check.limits, subject.backend.xp
    loss = wrong = float("nan")
    while trial.step < t["steps"]:
        trial.run(25)
        stats = {"loss": trial.losses[-1]}
        if subject.labels_known:
            x, y = trial.batch(0)  # all of them
            with training(seed=subject.seed, step=trial.step, write_back=False):
                stats["wrong"] = share(xp.argmax(trial.model(x), axis=-1) != y)
        seen = pull(stats)
        loss, wrong = seen["loss"], seen.get("wrong", 0.0)
        if not np.isfinite(loss):
            return "fail", loss, wrong
        if loss < bound and wrong == 0:
            return "pass", loss, wrong
    near = wrong <= t["wrong"] if subject.labels_known else loss < 4 * bound
    return ("warn" if near else "fail"), loss, wrong


def inputs_matter(subject: Subject, check: Check) -> Finding:
    """T2: the validation loss is lower than that of the same training with inputs zeroed."""
    run = shared(subject)
    if len(run.val) < check.limits["rows"]:
        return check.skip(f"only {len(run.val)} rows are held out, too few to judge by")
    ours, theirs = run.trained[1], run.zeroed
    late = slice(len(ours) // 2, None)
    real, blind = float(np.median(ours[late])), float(np.median(theirs[late]))
    won = float(np.mean(ours[late] < theirs[late]))
    better = real < blind and won >= check.limits["won"]
    text = f"validation loss {number(real)}, with inputs zeroed {number(blind)}, lower in {percent(won)} of {len(ours[late])} values"
    return check.say("pass" if better else "fail", text, "lower in 75 % or more", "train", loss=real, zeroed=blind)


def dead_units(subject: Subject, check: Check) -> Finding:
    """T4: ReLU units that give 0 for nearly every row."""
    xp, t = subject.backend.xp, check.limits
    layers = [call for call in hidden(shared(subject).after) if isinstance(call.module, ReLU)]
    if not layers:
        return check.skip("there is no ReLU")

    def dead(out: Array) -> Array:
        silent = xp.mean(xp.astype(units_first(out) <= t["zero"], xp.float32), axis=0)
        return share(silent >= t["samples"])

    seen = pull({call.named: dead(call.out) for call in layers})
    where = max(seen, key=lambda name: seen[name])
    severity: Severity = "pass" if seen[where] <= t["warn"] else "warn" if seen[where] <= t["fail"] else "fail"
    return check.say(
        severity, f"{percent(seen[where])} of the units are dead", "at most 40 %", where, share=seen[where]
    )


def saturated_units(subject: Subject, check: Check) -> Finding:
    """T5: tanh and sigmoid units whose inputs are far out."""
    xp, t = subject.backend.xp, check.limits
    layers = [call for call in shared(subject).after if isinstance(call.module, (Tanh, Sigmoid))]
    if not layers:
        return check.skip("there is no tanh or sigmoid")
    stats = {}
    for call in layers:
        low, high = (-t["tanh"], t["tanh"]) if isinstance(call.module, Tanh) else (t["sigmoid_low"], t["sigmoid_high"])
        stats[f"out {call.named}"] = share(xp.abs(call.x) > t["far"])
        stats[f"end {call.named}"] = share(xp.logical_or(call.x < low, call.x > high))
    seen = pull(stats)
    where = max((call.named for call in layers), key=lambda name: (seen[f"end {name}"], seen[f"out {name}"]))
    out, end = seen[f"out {where}"], seen[f"end {where}"]
    severity: Severity = "fail" if end > t["share"] else "warn" if out > t["share"] else "pass"
    return check.say(
        severity,
        f"{percent(out)} of the inputs beyond ±5, {percent(end)} at the end of the range",
        "at most half",
        where,
        out=out,
        end=end,
    )


def training_against_inference(subject: Subject, check: Check) -> Finding:
    """T11: the trained layers say the same in training and in inference; running statistics have moved."""
    trial, t = shared(subject).trained[0], check.limits
    norms = [(path, module) for path, module in trial.model.modules() if isinstance(module, BatchNorm)]
    if not norms:
        return check.skip("there is no batch norm")
    xp, begun = subject.backend.xp, subject.model.buffers()
    names = {path: f"{path}.running_mean" if path else "running_mean" for path, _ in norms}
    moved = pull({path: xp.max(xp.abs(module.running_mean - begun[names[path]])) for path, module in norms})
    still = [path for path, distance in moved.items() if distance == 0]
    if still:
        return check.say(
            "fail",
            f"running statistics of {len(still)} layers never moved in {trial.step} steps",
            "they move",
            still[0],
        )
    twin = trial.model.copy()
    for _, module in twin.modules():
        if hasattr(module, "p"):
            module.p = 0.0
    x, y = subject.sample
    (calls, out), (others, other) = walk(twin, x, train_seed=subject.seed), walk(twin, x)
    seen = pull(
        {"training": subject.loss(out, y), "inference": subject.loss(other, y)}
        | {f"at {a.named}": similarity(a.out, b.out) for a, b in zip(calls, others) if isinstance(a.module, BatchNorm)}
    )
    least = min((name for name in seen if name.startswith("at ")), key=lambda name: seen[name])
    size = max(min(seen["training"], seen["inference"]), 0.1 * subject.constant_loss)
    gap = abs(seen["training"] - seen["inference"]) / size
    severity: Severity = "pass" if gap <= t["gap"] and seen[least] >= t["similar"] else "warn"
    text = f"loss {number(seen['training'])} in training, {number(seen['inference'])} in inference; similarity {number(seen[least])}"
    return check.say(severity, text, "gap ≤ 50 %, similarity ≥ 0.75", least[3:], gap=gap, similarity=seen[least])


FIRST = (
    Check("T1", "short training", "it learns 16 rows by heart", {"rows": 16.0, "share": 0.02, "wrong": 0.05, "steps": 1000.0}, "{advice}.", "K C3 TDC ART", overfits),
    Check("T8", "short training", "the learning rate against a range test", {"low": 0.01, "high": 10.0, "falls": 0.5, "stop": 4.0, "adam": 0.01}, "{advice}.", "PL, own", range_test),
)  # fmt: skip

CHECKS = (
    Check("T2", "short training", "inputs matter", {"won": 0.75, "rows": 20.0}, "Nothing that it learns holds on other rows: are inputs and labels paired rightly (shuffle them together), and do these inputs tell anything about the target?", "K TDC", inputs_matter),
    *course.of_run(lambda subject: shared(subject).course),
    Check("T4", "short training", "ReLU units are alive", {"zero": 1e-5, "samples": 0.95, "warn": 0.4, "fail": 0.5}, "Use `LeakyReLU` or He init at {where}, or a lower rate.", "TDC SM C1, measured", dead_units),
    Check("T5", "short training", "tanh and sigmoid units are in range", {"far": 5.0, "tanh": 9.5, "sigmoid_low": -23.0, "sigmoid_high": 17.0, "share": 0.5}, "Smaller initial weights, a norm layer, or ReLU at {where}.", "SM DD", saturated_units),
    Check("T11", "short training", "training and inference agree", {"gap": 0.5, "similar": 0.75}, "Batch norm at {where} was not run inside `nnx.training`, or its momentum is too near 1.", "TDC", training_against_inference),
)  # fmt: skip
