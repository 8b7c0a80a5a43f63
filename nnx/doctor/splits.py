"""D5, D6, D10: the parts of the data know nothing of each other, and look alike."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from nnx import backends
from nnx.doctor.measure import number, percent
from nnx.doctor.rows import Rows
from nnx.doctor.subject import Subject
from nnx.doctor.verdict import Check, Finding, Severity
from nnx.layers import Standardize

MOST = 4096, 256
"""Rows and columns that are looked at to say what is alike by chance."""
ALIKE, RELATED = 4.0, 1.5
"""How many others like it a row must have for a group of columns to be counted together; what groups may have in common."""


def fitted_on_training_rows(subject: Subject, check: Check) -> Finding:
    """D5: the mean that was taken away is the training rows', not that of all rows.

    Judged by which of the two a fitted ``Standardize`` is nearer to; inputs that came standardised by which of the two
    has mean 0.
    """
    others = [rows for rows in (subject.val, subject.test) if rows is not None]
    train = subject.train.flat.astype(np.float64)
    layer = next(((path, m) for path, m in subject.original.modules() if isinstance(m, Standardize)), None)
    if layer is not None and not subject.preparations_fitted[layer[0]]:
        return check.ok("it will be fitted on train", "training rows", layer[0])
    if layer is None and not np.abs(train.mean(axis=0)).max() < 0.5 * train.std(axis=0).max():
        return check.ok("the inputs come as they are", "training rows", "train.x")
    if not others:
        return check.skip("there are no other rows to compare with")
    both = np.concatenate([train, *(rows.flat.astype(np.float64) for rows in others)])
    mean, where = np.zeros(train.shape[1]), "train.x"
    if layer is not None:
        stored = layer[1].mean
        mean, where = backends.of(stored).to_numpy(stored).astype(np.float64), f"{layer[0]}.mean"
        if mean.shape != train.shape[1:]:
            return check.skip("the layer does not see the rows themselves")
    spread = np.where(train.std(axis=0) > 0, train.std(axis=0), 1.0)
    ours, theirs = (float(np.sqrt(np.mean(((part.mean(axis=0) - mean) / spread) ** 2))) for part in (train, both))
    apart = float(np.sqrt(np.mean(((both.mean(axis=0) - train.mean(axis=0)) / spread) ** 2)))
    if apart < 1e-5:
        return check.skip("train and all rows have the same means")
    near = check.limits["closer"] * apart
    text = f"{number(ours)} σ from the means of train, {number(theirs)} σ from those of all rows"
    harm: Severity = "fail" if apart > check.limits["far"] else "warn"
    severity: Severity = "pass" if ours < near else harm if theirs < near else "warn"
    if min(ours, theirs) >= near and layer is None:
        return check.ok("the inputs come as they are", "training rows", "train.x")
    return check.say(severity, text, "those of train", where, train=ours, all=theirs)


def _keys(rows: Rows) -> list[int]:
    x = np.ascontiguousarray(rows.flat, dtype=np.float32)
    y = np.ascontiguousarray(rows.y.reshape(len(rows), -1), dtype=np.float32)
    return [hash((a.tobytes(), b.tobytes())) for a, b in zip(x, y)]


def rows_in_two_parts(subject: Subject, check: Check) -> Finding:
    """D6: rows of val or test that are also in train, input and target alike.

    In data that repeat themselves as many of them are in train as training rows have a twin there. More than luck adds
    to that were copied from part to part; where it is as many, they warn only if columns alike by chance do not tell
    them, and fail if they are most rows, as in a table that holds everything twice.
    """
    parts = [rows for rows in (subject.val, subject.test) if rows is not None]
    if not parts:
        return check.skip("there are no validation rows")
    known = Counter(_keys(subject.train))
    found = {rows.name: [i for i, key in enumerate(_keys(rows)) if key in known] for rows in parts}
    name = max(found, key=lambda part: len(found[part]))
    size, n, count, t = len(getattr(subject, name)), len(subject.train), len(found[name]), check.limits
    part = count / size
    by_chance = min(1.0, RELATED * _by_chance(subject.train)) if part else 0.0
    usual = max(by_chance, sum(times for times in known.values() if times > 1) / n)
    severity: Severity = "pass"
    if _above(count, usual, size, n):
        severity = "warn" if part - usual <= t["share"] else "fail"
    elif part - by_chance > t["share"] and _above(count, by_chance, size, n):
        severity, usual = "warn" if part - by_chance <= t["most"] else "fail", by_chance
    expected = usual * size
    text = f"{count} of {size} rows of {name} are in train ({percent(part)})"
    where = f"{name}, row {found[name][0]}" if count else name
    fill = {"rows": "1 row is" if count == 1 else f"{count} rows are"}
    return check.say(severity, text, f"about {number(expected)}" if expected >= 0.1 else "0", where, fill, share=part)


def _above(count: int, share: float, size: int, n: int) -> bool:
    """Whether luck does not make so many of ``size`` rows; twins among the ``n`` others come in twos, and a pair may be missed."""
    return count > share * size + 3 * math.sqrt((1 + 2 * size / n) * (share * size + size / n))


def _by_chance(rows: Rows) -> float:
    """The share of new rows that would equal one of these by chance.

    Two rows agree in a group of columns with the chance Σ p² over what they hold, and in all groups with the product. A
    group is as many columns as leave each row four others like it, the coarsest columns first, so that those of one-hot
    codes, which go together, are not taken for independent; what only tells again what another column tells is left out.
    Of very many rows and columns some are looked at: with fewer columns the share is the larger one.
    """
    index, some = (np.linspace(0, n - 1, min(n, most)).astype(np.int64) for n, most in zip(rows.flat.shape, MOST))
    columns = {}
    for column in (*rows.flat[np.ix_(index, some)].T, *rows.y[index].reshape(len(index), -1).T):
        ids = np.unique(column, return_inverse=True)[1].reshape(-1)
        columns[min(ids.tobytes(), (ids.max() - ids).tobytes())] = ids
    both, group = 1.0, np.zeros(len(index), dtype=np.int64)
    for ids in sorted(columns.values(), key=lambda ids: int(ids.max())):
        finer = np.unique(group * len(index) + ids, return_inverse=True)[1].reshape(-1)
        if _others_alike(finer) < ALIKE:
            both *= _others_alike(group) / max(len(index) - 1, 1)
            finer = ids
        group = finer
        if both * len(rows) < 1e-6:
            return 0.0
    both *= _others_alike(group) / max(len(index) - 1, 1)
    return 1 - (1 - both) ** len(rows) if both < 1 else 1.0


def _others_alike(group: np.ndarray[Any, Any]) -> float:
    """How many others are in the group of a row, on average."""
    counts = np.bincount(group).astype(np.float64)
    return float(np.sum(counts * (counts - 1)) / len(group))


def split_is_sane(subject: Subject, check: Check) -> Finding:
    """D10: the targets and the inputs of val are distributed as those of train."""
    train, val = subject.train, subject.val
    if val is None:
        return check.skip("there are no validation rows")
    if train.labels is not None and val.labels is not None:
        found = _classes_alike(train.labels, val.labels, train.label, check)
    elif train.task == "classification":
        found = check.skip("the targets are not labels")
    else:
        a, b = (rows.y.astype(np.float64).reshape(len(rows), -1)[:, 0] for rows in (train, val))
        found = _targets_alike(a, b, check)
    return found if found.severity in ("warn", "fail") else _inputs_alike(train, val, check) or found


def _apart(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """How far the means of two parts are from each other, in standard errors; their variance is that within both."""
    variance = (len(a) * a.var(axis=0) + len(b) * b.var(axis=0)) / (len(a) + len(b))
    distance, error = np.abs(a.mean(axis=0) - b.mean(axis=0)), np.sqrt(variance * (1 / len(a) + 1 / len(b)))
    return np.asarray(np.where(distance > 0, distance / error, 0.0))


def _inputs_alike(train: Rows, val: Rows, check: Check) -> Finding | None:
    """A warning where the means of a column are apart; of very many rows and columns some are looked at."""
    columns = np.linspace(0, train.flat.shape[1] - 1, min(train.flat.shape[1], MOST[1])).astype(np.int64)
    some = (np.linspace(0, len(rows) - 1, min(len(rows), MOST[0])).astype(np.int64) for rows in (train, val))
    a, b = (rows.flat[np.ix_(index, columns)].astype(np.float64) for rows, index in zip((train, val), some))
    apart = _apart(a, b)
    worst = int(np.argmax(apart))
    z, named = float(apart[worst]), train.column(int(columns[worst]))
    if not z > check.limits["z"]:
        return None
    means = " and ".join(number(float(part[:, worst].mean())) for part in (a, b))
    return check.say("warn", f"{named} has means {means}, z = {number(z)}", "z ≤ 8", f"val.x, {named}", z=z)


def _targets_alike(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], check: Check) -> Finding:
    z = float(_apart(a, b))
    low, high = np.quantile(a, (0.01, 0.99))
    inside = float(np.mean((b >= low) & (b <= high)))
    severity: Severity = "fail" if inside < 0.05 else "warn" if z > check.limits["z"] else "pass"
    text = f"mean targets {number(float(a.mean()))} and {number(float(b.mean()))}, z = {number(z)}"
    return check.say(severity, text, "z ≤ 8", "val.y", z=z)


def _classes_alike(
    a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], named: Callable[[int], str], check: Check
) -> Finding:
    classes = int(max(a.max(), b.max())) + 1
    ours, theirs = np.bincount(a, minlength=classes), np.bincount(b, minlength=classes)
    expected = ours / ours.sum() * len(b)
    missing = np.flatnonzero((theirs == 0) & (ours > 1) | (ours == 0) & (theirs > 0))  # one row is in one part only
    if missing.size:
        worst = int(missing[np.argmax(np.maximum(expected, theirs)[missing])])
        part = "val" if theirs[worst] == 0 else "train"
        severity: Severity = "fail" if part == "train" or expected[worst] >= check.limits["expected"] else "warn"
        return check.say(
            severity,
            f"{named(worst)} is missing in {part}",
            "every class in every part",
            f"{part}.y, {named(worst)}",
            missing=missing.size,
        )
    pooled = (ours + theirs) / (len(a) + len(b))
    kept = pooled > 0
    square = sum(
        float(np.sum((n - p) ** 2 / p))
        for n, p in ((ours[kept], pooled[kept] * len(a)), (theirs[kept], pooled[kept] * len(b)))
    )
    freedom = max(int(kept.sum()) - 1, 1)
    z = (square - freedom) / float(np.sqrt(2 * freedom))
    return check.say(
        "warn" if z > check.limits["z"] else "pass", f"class shares differ by z = {number(z)}", "z ≤ 8", "val.y", z=z
    )
