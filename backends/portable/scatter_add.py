"""Scatter-add: the sum of the rows that share an index, which is the derivative of ``take``."""

import array_api_compat

from nnx.backends.portable.numbering import widened
from nnx.typing import Array, Namespace


def scatter_add(xp: Namespace, index: Array, values: Array, n: int) -> Array:
    """Sum of the rows of ``values`` by index.

    ``out[i, ...] = sum of values[k, ...] over k with index[k] == i``

    index (K,) integers in [-n, n), negative ones counted from the end; values (K, ...) numbers -> (n, ...).

    The rows are sorted by index and summed inside each run of equal indices by a scan that doubles its reach: after
    step d every row holds the sum of up to 2d rows of its run. So a sum of K terms is a tree of depth log2(K), with an
    error below eps * log2(K) * sum|values|, and no row meets another's values: no cancellation of running totals,
    and a NaN or inf stays in its row (a one-hot matrix product would spread it, and needs K * n memory). Costs
    log2(K) passes over ``values``.

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> scatter_add(xp, np.asarray([2, 0, 2]), np.asarray([1.0, 2.0, 3.0]), 4)
    array([2., 0., 4., 0.])
    """
    device = array_api_compat.device(values)
    count, trailing = values.shape[0], tuple(values.shape[1:])
    if count == 0:
        return xp.zeros((n, *trailing), dtype=values.dtype, device=device)
    index = widened(xp, index, n)
    index = xp.where(index < 0, index + n, index)
    order = xp.argsort(index, stable=True)
    index, values = xp.take(index, order, axis=0), xp.take(values, order, axis=0)

    column = (count, *(1,) * len(trailing))
    reach = 1
    while reach < count:
        same = xp.reshape(index[reach:] == index[:-reach], (count - reach, *column[1:]))
        earlier = xp.where(same, values[:-reach, ...], xp.zeros_like(values[:-reach, ...]))
        values = xp.concat([values[:reach, ...], values[reach:, ...] + earlier], axis=0)
        reach *= 2

    rows = xp.arange(n, dtype=index.dtype, device=device)
    end = xp.searchsorted(index, rows, side="right")
    begin = xp.searchsorted(index, rows, side="left")
    last = xp.where(end > 0, end - 1, end)
    filled = xp.reshape(end > begin, (n, *column[1:]))
    sums = xp.take(values, last, axis=0)
    return xp.where(filled, sums, xp.zeros_like(sums))
