"""Whether arrays hold finite numbers only: one flag, left on the device until somebody asks."""

from collections.abc import Sequence

from nnx.typing import Array, Namespace


def finite(xp: Namespace, arrays: Sequence[Array]) -> Array:
    """Whether every number of these floating arrays (at least one) is finite, as a 0-d array.

    >>> import numpy as np
    >>> bool(finite(np, [np.ones(2), np.asarray([1.0, np.inf])]))
    False
    """
    flag = xp.all(xp.isfinite(arrays[0]))
    for array in arrays[1:]:
        flag = xp.logical_and(flag, xp.all(xp.isfinite(array)))
    return flag
