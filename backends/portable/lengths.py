"""Lengths that are not known: the standard has None for them, and reshape takes −1 for one of them."""

from collections.abc import Iterable
from math import prod

from array_api_compat import device

from nnx.typing import Array, Namespace


def lengths(shape: Iterable[int | None]) -> tuple[int, ...]:
    """The lengths as reshape takes them: −1 for the one that is not known.

    >>> lengths((None, 3)), lengths((2, 3))
    ((-1, 3), (2, 3))
    """
    return tuple(-1 if n is None else n for n in shape)


def count(shape: Iterable[int | None]) -> int:
    """How many values these axes have, −1 if that is not known.

    >>> count((None, 3)), count((2, 3))
    (-1, 6)
    """
    known = tuple(shape)
    return -1 if None in known else prod(known)  # type: ignore[arg-type]


def beside(xp: Namespace, x: Array, axis: int, n: int, value: float) -> Array:
    """n times one value, to be put beside x along an axis: as long as x along the others.

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> beside(xp, np.asarray([[1.0], [2.0]]), 1, 3, 0.0)
    array([[0., 0., 0.],
           [0., 0., 0.]])
    """
    if None not in x.shape:
        return xp.full((*x.shape[:axis], n, *x.shape[axis + 1 :]), value, dtype=x.dtype, device=device(x))
    return xp.full_like(xp.take(x, xp.zeros((n,), dtype=xp.int64, device=device(x)), axis=axis), value)
