"""Statistical functions. ``max`` and ``min`` share the gradient equally among the elements that tie; ``std`` has 0 where all
elements are equal. Where no degree of freedom is left, ``var`` and ``std`` are infinite or NaN, and so is their derivative."""

from typing import Any

from array_api_compat import device

from nnx.autodiff.rules._helpers import conj, count, divisor, keep_axes, positive_axes
from nnx.typing import Array, Namespace


def rules(xp: Namespace) -> dict[str, Any]:
    """The rules of this chapter, written with ``xp``."""
    return {
        "sum": (lambda y, x, axis=None, dtype=None, keepdims=False: _sum(xp, x.shape, axis, keepdims),),
        "mean": (lambda y, x, axis=None, keepdims=False: _mean(xp, x.shape, axis, keepdims),),
        "max": (lambda y, x, axis=None, keepdims=False: _extreme(xp, y, x, axis, keepdims),),
        "min": (lambda y, x, axis=None, keepdims=False: _extreme(xp, y, x, axis, keepdims),),
        "prod": (lambda y, x, axis=None, dtype=None, keepdims=False: _prod(xp, x, axis, keepdims),),
        "var": (lambda y, x, axis=None, correction=0.0, keepdims=False: _var(xp, x, axis, correction, keepdims),),
        "std": (lambda y, x, axis=None, correction=0.0, keepdims=False: _std(xp, y, x, axis, correction, keepdims),),
        "cumulative_sum": (
            lambda y, x, axis=None, dtype=None, include_initial=False: _cumulative_sum(xp, axis, include_initial),
        ),
        "cumulative_prod": (
            lambda y, x, axis=None, dtype=None, include_initial=False: _cumulative_prod(xp, x, axis, include_initial),
        ),
    }


def _sum(xp: Namespace, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    return lambda g: xp.broadcast_to(keep_axes(xp, g, shape, axis, keepdims), shape)


def _mean(xp: Namespace, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    n = count(shape, axis)
    return lambda g: xp.broadcast_to(keep_axes(xp, g, shape, axis, keepdims) / max(n, 1), shape)


def _extreme(xp: Namespace, y: Array, x: Array, axis: Any, keepdims: bool) -> Any:
    def pullback(g: Array) -> Array:
        best = xp.astype(x == keep_axes(xp, y, x.shape, axis, keepdims), g.dtype)
        ties = xp.sum(best, axis=axis, keepdims=True)
        return keep_axes(xp, g, x.shape, axis, keepdims) * best / ties

    return pullback


def _prod(xp: Namespace, x: Array, axis: Any, keepdims: bool) -> Any:
    """∂Π/∂x_k is the product of the others: of those to the left times those to the right, so zeros do no harm."""

    def pullback(g: Array) -> Array:
        reduced = positive_axes(axis, x.ndim)
        kept = tuple(i for i in range(x.ndim) if i not in reduced)
        order = (*kept, *reduced)
        lanes = xp.permute_dims(xp.astype(x, g.dtype, copy=False), order)
        rows = xp.reshape(lanes, (*(x.shape[i] for i in kept), count(x.shape, axis)))
        left = xp.cumulative_prod(rows, axis=-1, include_initial=True)[..., :-1]
        right = xp.flip(xp.cumulative_prod(xp.flip(rows, axis=-1), axis=-1, include_initial=True)[..., :-1], axis=-1)
        others = xp.permute_dims(xp.reshape(left * right, lanes.shape), tuple(order.index(i) for i in range(x.ndim)))
        return keep_axes(xp, g, x.shape, axis, keepdims) * others

    return pullback


def _var(xp: Namespace, x: Array, axis: Any, correction: float, keepdims: bool) -> Any:
    def pullback(g: Array) -> Array:
        n = max(count(x.shape, axis) - correction, 0)
        centred = x - xp.mean(x, axis=axis, keepdims=True)
        return keep_axes(xp, g, x.shape, axis, keepdims) * conj(xp, centred) * 2 / n

    return pullback


def _std(xp: Namespace, y: Array, x: Array, axis: Any, correction: float, keepdims: bool) -> Any:
    def pullback(g: Array) -> Array:
        n = max(count(x.shape, axis) - correction, 0)
        centred = x - xp.mean(x, axis=axis, keepdims=True)
        deviation = keep_axes(xp, y, x.shape, axis, keepdims)
        deviation = divisor(xp, deviation, centred)
        return keep_axes(xp, g, x.shape, axis, keepdims) * conj(xp, centred) / (deviation * n)

    return pullback


def _flip_sum(xp: Namespace, g: Array, axis: int) -> Array:
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)


def _without_initial(g: Array, axis: int) -> Array:
    return g[(slice(None),) * (axis % g.ndim) + (slice(1, None), ...)]


def _cumulative_sum(xp: Namespace, axis: int | None, include_initial: bool) -> Any:
    def pullback(g: Array) -> Array:
        a = 0 if axis is None else axis
        return _flip_sum(xp, _without_initial(g, a) if include_initial else g, a)

    return pullback


def _cumulative_prod(xp: Namespace, x: Array, axis: int | None, include_initial: bool) -> Any:
    """∂y_j/∂x_k = Π_{i<k} x_i · Π_{k<i≤j} x_i, as a matrix over (k, j): right at zeros, quadratic in the axis."""

    def pullback(g: Array) -> Array:
        a = 0 if axis is None else axis
        g = xp.moveaxis(_without_initial(g, a) if include_initial else g, a, -1)
        rows = xp.moveaxis(xp.astype(x, g.dtype, copy=False), a, -1)
        n = rows.shape[-1]
        left = xp.cumulative_prod(rows, axis=-1, include_initial=True)[..., :-1]
        place = xp.arange(n, dtype=xp.int64, device=device(g))
        after = place[None, :] > place[:, None]  # i after k
        ones = xp.ones((n, n), dtype=g.dtype, device=device(g))
        between = xp.cumulative_prod(xp.where(after, xp.expand_dims(rows, axis=-2), ones), axis=-1)
        summed = xp.sum(xp.triu(between) * xp.expand_dims(g, axis=-2), axis=-1)
        return xp.moveaxis(left * summed, -1, a)

    return pullback
