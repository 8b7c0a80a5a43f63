"""D7: a feature that alone predicts the target is often one that will not be there at prediction time.

For each column the training rows are cut into bins by that column's value; half of the rows say what each bin predicts
(the commonest class, the mean target), the other half judge it; for real targets the straight lines between
neighbouring rows are tried as well. The score is the share of the way from the best constant guess to perfect:
(accuracy − base) / (1 − base), or 1 − RMSE/σ, where R² = 0.99 is 0.9. What other columns tell about as well, one alone
or all in a linear fit, as a petal's length does beside its width, is no secret that one column gives away: alone it
must leave less than half of what they leave. A column that tells all of a real target is one whatever the others tell,
as a price beside the price with tax.
"""

from typing import Any

import numpy as np

from nnx.doctor.measure import number
from nnx.doctor.subject import Subject
from nnx.doctor.verdict import Check, Finding, Severity

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
    named, alone, t = rows.column(best), scores[best], check.limits
    text, where = f"{named} alone explains {number(alone)}", f"train.x, {named}"
    if alone <= t["warn"] or x.shape[1] == 1:
        return check.ok(text + " (there is no other)" * (x.shape[1] == 1), "≤ 0.7", where, score=alone)
    others = max(*np.delete(scores, best), _together(np.delete(x, best, axis=1), y, half, labels is not None))
    limit = t["fail"] if labels is not None else t["fail_real"]
    severity: Severity = "fail" if alone >= limit and (labels is None or others < limit) else "pass"
    luck = float(np.sum(~half)) ** -0.5  # two standard errors of a share, at most
    if severity == "pass" and (alone >= limit or 1 - alone + luck < (1 - others) / 2):
        severity = "warn"
    text += f", the others {number(max(others, 0.0))}"
    bound = "≤ 0.7, or what others tell, too"
    return check.say(severity, text, bound, where, score=alone, others=others)


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
    return _nearer(y, half, means[bins[~half]])


def _lines(column: np.ndarray[Any, Any], y: np.ndarray[Any, Any], half: np.ndarray[Any, Any]) -> float:
    order = np.argsort(column[half], kind="stable")
    guess = np.interp(column[~half], column[half][order], y[half][order])
    return _nearer(y, half, guess)


def _nearer(y: np.ndarray[Any, Any], half: np.ndarray[Any, Any], guess: np.ndarray[Any, Any]) -> float:
    spread = float(np.mean((y[~half] - y[half].mean()) ** 2))
    return 1 - float(np.mean((y[~half] - guess) ** 2) / spread) ** 0.5 if spread > 0 else 0.0


def _together(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], half: np.ndarray[Any, Any], classes: bool) -> float:
    """The score of ridge regression on all columns of a table."""
    z = (x - x[half].mean(axis=0)) / np.where(x[half].std(axis=0) > 0, x[half].std(axis=0), 1.0)
    z = np.concatenate([z, np.ones((len(z), 1))], axis=1)
    targets = np.eye(int(y.max()) + 1)[y] if classes else y[:, None]
    a = z[half]
    if a.shape[1] <= a.shape[0]:
        weights = np.linalg.solve(a.T @ a + np.eye(a.shape[1]), a.T @ targets[half])
    else:
        weights = a.T @ np.linalg.solve(a @ a.T + np.eye(a.shape[0]), targets[half])
    guess = z[~half] @ weights
    if not classes:
        return _nearer(y, half, guess[:, 0])
    base = float(np.mean(y[~half] == np.argmax(targets[half].sum(axis=0))))
    return (float(np.mean(np.argmax(guess, axis=1) == y[~half])) - base) / (1 - base) if base < 1 else 0.0
