"""R: whole runs, judged by their history; ``Watch`` does it while ``nnx.fit`` runs. R4 judges a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx.doctor.measure import number, percent
from nnx.doctor.verdict import Check, Finding
from nnx.train.record import Record


@dataclass(frozen=True)
class Whole:
    """A run: the records of its epochs so far, how many there will be, and the metric on training rows in inference.

    ``keeps_best`` if the weights of the best epoch are what it leaves, as with early stopping: what came after does no harm.
    """

    history: Sequence[Record]
    epochs: int
    train_score: float | None = None
    keeps_best: bool = False

    def curve(self, name: str) -> np.ndarray[Any, Any]:
        """One value of every epoch; NaN where a record has none."""
        values = [record.get(name) for record in self.history]
        return np.asarray([np.nan if value is None else float(value) for value in values], dtype=np.float64)


def overfitting(run: Whole, check: Check) -> Finding:
    """R1: the validation loss has risen for ``patience`` epochs while the training loss fell."""
    val, train, t = run.curve("val_loss"), run.curve("loss"), check.limits
    patience = int(t["patience"])
    if not np.isfinite(val).any():
        return check.skip("there are no validation losses")
    if run.keeps_best:
        return check.skip("the best epoch is kept")
    if len(val) <= patience:
        return check.skip(f"fewer than {patience + 1} epochs")
    best = int(np.nanargmin(val))
    now, falling = float(np.median(val[-3:])), float(np.median(train[-3:])) < float(train[best])
    text = f"validation loss {number(float(val[best]))} in epoch {best + 1}, {number(now)} in epoch {len(val)}"
    gained = max(float(val[0]), float(train[0])) - float(val[best])
    lost = now - float(val[best])
    rises = len(val) - 1 - best >= patience and now > t["rise"] * float(val[best]) and lost > t["part"] * gained
    gap = (now - float(np.median(train[-3:]))) / max(float(np.median(train[-3:])), 1e-30)
    where = f"epoch {best + 1}"
    return check.say(
        "warn" if rises and falling else "pass",
        text,
        f"not {percent(t['rise'] - 1)} above its least, nor {percent(t['part'])} of what was gained, {patience} epochs after it",
        where,
        {"epoch": best + 1},
        gap=gap,
    )


def better_on_validation(run: Whole, check: Check) -> Finding:
    """R2: accuracy on validation rows well above that on training rows, both in inference."""
    val = run.curve("val_accuracy")
    if run.train_score is None or not len(val) or not np.isfinite(val[-1]):
        return check.skip("no training rows were given to compare with, or there are no classes")
    gap = float(val[-1]) - run.train_score
    text = f"validation accuracy {percent(float(val[-1]))}, training accuracy {percent(run.train_score)}, both in inference"
    return check.say("warn" if gap > check.limits["points"] else "pass", text, "at most 5 points above", "val", gap=gap)


def length(run: Whole, check: Check) -> Finding:
    """R3: the best epoch is neither at the very start, nor is the end still falling steeply."""
    name = "val_loss" if np.isfinite(run.curve("val_loss")).any() else "loss"
    curve, t = run.curve(name), check.limits
    if len(curve) < max(2, run.epochs):
        return check.skip("it was not run to its last epoch, or has only one")
    n, best = len(curve), int(np.nanargmin(curve))
    quarter = max(n // 4, 1)
    last, before = float(np.median(curve[-quarter:])), float(np.median(curve[-2 * quarter : -quarter]))
    text = f"best in epoch {best + 1} of {n}, {name} {number(before)} → {number(last)} in the last {'quarter' if quarter > 1 else 'epoch'}"
    steep = last < (1 - t["falls"]) * before and before - last > t["part"] * (float(curve[0]) - float(curve[best]))
    if best >= min(n * (1 - t["last"]), n - 1) and steep:
        return check.say(
            "warn",
            text,
            "not falling by 25 % in the last quarter",
            f"epoch {best + 1}",
            {"way": "longer: it still improves"},
            best=best + 1,
        )
    least = float(curve[best])
    if n >= 20 and best < n * t["first"] and not run.keeps_best and last - least > t["part"] * abs(least):
        return check.say(
            "warn",
            f"least {name} {number(least)} in epoch {best + 1} of {n}, {number(last)} in the last quarter",
            "best after the first 10 %, or not 5 % above it",
            f"epoch {best + 1}",
            {"way": "shorter, or at a lower rate"},
            best=best + 1,
        )
    return check.ok(text, "neither first 10 % nor still falling", f"epoch {best + 1}", best=best + 1)


def rising(run: Whole, check: Check) -> Finding:
    """T12 over epochs: the training loss is twice its least."""
    loss, t = run.curve("loss"), check.limits
    if len(loss) and not np.isfinite(loss[-1]):
        return check.say("fail", "no finite training loss", "finite", f"epoch {len(loss)}")
    if len(loss) < 3:
        return check.skip("fewer than 3 epochs")
    least = float(np.nanmin(loss))
    bad = loss[-1] > t["rise"] * least and loss[-1] > t["part"] * loss[0]
    text = f"training loss {number(float(loss[-1]))} in epoch {len(loss)}, least {number(least)}"
    return check.say("fail" if bad else "pass", text, "below twice its least", f"epoch {len(loss)}", least=least)


@dataclass(frozen=True)
class Search:
    """A search: for each hyper-parameter its range (low, high) and whether it is on a log scale; the best values; how many trials."""

    space: Mapping[str, tuple[float, float, bool]]
    best: Mapping[str, float]
    trials: int


def border(search: Search, check: Check) -> Finding:
    """R4: the best trial is not at the border of the space."""
    edge = check.limits["edge"]
    found = []
    for name, (low, high, log) in search.space.items():
        if name not in search.best or not high > low:
            continue
        a, b, value = (np.log(v) if log else v for v in (low, high, search.best[name]))
        at = float((value - a) / (b - a))
        if at < edge or at > 1 - edge:
            found.append(f"{name} = {number(search.best[name])} at the {'lower' if at < edge else 'upper'} end")
    few = search.trials < check.limits["trials"]
    fill = {"few": " With fewer than 10 trials tune the rate only." if few else ""}
    if not found:
        return check.ok(f"best of {search.trials} trials inside", "5 % from either end")
    return check.say(
        "warn", "; ".join(found), "5 % from either end", found[0].partition(" ")[0], fill, count=len(found)
    )


R1 = Check("R1", "run", "it does not overfit", {"patience": 5.0, "rise": 1.15, "part": 0.1}, "Stop at epoch {epoch} (`nnx.train.EarlyStopping`), or regularise: dropout, L2, more data.", "G UM", overfitting)  # fmt: skip
R2 = Check("R2", "run", "validation is not better than training", {"points": 0.05}, "Look at D6 and D7: rows or answers may have leaked.", "UM", better_on_validation)  # fmt: skip
R3 = Check("R3", "run", "the run is long enough", {"last": 0.25, "first": 0.1, "falls": 0.25, "part": 0.05}, "Train {way}.", "G", length)  # fmt: skip
R4 = Check("R4", "search", "the best trial is inside the space", {"edge": 0.05, "trials": 10.0}, "Widen the space there.{few}", "G C3", border)  # fmt: skip
T12_EPOCHS = Check("T12", "run", "the loss falls", {"rise": 2.0, "part": 0.25}, "Lower the rate; is the sign right? (I7)", "TDC G", rising)  # fmt: skip

CHECKS = (R1, R2, R3)
