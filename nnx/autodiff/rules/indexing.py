"""Indexing, searching and sorting. The gradient goes back to where the values were taken from; repeats add up.

``sort`` takes the order it found: among equal elements the gradient follows the stable order.
"""

from math import prod
from typing import Any

from array_api_compat import device

from nnx.autodiff import hooks
from nnx.backends.portable.numbering import widened
from nnx.typing import Array, Namespace


def rules(xp: Namespace) -> dict[str, Any]:
    """The rules of this chapter, written with ``xp``."""
    return {
        "getitem": (lambda y, x, key: lambda g: hooks.put(g, shape=x.shape, key=key),),
        "take": (lambda y, x, indices, axis=None: _take(xp, x.shape, indices, axis),),
        "take_along_axis": (lambda y, x, indices, axis=-1: _take_along_axis(xp, x.shape, indices, axis),),
        "where": (
            None,
            lambda y, c, a, b: lambda g: xp.where(c, g, xp.zeros_like(g)),
            lambda y, c, a, b: lambda g: xp.where(c, xp.zeros_like(g), g),
        ),
        "sort": (lambda y, x, axis=-1, descending=False, stable=True: _sort(xp, x, axis, descending),),
    }


def _take(xp: Namespace, shape: tuple[int, ...], indices: Array, axis: int | None) -> Any:
    axis = 0 if axis is None else axis % len(shape)
    n = shape[axis]

    def pullback(g: Array) -> Array:
        rows = xp.moveaxis(g, axis, 0)
        index = xp.asarray(indices, device=device(g)) if isinstance(indices, list) else indices
        if not index.ndim:
            index = xp.reshape(index, (1,))
            rows = xp.expand_dims(g, 0)
        summed = hooks.scatter_add(index, rows, n=n)
        return xp.moveaxis(summed, 0, axis)

    return pullback


def _take_along_axis(xp: Namespace, shape: tuple[int, ...], indices: Array, axis: int) -> Any:
    """Every lane along the axis is a range of its own in one long scatter."""
    axis = axis % len(shape)
    n = shape[axis]
    lanes = shape[:axis] + shape[axis + 1 :]

    def pullback(g: Array) -> Array:
        last = xp.moveaxis(g, axis, -1)
        index = widened(xp, xp.moveaxis(indices, axis, -1), prod(shape))
        index = xp.where(index < 0, index + n, index)
        index = xp.broadcast_to(index, last.shape)
        count = prod(lanes)
        k = last.shape[-1]
        offset = xp.arange(count, dtype=index.dtype, device=device(g)) * n
        flat = xp.reshape(xp.reshape(index, (count, k)) + xp.reshape(offset, (count, 1)), (count * k,))
        summed = hooks.scatter_add(flat, xp.reshape(xp.broadcast_to(last, (*lanes, k)), (count * k,)), n=count * n)
        return xp.moveaxis(xp.reshape(summed, (*lanes, n)), -1, axis)

    return pullback


def _sort(xp: Namespace, x: Array, axis: int, descending: bool) -> Any:
    order = xp.argsort(x, axis=axis, descending=descending, stable=True)
    back = xp.argsort(order, axis=axis, stable=True)
    return lambda g: xp.take_along_axis(g, back, axis=axis)
