"""An element-wise rule over many arrays: by default one after the other."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import prod

from nnx.typing import Array, Namespace

SMALL = 16_384
"""Elements up to which an array is joined with others: beyond, the copy would cost more than the call."""


def each(
    rule: Callable[..., tuple[Array, ...]], xp: Namespace, columns: Sequence[Sequence[Array]], numbers: Sequence[float]
) -> list[list[Array]]:
    """``rule(xp, *row, *numbers)`` for each row of the columns; the results as columns again.

    The arrays of a row are alike; those of different rows may be of any shapes.

    >>> import numpy as np
    >>> each(lambda xp, p, g, rate: (p - rate * g, g), np, [[np.ones(1), np.ones(2)], [np.ones(1), np.ones(2)]], [0.5])[
    ...     0
    ... ]
    [array([0.5]), array([0.5, 0.5])]
    """
    made = []
    for row in zip(*columns, strict=True):
        new = rule(xp, *row, *numbers)
        if not row[0].shape:  # NumPy gives scalars for arithmetic on 0-d arrays
            new = tuple(xp.asarray(array) for array in new)
        made.append(new)
    return [list(column) for column in zip(*made, strict=True)]


def each_joined(
    rule: Callable[..., tuple[Array, ...]], xp: Namespace, columns: Sequence[Sequence[Array]], numbers: Sequence[float]
) -> list[list[Array]]:
    """The same values with the rows joined end to end: for libraries where a call costs more than a copy.

    >>> import numpy as np
    >>> rule = lambda xp, p, g, rate: (p - rate * g, g)
    >>> each_joined(rule, np, [[np.ones(1), np.ones(2)], [np.ones(1), np.ones(2)]], [0.5])[0]
    [array([0.5]), array([0.5, 0.5])]
    """
    first = columns[0]
    small = [i for i, array in enumerate(first) if prod(array.shape) <= SMALL and array.dtype == first[0].dtype]

    def together(part: Sequence[Sequence[Array]]) -> list[list[Array]]:
        if len(part[0]) == 1:
            return each(rule, xp, part, numbers)
        joined = [xp.concat([xp.reshape(array, (-1,)) for array in column]) for column in part]
        ends = [0, *accumulate(prod(array.shape) for array in part[0])]
        return [
            [xp.reshape(flat[start:end], array.shape) for array, start, end in zip(part[0], ends, ends[1:])]
            for flat in rule(xp, *joined, *numbers)
        ]

    return grouped(together, columns, small)


def grouped(
    take: Callable[[Sequence[Sequence[Array]]], list[list[Array]]],
    columns: Sequence[Sequence[Array]],
    small: Sequence[int],
) -> list[list[Array]]:
    """``take`` of the small rows together and of each other row alone; the results as columns in the order of the rows.

    >>> grouped(lambda part: [[len(part[0])] * len(part[0])], [["a", "long", "b"]], [0, 2])
    [[2, 1, 2]]
    """
    count = len(columns[0])
    rows: dict[int, tuple[Array, ...]] = {}
    for group in [small, *([i] for i in sorted({*range(count)} - {*small}))]:
        if group:
            made = take([[column[i] for i in group] for column in columns])
            rows |= dict(zip(group, zip(*made, strict=True), strict=True))
    return [list(column) for column in zip(*(rows[i] for i in range(count)), strict=True)]
