"""Linear algebra: products, inverses and norms. The decompositions have a file of their own.

Every pullback is the plain transpose of the derivative; a conjugate below is one of the function itself. ``inv`` and
``solve`` need a matrix that can be inverted, and leave it to the library to say so; a singular one is a pole of ``slogdet``,
infinite where a gradient arrives, and no trouble for ``det``. ``vector_norm`` takes 0 for its derivative at the kinks: at a
vector of zeros, and, for orders other than 2, with respect to an element that is 0. ``matrix_norm`` does so too, and where
singular values tie or are 0, its orders 2, -2 and ``nuc`` go by the singular vectors that the library found.
"""

import math
from typing import Any

from nnx.autodiff.rules._helpers import conj, divisor, eye, is_complex, keep_axes
from nnx.autodiff.rules.determinant import cofactors
from nnx.typing import Array, Namespace


def rules(xp: Namespace) -> dict[str, Any]:
    """The rules of this chapter, written with ``xp``."""

    def t(x: Array) -> Array:
        return xp.matrix_transpose(x)

    return {
        "matmul": (lambda y, a, b: _matmul_left(xp, a, b), lambda y, a, b: _matmul_right(xp, a, b)),
        "vecdot": (
            lambda y, a, b, axis=-1: lambda g: conj(xp, xp.expand_dims(g, axis=axis) * b),
            lambda y, a, b, axis=-1: lambda g: xp.expand_dims(g, axis=axis) * conj(xp, a),
        ),
        "linalg.cross": (
            lambda y, a, b, axis=-1: lambda g: xp.linalg.cross(b, g, axis=axis),
            lambda y, a, b, axis=-1: lambda g: xp.linalg.cross(g, a, axis=axis),
        ),
        "linalg.det": (lambda y, x: lambda g: _matrix(xp, g) * cofactors(xp, x),),
        "linalg.inv": (lambda y, x: lambda g: -xp.matmul(xp.matmul(t(y), g), t(y)),),
        "linalg.pinv": (lambda y, x, rtol=None: lambda g: _pinv(xp, g, y, x),),
        "linalg.slogdet": (
            lambda out, x: _slogdet_sign(xp, out[0], x),
            lambda out, x: lambda g: _matrix(xp, _over(xp, g, out[0])) * _inverse(xp, out[0], x),
        ),
        "linalg.solve": (
            lambda x, a, b: lambda g: _solve_matrix(xp, g, x, a, b),
            lambda x, a, b: lambda g: _solve(xp, t(a), g, b.ndim == 1),
        ),
        "linalg.vector_norm": (
            lambda y, x, axis=None, keepdims=False, ord=2: _vector_norm(xp, y, x, axis, keepdims, ord),
        ),
    }


def _matrix(xp: Namespace, g: Array) -> Array:
    """One number for each matrix, ready to multiply the matrices."""
    return xp.expand_dims(xp.expand_dims(g, axis=-1), axis=-1)


def _column(xp: Namespace, v: Array) -> Array:
    return xp.expand_dims(v, axis=-1)


def _row(xp: Namespace, v: Array) -> Array:
    return xp.expand_dims(v, axis=-2)


def _rows(xp: Namespace, a: Array) -> Array:
    """All rows of a batch of matrices as one matrix."""
    return a if a.ndim == 2 else xp.reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))


# products -------------------------------------------------------------------------------------------------------------
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


# inverses -------------------------------------------------------------------------------------------------------------
def _solve(xp: Namespace, a: Array, b: Array, vector: bool) -> Array:
    """A⁻¹ b, where ``vector`` says that b is a batch of vectors and not of matrices."""
    if not vector:
        return xp.linalg.solve(a, b)
    return xp.squeeze(xp.linalg.solve(a, _column(xp, b)), axis=-1)


def _solve_matrix(xp: Namespace, g: Array, x: Array, a: Array, b: Array) -> Array:
    """X = A⁻¹ B: Ā = −B̄ Xᵀ with B̄ = A⁻ᵀ X̄."""
    vector = b.ndim == 1
    b_bar = _solve(xp, xp.matrix_transpose(a), g, vector)
    if vector:
        return -_column(xp, b_bar) * _row(xp, x)
    return -xp.matmul(b_bar, xp.matrix_transpose(x))


def _pinv(xp: Namespace, g: Array, p: Array, a: Array) -> Array:
    """P = A⁺ of constant rank: dP = −P dA P + P Pᴴ dAᴴ (1 − A P) + (1 − P A) dAᴴ Pᴴ P.

    Source: Golub & Pereyra, SIAM J. Numer. Anal. 10 (1973) 413.
    """
    t, product = xp.matrix_transpose, xp.matmul
    h = t(conj(xp, p))
    within = -product(product(t(p), g), t(p))
    beside = product(product(t(g), p), h)
    beside = beside - product(product(a, p), beside)
    below = product(product(h, p), t(g))
    below = below - product(below, product(p, a))
    return within + conj(xp, beside + below)


def _slogdet_sign(xp: Namespace, y: Array, x: Array) -> Any:
    """sign = det/|det| turns with the phase alone: d sign = i sign Im tr(A⁻¹ dA); constant where it is real."""
    if not is_complex(xp, x):
        return None
    return lambda g: _matrix(xp, xp.imag(g * y) * 1j) * _inverse(xp, y, x)


def _over(xp: Namespace, g: Array, sign: Array) -> Array:
    """g, divided by 0 where the matrix is singular."""
    regular = xp.where(sign == 0, xp.zeros_like(g), xp.ones_like(g))
    return g / divisor(xp, regular, g)


def _inverse(xp: Namespace, sign: Array, x: Array) -> Array:
    """A⁻ᵀ; ones for a singular matrix."""
    singular = _matrix(xp, sign == 0)
    inverse = xp.linalg.inv(xp.where(singular, xp.broadcast_to(eye(xp, x), x.shape), x))
    return xp.where(singular, xp.ones_like(x), xp.matrix_transpose(inverse))


# norms ----------------------------------------------------------------------------------------------------------------
def _vector_norm(xp: Namespace, y: Array, x: Array, axis: Any, keepdims: bool, p: float) -> Any:
    """‖x‖ₚ: ∂/∂x = sign(x)* (|x|/‖x‖)^(p−1); for p = ±inf the elements that reach the norm share the gradient."""
    if p == 0:
        return None

    def pullback(g: Array) -> Array:
        norm, g_kept = keep_axes(xp, y, x.shape, axis, keepdims), keep_axes(xp, g, x.shape, axis, keepdims)
        if math.isinf(p):
            reached = xp.astype(xp.abs(x) == norm, g.dtype)
            share = reached / xp.sum(reached, axis=axis, keepdims=True)
            return g_kept * share * conj(xp, xp.sign(x))
        size = xp.abs(x)
        size = xp.where(size == 0, xp.ones_like(size), size)
        if p < 1:  # for p < 0 one element 0 makes the norm 0, and the derivative by the others
            return g_kept * conj(xp, xp.sign(x)) * (norm / size) ** (1 - p)
        norm = xp.where(norm == 0, xp.ones_like(norm), norm)
        if p == 2:
            return g_kept * conj(xp, x) / norm
        return g_kept * conj(xp, xp.sign(x)) * (size / norm) ** (p - 1)

    return pullback
