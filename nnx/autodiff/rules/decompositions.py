"""Matrix decompositions. Each output has a rule of its own, ``rule(outputs, x, …)``; their gradients add.

They are written for gradients with a conjugate, dL = Re Σ ḡ* dx, as in the literature; ``_conjugated`` translates.

A decomposition is unique only up to signs, phases and the order inside equal eigenvalues: the derivative is that of the
function which the library computes, and is right for every loss that does not depend on this choice. Where two
eigenvalues (or singular values) are equal, the derivative of their vectors is infinite where a gradient arrives. ``qr`` has
one only where the columns (of a wide matrix: the first ones) are linearly independent.
``cholesky`` and ``eigh`` are functions of Hermitian matrices, and so are their gradients.

Sources: Giles, "Collected matrix derivative results" (2008); Walter & Lehmann, arXiv:1001.1654 (qr);
Boeddeker et al., arXiv:1701.00392 (complex eig); Wan & Zhang, arXiv:1909.02659 (complex svd).
"""

from collections.abc import Callable
from typing import Any

from nnx.autodiff.rules._helpers import adjoint as _h
from nnx.autodiff.rules._helpers import conj, divisor, is_complex
from nnx.autodiff.rules._helpers import eye as _eye
from nnx.errors import ShapeError
from nnx.typing import Array, Namespace

Pullback = Callable[[Array], Array]


def rules(xp: Namespace) -> dict[str, Any]:
    """The rules of this chapter, written with ``xp``."""
    return {
        "linalg.cholesky": (lambda y, x, upper=False: _conjugated(xp, lambda g: _cholesky(xp, g, y, upper)),),
        "linalg.eig": (
            lambda out, x: _conjugated(xp, lambda g: _eig_values(xp, g, *out)),
            lambda out, x: _conjugated(xp, lambda g: _eig_vectors(xp, g, *out)),
        ),
        "linalg.eigh": (
            lambda out, x: _conjugated(xp, lambda g: _sandwich(xp, out[1], g[..., None, :], out[1])),
            lambda out, x: _conjugated(xp, lambda g: _eigh_vectors(xp, g, *out)),
        ),
        "linalg.qr": (
            lambda out, x, mode="reduced": _qr(xp, x, mode, lambda g: _qr_left(xp, g, *out)),
            lambda out, x, mode="reduced": _qr(xp, x, mode, lambda g: _qr_right(xp, g, *out)),
        ),
        "linalg.svd": (
            lambda out, x, full_matrices=True: _svd(xp, x, full_matrices, lambda g: _svd_left(xp, g, *out)),
            lambda out, x, full_matrices=True: _svd(xp, x, full_matrices, lambda g: _svd_values(xp, g, *out)),
            lambda out, x, full_matrices=True: _svd(xp, x, full_matrices, lambda g: _svd_right(xp, g, *out)),
        ),
    }


# shared ---------------------------------------------------------------------------------------------------------------
def _conjugated(xp: Namespace, pullback: Pullback) -> Pullback:
    return lambda g: conj(xp, pullback(conj(xp, g)))


def _sandwich(xp: Namespace, left: Array, middle: Array, right: Array) -> Array:
    """L M Rᴴ; a row as M is a diagonal matrix."""
    scaled = left * middle if middle.shape[-2] == 1 else xp.matmul(left, middle)
    return xp.matmul(scaled, _h(xp, right))


def _over_gaps(xp: Namespace, numerator: Array, values: Array) -> Array:
    """Nᵢⱼ / (vⱼ − vᵢ) off the diagonal, 0 on it."""
    numerator = numerator * (1 - _eye(xp, numerator))
    gaps = values[..., None, :] - values[..., :, None]
    return numerator / divisor(xp, gaps, numerator)


def _diagonal(xp: Namespace, x: Array) -> Array:
    """The diagonal as a row."""
    return xp.sum(x * _eye(xp, x), axis=-2, keepdims=True)


def _skew(xp: Namespace, x: Array) -> Array:
    return x - _h(xp, x)


def _half(xp: Namespace, triangle: Callable[[Array], Array], x: Array) -> Array:
    """A triangle of x with its diagonal halved."""
    return triangle(x) * (1 - 0.5 * _eye(xp, x))


# Hermitian ------------------------------------------------------------------------------------------------------------
def _cholesky(xp: Namespace, g: Array, y: Array, upper: bool) -> Array:
    """A = L Lᴴ: Ā is the Hermitian part of L⁻ᴴ Φ(Lᴴ L̄) L⁻¹, where Φ takes the lower triangle and half the diagonal."""
    lower, g = (_h(xp, y), _h(xp, g)) if upper else (y, g)
    up = _h(xp, lower)
    phi = _half(xp, xp.tril, xp.matmul(up, g))
    a_bar = xp.linalg.solve(up, _h(xp, xp.linalg.solve(up, _h(xp, phi))))
    return 0.5 * (a_bar + _h(xp, a_bar))


def _eigh_vectors(xp: Namespace, g: Array, w: Array, v: Array) -> Array:
    """A = V Λ Vᴴ: Ā = V (F ∘ skew(Vᴴ V̄)) Vᴴ / 2 with Fᵢⱼ = 1/(λⱼ − λᵢ)."""
    return _sandwich(xp, v, 0.5 * _over_gaps(xp, _skew(xp, xp.matmul(_h(xp, v), g)), w), v)


# general --------------------------------------------------------------------------------------------------------------
def _eig_values(xp: Namespace, g: Array, w: Array, v: Array) -> Array:
    """A V = V Λ: Ā = V⁻ᴴ λ̄ Vᴴ."""
    up = _h(xp, v)
    return xp.linalg.solve(up, g[..., :, None] * up)


def _eig_vectors(xp: Namespace, g: Array, w: Array, v: Array) -> Array:
    """A V = V Λ, columns of length 1: Ā = V⁻ᴴ (F* ∘ (Vᴴ V̄ − Vᴴ V Re diag(Vᴴ V̄))) Vᴴ with Fᵢⱼ = 1/(λⱼ − λᵢ)."""
    up = _h(xp, v)
    turned = xp.matmul(up, g)
    turned = turned - xp.matmul(up, v) * xp.real(_diagonal(xp, turned))
    return xp.linalg.solve(up, xp.matmul(_over_gaps(xp, turned, conj(xp, w)), up))


def _refusing(error: ShapeError) -> Pullback:
    """The value may be had; only a derivative asked of it is an error."""

    def pullback(g: Array) -> Array:
        raise error

    return pullback


# qr -------------------------------------------------------------------------------------------------------------------
def _qr(xp: Namespace, x: Array, mode: str, pullback: Pullback) -> Pullback:
    m, n = x.shape[-2:]
    if mode == "complete" and m > n:
        return _refusing(
            ShapeError(
                expected="mode='reduced', or at least as many columns as rows, to differentiate qr",
                got=f"mode='complete' and a matrix of shape {(m, n)}",
                fix="Use mode='reduced': the extra columns of Q are arbitrary, so they have no derivative.",
            )
        )
    return _conjugated(xp, pullback)


def _qr_left(xp: Namespace, g: Array, q: Array, r: Array) -> Array:
    """A = Q R: Ā = (Q̄ − Q sym(triu Qᴴ Q̄)) R⁻ᴴ; columns beyond the square do not matter to Q."""
    k = q.shape[-1]
    inside = _half(xp, xp.triu, xp.matmul(_h(xp, q), g))
    a_bar = _over_r(xp, g - xp.matmul(q, inside + _h(xp, inside)), r[..., :, :k])
    return xp.concat([a_bar, xp.zeros_like(r[..., :, k:])], axis=-1) if r.shape[-1] > k else a_bar


def _qr_right(xp: Namespace, g: Array, q: Array, r: Array) -> Array:
    """A = Q R: Ā = Q sym(triu R̄ Rᴴ) R⁻ᴴ on the square R₁; beyond it R₂ = Qᴴ A₂, so Ā₂ = Q R̄₂ and Q̄ = A₂ R̄₂ᴴ."""
    k = q.shape[-1]
    r1, r2, g1, g2 = r[..., :, :k], r[..., :, k:], g[..., :, :k], g[..., :, k:]
    inside = _half(xp, xp.triu, xp.matmul(g1, _h(xp, r1)) - xp.matmul(r2, _h(xp, g2)))
    a_bar = xp.matmul(q, inside + _h(xp, inside) + xp.matmul(r2, _h(xp, g2)))
    a_bar = _over_r(xp, a_bar, r1)
    return xp.concat([a_bar, xp.matmul(q, g2)], axis=-1) if r.shape[-1] > k else a_bar


def _over_r(xp: Namespace, x: Array, r: Array) -> Array:
    """X R⁻ᴴ."""
    return _h(xp, xp.linalg.solve(r, _h(xp, x)))


# svd ------------------------------------------------------------------------------------------------------------------
def _svd(xp: Namespace, x: Array, full_matrices: bool, pullback: Pullback) -> Pullback:
    m, n = x.shape[-2:]
    if full_matrices and m != n:
        return _refusing(
            ShapeError(
                expected="full_matrices=False, or a square matrix, to differentiate svd",
                got=f"full_matrices=True and a matrix of shape {(m, n)}",
                fix="Use full_matrices=False: the extra singular vectors are arbitrary, so they have no derivative.",
            )
        )
    return _conjugated(xp, pullback)


def _svd_values(xp: Namespace, g: Array, u: Array, s: Array, vh: Array) -> Array:
    """A = U S Vᴴ: Ā = U S̄ Vᴴ."""
    return xp.matmul(u * g[..., None, :], vh)


def _svd_left(xp: Namespace, g: Array, u: Array, s: Array, vh: Array) -> Array:
    """A = U S Vᴴ: Ā = (U (F ∘ skew(Uᴴ Ū)) S + (1 − U Uᴴ) Ū S⁻¹) Vᴴ with Fᵢⱼ = 1/(sⱼ² − sᵢ²)."""
    row = s[..., None, :]
    turned = xp.matmul(_h(xp, u), g)
    inside = _over_gaps(xp, _skew(xp, turned), s * s) * row + _phase(xp, turned, row)
    a_bar = xp.matmul(u, inside)
    if u.shape[-2] > u.shape[-1]:
        outside = g - xp.matmul(u, turned)
        a_bar = a_bar + outside / divisor(xp, row, outside)
    return xp.matmul(a_bar, vh)


def _svd_right(xp: Namespace, g: Array, u: Array, s: Array, vh: Array) -> Array:
    """The left rule for Aᴴ = V S Uᴴ, taken back."""
    return _h(xp, _svd_left(xp, _h(xp, g), _h(xp, vh), s, _h(xp, u)))


def _phase(xp: Namespace, turned: Array, row: Array) -> Array:
    """Complex U and V may turn by a common phase; a loss that does not see it leaves half of this to each of them."""
    if not is_complex(xp, turned):
        return xp.zeros_like(turned)
    imaginary = xp.imag(turned) * _eye(xp, turned)
    return imaginary / divisor(xp, row, imaginary) * 0.5j
