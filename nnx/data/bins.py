"""Regression as classification: cut a real target into bins and predict the bin."""

from typing import Any, NamedTuple

import numpy as np

from nnx.errors import ConfigError, DataError, ShapeError

_Array = np.ndarray[Any, Any]


class Bins(NamedTuple):
    """labels (N,) int64; edges (n + 1,) and centres (n,) in the unit of the target."""

    labels: _Array
    edges: _Array
    centres: _Array


def bin_target(y: Any, n: int, strategy: str = "quantile") -> Bins:
    """Cut targets into n bins; label b stands for edges[b] ≤ y < edges[b+1], the last bin includes its upper edge.

    "uniform" makes bins of one width, "quantile" bins of nearly equal counts. centres[b] is the mean of the targets in
    bin b, the one number with the least squared error there (the middle of an empty bin): what to predict for label b.

    Shapes: y (N,) or (N, 1). Errors: DataError if y does not have n distinct bins or is not finite.

    >>> bin_target([0.0, 1.0, 2.0, 9.0], 2)
    Bins(labels=array([0, 0, 1, 1]), edges=array([0. , 1.5, 9. ]), centres=array([0.5, 5.5]))

    Source: CS231n notes, neural-networks-2, "word of caution" on L2 regression.
    """
    values = _column(y)
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise ConfigError(expected="two or more bins", got=repr(n), where="n", fix="10 is a common choice.")
    if strategy not in ("quantile", "uniform"):
        raise ConfigError(
            expected="strategy 'quantile' or 'uniform'",
            got=repr(strategy),
            where="strategy",
            fix="Choose one of those.",
        )
    low, high = float(values.min()), float(values.max())
    edges = (
        np.linspace(low, high, n + 1) if strategy == "uniform" else np.quantile(values, np.linspace(0.0, 1.0, n + 1))
    )
    if not np.all(np.diff(edges) > 0):
        raise DataError(
            expected=f"a target that fills {n} bins",
            got=f"{np.unique(edges).size - 1} with different edges",
            where="y",
            fix="Use fewer bins, or strategy='uniform' if the target has more than one value.",
        )
    labels = assign_bins(values, edges)
    counts = np.bincount(labels)  # the largest value is in the last of the n
    means = np.bincount(labels, weights=values) / np.maximum(counts, 1)
    return Bins(labels, edges, np.where(counts > 0, means, (edges[:-1] + edges[1:]) / 2))


def assign_bins(y: Any, edges: _Array) -> _Array:
    """The bin of each target under edges that were found on other data; values beyond them fall into the outer bins.

    >>> assign_bins([-5.0, 0.5, 99.0], [0.0, 1.0, 2.0]).tolist()
    [0, 0, 1]
    """
    labels: _Array = np.searchsorted(np.asarray(edges)[1:-1], _column(y), side="right").astype(np.int64)
    return labels


def _column(y: Any) -> _Array:
    values = np.asarray(y, dtype=np.float64)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or not values.size:
        raise ShapeError(
            expected="targets of shape (N,) or (N, 1)",
            got=str(values.shape),
            where="y",
            fix="Bin one target at a time.",
        )
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(expected="finite targets", got=str(values[row]), where=f"y at row {row}", fix="Drop the row.")
    return values
