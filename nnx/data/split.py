"""Parts of a data set: seeded, stratified by class, no row lost and none used twice."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnx import random
from nnx.data.dataset import Dataset
from nnx.errors import ConfigError

_Ints = np.ndarray[Any, np.dtype[np.int64]]


def split(dataset: Dataset, fractions: Sequence[float] = (0.7, 0.15, 0.15), seed: int = 0) -> tuple[Dataset, ...]:
    """Cut a data set into parts of the given fractions (sum 1) or row counts (sum N), in random order.

    With n_c rows of class c and fractions f_j, part j gets about n_c f_j rows of class c. Part sizes are exact, N f_j by
    largest remainder. A class with a row for each part is in each part (if the parts have room for all such classes);
    rarer ones go where most rows go.

    Errors: ConfigError when fractions do not sum to 1, counts not to N, or a part would be empty, and for what is no Dataset.

    >>> from nnx.data.digits import digits
    >>> train, val, test = split(digits(), (0.7, 0.15, 0.15), seed=0)
    >>> len(train), len(val), len(test)
    (1258, 270, 269)
    """
    if not isinstance(dataset, Dataset):
        raise ConfigError(
            expected="a Dataset",
            got=type(dataset).__name__,
            where="split",
            fix="Use nnx.data.load((x, y)) for arrays, or nnx.data.load(path).",
        )
    sizes = part_sizes(len(dataset), fractions)
    order = np.asarray(random.permutation(random.key(seed, "split"), len(dataset)))
    if dataset.task == "classification" and dataset.y is not None:
        part = _stratified(dataset.y[order], sizes)
    else:
        part = np.repeat(np.arange(len(sizes)), sizes)
    return tuple(dataset.take(order[part == j]) for j in range(len(sizes)))


def part_sizes(n: int, fractions: Sequence[float]) -> list[int]:
    """Rows in each part: counts as given, or n f_j rounded by largest remainder.

    >>> part_sizes(10, (0.5, 0.25, 0.25)), part_sizes(10, (8, 2))
    ([5, 3, 2], [8, 2])
    """
    parts = list(fractions) if isinstance(fractions, (Sequence, np.ndarray)) else [fractions]
    real = all(isinstance(f, (int, float, np.integer, np.floating)) and not isinstance(f, bool) for f in parts)
    if len(parts) < 2 or not real or not all(f > 0 for f in parts):
        raise ConfigError(
            expected="two or more fractions above 0",
            got=repr(fractions),
            where="fractions",
            fix="For example (0.8, 0.2).",
        )
    if all(isinstance(f, (int, np.integer)) for f in parts):
        if sum(parts) != n:
            raise ConfigError(
                expected=f"counts that sum to the {n} rows",
                got=f"{sum(parts)} from {fractions!r}",
                where="fractions",
                fix="For a share of the rows write fractions such as (0.8, 0.2).",
            )
        return [int(f) for f in parts]
    total = float(sum(parts))
    if not abs(total - 1.0) < 1e-6:
        raise ConfigError(
            expected="fractions that sum to 1",
            got=f"{total:g} from {fractions!r}",
            where="fractions",
            fix="For example (0.8, 0.2).",
        )
    shares = np.asarray(parts, dtype=np.float64) / total * n
    sizes = (shares + 1e-9).astype(np.int64)
    for j in np.argsort(sizes - shares, kind="stable")[: n - int(sizes.sum())]:
        sizes[j] += 1
    if not sizes.all():
        raise ConfigError(
            f"{n} rows leave part {int(np.argmin(sizes))} empty",
            where="fractions",
            fix=f"Use larger fractions than {fractions!r}, or more data.",
        )
    return [int(size) for size in sizes]


def _stratified(labels: _Ints, sizes: Sequence[int]) -> _Ints:
    """The part of each row, from the labels in random order."""
    table = _table(np.bincount(labels), np.asarray(sizes, dtype=np.int64))
    part = np.empty(labels.shape[0], dtype=np.int64)
    by_class = np.argsort(labels, kind="stable")
    part[by_class] = np.concatenate([np.repeat(np.arange(len(sizes)), row) for row in table])
    return part


def _table(rows: _Ints, sizes: _Ints) -> _Ints:
    """Whole numbers a[c, j] near n_c s_j / N with row sums n_c and column sums s_j.

    All shares are rounded down; then each class gives its remaining rows to different parts. Classes with fewer rows than
    parts choose first, by the largest share cut off; for the others the part that needs most rows goes first, which is
    how a table of zeros and ones with given sums is always found (Gale 1957, Ryser 1957).
    """
    total, parts = int(rows.sum()), range(len(sizes))
    exact = rows[:, None] * sizes[None, :]  # in units of 1/N: no rounding at all
    table, cut = exact // total, exact % total
    need = sizes - table.sum(axis=0)
    for c in np.argsort(rows, kind="stable"):
        rare, given = rows[c] < len(sizes), set[int]()
        for _ in range(int(rows[c] - table[c].sum())):
            wanting = [(j not in given, 0 if rare else int(need[j]), int(cut[c, j]), -j) for j in parts if need[j] > 0]
            j = -max(wanting)[-1]
            table[c, j] += 1
            need[j] -= 1
            given.add(j)
    _represent(table)
    return table


def _represent(table: _Ints) -> None:
    """Give each class with enough rows one in every part, by exchange with another class: no sum changes."""
    for c, j in np.argwhere(table == 0):
        if table[c].sum() < table.shape[1]:
            continue
        giver = int(np.argmax(table[c]))
        other = int(np.argmax(table[:, j]))
        if table[other, j] >= 2 and table[c, giver] >= 2:
            table[c, giver] -= 1
            table[c, j] += 1
            table[other, j] -= 1
            table[other, giver] += 1
