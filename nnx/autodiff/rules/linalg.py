"""Linear algebra. Every pullback is the plain transpose of the derivative: complex arrays bring no conjugate of their own."""

import math
from typing import Any

from nnx.typing import Array, Namespace


def rules(xp: Namespace) -> dict[str, Any]:
    """The rules of this chapter, written with ``xp``."""
    return {
        "matmul": (lambda y, a, b: _matmul_left(xp, a, b), lambda y, a, b: _matmul_right(xp, a, b)),
    }


def _matmul_left(xp: Namespace, a: Array, b: Array) -> Any:
    """Y = A B: Ā = Ḡ Bᵀ; the tape sums over the axes that A was broadcast along."""
    if b.ndim == 1:
        return lambda g: _column(xp, g) * b if a.ndim > 1 else g * b
    if a.ndim == 1:
        return lambda g: xp.squeeze(xp.matmul(b, _column(xp, g)), axis=-1)
    return lambda g: xp.matmul(g, xp.matrix_transpose(b))


def _matmul_right(xp: Namespace, a: Array, b: Array) -> Any:
    """Y = A B: B̄ = Aᵀ Ḡ. A matrix B shared by a batch gets one long product instead of a sum of short ones."""
    if a.ndim == 1:
        return lambda g: _row(xp, g) * _column(xp, a) if b.ndim > 1 else g * a
    if b.ndim == 1:
        return lambda g: xp.matmul(xp.reshape(g, (math.prod(g.shape),)), _rows(xp, a))
    if b.ndim == 2:
        return lambda g: xp.matmul(xp.matrix_transpose(_rows(xp, a)), _rows(xp, g))
    return lambda g: xp.matmul(xp.matrix_transpose(a), g)


def _column(xp: Namespace, v: Array) -> Array:
    return xp.expand_dims(v, axis=-1)


def _row(xp: Namespace, v: Array) -> Array:
    return xp.expand_dims(v, axis=-2)


def _rows(xp: Namespace, a: Array) -> Array:
    """All rows of a batch of matrices as one matrix."""
    return a if a.ndim == 2 else xp.reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))
