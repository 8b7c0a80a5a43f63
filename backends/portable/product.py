"""The matrix product of layers, which may be large."""

from nnx.typing import Array, Namespace


def product(xp: Namespace, a: Array, b: Array) -> Array:
    """a b, for a matrix b or as many as a has.

    >>> import numpy as np
    >>> product(np, np.eye(2), np.ones((2, 1))).tolist()
    [[1.0], [1.0]]
    """
    return a @ b
