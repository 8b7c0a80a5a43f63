"""An element-wise rule over many arrays: by default one after the other."""

from collections.abc import Callable, Sequence

from nnx.typing import Array, Namespace


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
