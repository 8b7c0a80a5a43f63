"""An element-wise rule over many arrays: by default one after the other."""

from collections.abc import Callable, Sequence
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
    if len(small) < 2:
        return each(rule, xp, columns, numbers)
    joined = [xp.concat([xp.reshape(column[i], (-1,)) for i in small]) for column in columns]
    made: dict[int, list[Array]] = {i: [] for i in range(len(first))}
    for flat in rule(xp, *joined, *numbers):
        start = 0
        for i in small:
            end = start + prod(first[i].shape)
            made[i].append(xp.reshape(flat[start:end], first[i].shape))
            start = end
    large = [i for i in range(len(first)) if i not in set(small)]
    for i, row in zip(large, zip(*each(rule, xp, [[column[i] for i in large] for column in columns], numbers))):
        made[i].extend(row)
    return [list(column) for column in zip(*made.values(), strict=True)]
