"""Rows of a table by their numbers, one tape node.

y[…, :] = W[index[…], :]; ∂L/∂W[k, :] = Σ g[…, :] over the places whose index is k, by the backend's ``scatter_add``.
An index that is no row gives a row of NaN and no gradient: on a device nobody may look at its value to raise.
"""

import math
from typing import Any

from nnx.autodiff import Namespace as Traced
from nnx.autodiff import Primitive
from nnx.autodiff.hooks import scatter_add
from nnx.backends.portable.lengths import lengths
from nnx.errors import DtypeError, ShapeError
from nnx.typing import Array, Namespace


def _forward(xp: Namespace, index: Array, weight: Array, *, padding: int | None) -> tuple[Array, Any]:
    count, features = weight.shape
    flat = xp.astype(xp.reshape(index, (-1,)), xp.int64)
    known = (flat >= 0) & (flat < count)
    at = xp.where(known, flat, xp.zeros_like(flat))
    trained = known if padding is None else known & (flat != padding)
    if isinstance(xp, Traced):
        return _embedding(index, weight, padding=padding), (at, trained, count)
    rows = xp.take(weight, at, axis=0)
    y = xp.where(xp.expand_dims(known, axis=1), rows, xp.full_like(rows, math.nan))
    return xp.reshape(y, (*lengths(index.shape), features)), (at, trained, count)


def _backward(xp: Namespace, needs: Any, saved: Any, g: Array) -> Any:
    at, trained, count = saved
    rows = xp.reshape(g, (at.shape[0], g.shape[-1]))
    rows = xp.where(xp.expand_dims(trained, axis=1), rows, xp.zeros_like(rows))
    return None, scatter_add(at, rows, n=count)


_embedding = Primitive(_forward, _backward)


def embedding(index: Array, weight: Array, padding: int | None = None) -> Array:
    """The rows of ``weight`` with these numbers.

    Shapes: index (…,) integers in 0 … count − 1, weight (count, F), y (…, F). The row ``padding`` has no gradient.
    A number out of that range, also a negative one, gives NaN and no gradient, on every backend.
    Errors: ``DtypeError`` for an index that is not of integers, ``ShapeError`` for a weight that is no matrix.

    >>> import numpy as np
    >>> embedding(np.asarray([2, 0]), np.asarray([[1.0], [2.0], [3.0]]))
    array([[3.],
           [1.]])
    """
    if weight.ndim != 2 or weight.shape[0] == 0:
        raise ShapeError(
            expected="a weight of shape (count, features) with at least one row",
            got=f"{tuple(weight.shape)}",
            fix="Give one row for each number that may come.",
        )
    kind = str(index.dtype).rpartition(".")[2]
    if not kind.startswith(("int", "uint")):
        raise DtypeError(
            expected="an index of integers",
            got=kind,
            fix="Encode what is to be looked up as whole numbers from 0, and keep them so: xp.astype(x, xp.int64). "
            "nnx.data.load makes floats of them; dataclasses.replace(data, x=x) puts them back.",
        )
    return _embedding(index, weight, padding=padding)
