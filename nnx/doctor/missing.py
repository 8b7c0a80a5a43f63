"""D1: values that are not there: NaN, infinity, and numbers that stand for them, such as -999 or -1.

Such a number is told from a measured one by three signs. It is written as they are: nines, or -1. It stands at one end of its
column, in several rows. And it is out of place there: far beyond all else, five times the range of the rest, or the only number
below 0. A -1 may also be the first step of a scale, a floor below the ground, so there the rest must be more than twenty
different numbers above 0 and reach beyond 20, and -1 three times as common as they are. Nothing is said of 0, nor of 99
among numbers like it: they cannot be told from what was counted.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnx.doctor.measure import number
from nnx.doctor.rows import Rows
from nnx.doctor.subject import Subject
from nnx.doctor.verdict import Check, Finding

NINES = tuple(10.0**digits - 1 for digits in range(2, 7))
BELOW = (-1.0, -9.0, *(-nines for nines in NINES))


def all_there(subject: Subject, check: Check) -> Finding:
    """D1: no NaN or infinity in inputs or targets, and no number that stands for a missing one."""
    for rows in (subject.train, subject.val, subject.test):
        for name, values in (("x", rows.flat), ("y", rows.y)) if rows is not None else ():
            if values.dtype.kind != "f" or np.isfinite(values).all():
                continue
            bad = np.argwhere(~np.isfinite(values))
            row, column = int(bad[0][0]), int(bad[0][1]) if values.ndim > 1 else 0
            place = f"row {row}" + (f", {rows.column(column)}" if name == "x" else "")  # type: ignore[union-attr]
            where = f"{rows.name}.{name}, {place}"  # type: ignore[union-attr]
            advice = f"{where} is {values[tuple(bad[0])]}: drop the row or fill it with the training median"
            text = f"{len(bad)} of {values.size} values are not finite" + ", here the first" * (len(bad) > 1)
            return check.say("fail", text, "none", where, {"advice": advice}, count=len(bad))
    return _stand_ins(subject.train, check) or check.ok("all finite", "all finite")


def _stand_ins(rows: Rows, check: Check) -> Finding | None:
    tables = {"x": rows.flat} | ({"y": rows.y.reshape(len(rows), -1)} if rows.task == "regression" else {})
    found = {}
    for name, table in tables.items():
        ends = np.isin(table.min(axis=0), BELOW) | np.isin(table.max(axis=0), NINES)
        for column in np.flatnonzero(ends):  # so that few columns are sorted
            if seen := stand_in(table[:, column], check.limits):
                found[f"{rows.name}.x, {rows.column(int(column))}" if name == "x" else f"{rows.name}.y"] = seen
    if not found:
        return None
    where, (value, count) = next(iter(found.items()))
    text = f"{number(value)} stands in {count} rows, out of place"
    text += f"; {len(found)} columns have such a number" if len(found) > 1 else ""
    advice = f"If {number(value)} means missing, drop these rows or fill it with the training median"
    return check.say("warn", text, "no number for a missing one", where, {"advice": advice}, value=value, count=count)


def stand_in(column: np.ndarray[Any, Any], limits: Mapping[str, float]) -> tuple[float, int] | None:
    """The number at an end of a column that stands for missing ones, and in how many rows, or None.

    >>> stand_in(np.asarray([3.5, -999.0, 2.5, -999.0, 8.0]), {"far": 5.0, "often": 3.0})
    (-999.0, 2)
    >>> stand_in(np.asarray([0, -1, 1, 1, 2, 0, -1]), {"far": 5.0, "often": 3.0})
    """
    values, counts = np.unique(column.astype(np.float64), return_counts=True)
    if len(values) < 3:
        return None
    low, high, count = values[0], values[-1], int(counts[0])
    positive, spread = values[1] > 0 and high > 20 and len(values) > 21, high - values[1]
    if low == -1 and positive and count > max(5, limits["often"] * np.median(counts[1:])):
        return float(low), count
    if low in BELOW[1:] and (
        (count > 1 and values[1] >= 0) or (count > 2 and values[1] - low > limits["far"] * spread)
    ):
        return float(low), count
    if high in NINES and counts[-1] > 2 and high - values[-2] > limits["far"] * (values[-2] - low):
        return float(high), int(counts[-1])
    return None
