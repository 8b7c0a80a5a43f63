"""D7: a feature that alone predicts the target is often one that will not be there at prediction time.

For each column the training rows are cut into bins by that column's value; half of the rows say what each bin predicts (the
commonest class, the mean target), the other half judge it; for real targets the straight lines between neighbouring rows are
tried as well. The score is the share of the way from the best constant guess to perfect: (accuracy − base) / (1 − base), or R².
"""

from typing import Any

import numpy as np

from nnx.doctor.measure import number
from nnx.doctor.subject import Subject
from nnx.doctor.verdict import Check, Finding, graded

ROWS, BINS, IN_A_BIN = 4096, 64, 5


def one_feature_tells(subject: Subject, check: Check) -> Finding:
    """D7."""
    rows = subject.train
    labels = rows.labels
    if len(rows) < 20:
        return check.skip("fewer than 20 training rows")
    if labels is None and (rows.task == "classification" or rows.y.size != len(rows)):
        return check.skip("several targets a row")
    index = subject.draw("leakage", ROWS)
    x, y = rows.flat[index].astype(np.float64), rows.y[index].reshape(-1)
    half = np.zeros(len(index), dtype=bool)
    half[subject.draw("leakage halves", len(index) // 2, len(index))] = True
    score = _classes if labels is not None else _real
    most = max(2, min(BINS, len(index) // 2 // IN_A_BIN))
    scores = [score(_bins(x[:, column], most), y, half) for column in range(x.shape[1])]
    if labels is None:
        scores = [max(old, _lines(x[:, column], y, half)) for column, old in enumerate(scores)]
    best = int(np.argmax(scores))
    severity = graded(scores[best], warn=check.limits["warn"], fail=check.limits["fail"])
    named = rows.column(best)
    return check.say(
        severity,
        f"{named} alone explains {number(scores[best])}",
        "< 0.7",
        f"train.x, {named}",
        {"column": named.capitalize()},
        score=scores[best],
    )


def _bins(column: np.ndarray[Any, Any], most: int) -> np.ndarray[Any, Any]:
    """The number of each value's bin: its own where there are few values, quantiles otherwise."""
    values, bins = np.unique(column, return_inverse=True)
    if values.size > most:
        edges = np.quantile(column, np.linspace(0, 1, most + 1)[1:-1])
        bins = np.searchsorted(edges, column, side="right")
    return np.asarray(bins).reshape(-1)


def _classes(bins: np.ndarray[Any, Any], y: np.ndarray[Any, Any], half: np.ndarray[Any, Any]) -> float:
    table = np.zeros((bins.max() + 1, y.max() + 1))
    np.add.at(table, (bins[half], y[half]), 1)
    commonest = int(np.argmax(table.sum(axis=0)))
    table[table.sum(axis=1) == 0, commonest] = 1  # a bin that the first half has not seen
    base = float(np.mean(y[~half] == commonest))
    accuracy = float(np.mean(np.argmax(table, axis=1)[bins[~half]] == y[~half]))
    return (accuracy - base) / (1 - base) if base < 1 else 0.0


def _real(bins: np.ndarray[Any, Any], y: np.ndarray[Any, Any], half: np.ndarray[Any, Any]) -> float:
    y = y.astype(np.float64)
    counts = np.bincount(bins[half], minlength=bins.max() + 1)
    sums = np.bincount(bins[half], weights=y[half], minlength=bins.max() + 1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), y[half].mean())
    spread = np.mean((y[~half] - y[half].mean()) ** 2)
    return float(1 - np.mean((y[~half] - means[bins[~half]]) ** 2) / spread) if spread > 0 else 0.0


def _lines(column: np.ndarray[Any, Any], y: np.ndarray[Any, Any], half: np.ndarray[Any, Any]) -> float:
    order = np.argsort(column[half], kind="stable")
    guess = np.interp(column[~half], column[half][order], y[half][order])
    spread = np.mean((y[~half] - y[half].mean()) ** 2)
    return float(1 - np.mean((y[~half] - guess) ** 2) / spread) if spread > 0 else 0.0
