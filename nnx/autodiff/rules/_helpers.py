"""What several chapters of rules share."""

import math
from typing import Any

from array_api_compat import device

from nnx.typing import Array, Namespace


def is_complex(xp: Namespace, x: Any) -> bool:
    """Whether ``x`` is a complex array or scalar."""
    if isinstance(x, (bool, int, float, complex)):
        return isinstance(x, complex)
    return bool(xp.isdtype(x.dtype, "complex floating"))


def conj(xp: Namespace, x: Any) -> Any:
    """The conjugate, without work where ``x`` is real."""
    if isinstance(x, (bool, int, float, complex)):
        return x.conjugate()
    return xp.conj(x) if xp.isdtype(x.dtype, "complex floating") else x


def adjoint(xp: Namespace, x: Array) -> Array:
    """The Hermitian adjoint."""
    return xp.matrix_transpose(conj(xp, x))


def eye(xp: Namespace, like: Array) -> Array:
    """The real unit matrix of the size of square matrices."""
    kind = xp.real(like).dtype if is_complex(xp, like) else like.dtype
    return xp.eye(like.shape[-1], dtype=kind, device=device(like))


def divisor(xp: Namespace, d: Array, g: Array) -> Array:
    """``d`` to divide ``g`` by, with 1 where ``d`` is 0 or NaN and no gradient arrives.

    So a pole in the branch that ``where`` did not take gives 0, not 0/0; where a gradient does arrive, the pole stays.
    """
    return xp.where((g == 0) & ~(xp.abs(d) > 0), xp.ones_like(d), d)


def factor(xp: Namespace, d: Array, g: Array) -> Array:
    """``d`` to multiply ``g`` by, with 0 where ``d`` is infinite or NaN and no gradient arrives."""
    return xp.where((g == 0) & ~xp.isfinite(d), xp.zeros_like(d), d)


def positive_axes(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    """Axes as non-negative integers, all of them for ``None``."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def keep_axes(xp: Namespace, y: Array, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Array:
    """A reduced array with its reduced axes back as length 1, ready to broadcast against ``shape``."""
    if keepdims or y.shape == shape:
        return y
    reduced = positive_axes(axis, len(shape))
    return xp.reshape(y, tuple(1 if i in reduced else n for i, n in enumerate(shape)))


def count(shape: tuple[int, ...], axis: Any) -> int:
    """How many elements a reduction over ``axis`` takes together."""
    return math.prod(shape[a] for a in positive_axes(axis, len(shape)))
