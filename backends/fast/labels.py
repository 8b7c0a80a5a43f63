"""Cross-entropy from labels on NumPy: the portable hook's bits without a table of ones and zeros, its passes over rows
compiled where that pays.

exp, log and the sum of a row stay NumPy's own, whose roundings a compiled loop would not have. What is left is exact:
the largest of a row, one difference, a number that is picked. numba is imported at first use.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from nnx.backends.fast import crew
from nnx.backends.fast.compiled import Worth, njit
from nnx.typing import Array, Namespace

SHARED_FROM = 60_000
"""Elements from which rows are shared among threads."""

worth = Worth()

Saved = tuple[Array, Array, Array]
"""e, Σ e and the place of the label in its row, −1 where it is no class."""


def cross_entropy(
    xp: Namespace, logits: Array, labels: Array, out: tuple[Array, Saved] | None = None
) -> tuple[Array, Saved]:
    """The ``cross_entropy`` hook of NumPy."""
    if out is None:
        shape, dtype = logits.shape[:-1], logits.dtype
        saved = np.empty(logits.shape, dtype), np.empty((*shape, 1), dtype), np.empty(shape, np.intp)
        out = np.empty(shape, dtype), saved
    rows, (e, total, place) = out
    _by_rows(_loops()[0] if worth(e.size) else _shift, (logits, labels, e, place, rows))
    np.exp(e, e)
    np.add.reduce(e, -1, None, total, keepdims=True)
    log = np.log(total.reshape(rows.shape))
    np.subtract(log if place.min(initial=0) == 0 else log * (place >= 0), rows, rows)
    return out


def cross_entropy_back(xp: Namespace, saved: Saved, g: Array, out: Array | None = None) -> Array:
    """The ``cross_entropy_back`` hook of NumPy."""
    e, total, place = saved
    out = np.empty(e.shape, e.dtype) if out is None else out
    _by_rows(_loops()[1] if worth(e.size) else _back, (e, total.reshape(place.shape), place, g, out))
    return out


def _by_rows(function: Callable[..., None], given: tuple[Array, ...]) -> None:
    """``given``: arrays of rows and others with a number for each row, of any shape before."""
    first = given[0]
    if len(first.shape) != 2:
        rows = first.size // max(first.shape[-1], 1)
        given = tuple(x.reshape((rows, -1) if len(x.shape) == len(first.shape) else (rows,)) for x in given)
    if first.size < SHARED_FROM:
        function(*given)
    else:
        crew.share_rows(function, given, SHARED_FROM // 2 // first.shape[-1] + 1)


# the passes, as calls of NumPy ----------------------------------------------------------------------------------------
def _shift(logits: Array, labels: Array, z: Array, place: Array, picked: Array) -> None:
    """z = x − max x; where the label stands, and z there, or 0."""
    np.subtract(logits, np.max(logits, axis=-1, keepdims=True), z)
    classes = z.shape[1]
    place[...] = np.where((labels >= 0) & (labels < classes), labels, -1)
    there = place >= 0
    picked[...] = np.where(there, z[np.arange(len(z)), place], 0)


def _back(e: Array, total: Array, place: Array, g: Array, out: Array) -> None:
    """g (e / Σ e − one-hot t); 0 where the label is no class."""
    np.divide(e, total[:, None], out)
    there = place >= 0
    row = np.arange(len(place))[there]
    out[row, place[there]] -= 1
    np.multiply(out, (g * there)[:, None], out)


# the same passes for the compiler -------------------------------------------------------------------------------------
@cache
def _loops() -> tuple[Callable[..., None], Callable[..., None]]:
    return njit(_shift_loop), njit(_back_loop)


def _shift_loop(logits: Any, labels: Any, z: Any, place: Any, picked: Any) -> None:
    rows, classes = logits.shape
    for r in range(rows):
        most = logits[r, 0]
        for c in range(1, classes):
            x = logits[r, c]
            if x > most or x != x:
                most = x
        for c in range(classes):
            z[r, c] = logits[r, c] - most
        if 0 <= labels[r] < classes:
            place[r] = labels[r]
            picked[r] = z[r, labels[r]]
        else:
            place[r] = -1
            picked[r] = 0


def _back_loop(e: Any, total: Any, place: Any, g: Any, out: Any) -> None:
    rows, classes = e.shape
    zero, one = e.dtype.type(0), e.dtype.type(1)  # beside a literal float32 would be float64
    for r in range(rows):
        sum_, at = total[r], place[r]
        factor = g[r] * (one if at >= 0 else zero)
        for c in range(classes):
            out[r, c] = factor * (e[r, c] / sum_)
        if at >= 0:
            out[r, at] = factor * (e[r, at] / sum_ - one)
