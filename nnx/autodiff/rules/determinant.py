"""Cofactors: Cᵢⱼ = ∂det(A)/∂Aᵢⱼ, of regular and singular matrices alike, and with derivatives of their own.

det(A) A⁻ᵀ is what they are only where A has an inverse, and near a singular matrix its derivative is all rounding; but they
are polynomials. Up to 3 × 3 these are written out. A larger matrix is turned by its singular vectors, held constant, to a
matrix that is diagonal here and has the three smallest singular values last:

    M = Uᴴ A V = [D B; G E],    S = E − G D⁻¹ B,    det A = det(U) det(Vᴴ) det(D) det(S)

det(S) is such a polynomial again, and D can be inverted unless more than three singular values are 0: then C and its first
two derivatives are 0. Rows and columns are scaled first: a matrix with rows of very different size is no singular one.
"""

from nnx.autodiff.rules._helpers import adjoint, conj, eye
from nnx.autodiff.tensor import constant
from nnx.typing import Array, Namespace


def cofactors(xp: Namespace, a: Array) -> Array:
    """The matrix C(A) of each of a batch of square matrices."""
    n = a.shape[-1]
    if n < 2:
        return xp.ones_like(a)
    if n == 2:
        return xp.flip(a, axis=(-2, -1)) * (2 * eye(xp, a) - 1)

    def turned(i: int, j: int) -> Array:
        return xp.roll(a, (-i, -j), axis=(-2, -1))

    if n == 3:
        return turned(1, 1) * turned(2, 2) - turned(1, 2) * turned(2, 1)
    held = constant(a)
    held = xp.where(xp.isfinite(held), held, xp.zeros_like(held))
    rows = _size(xp, held, -1)
    columns = _size(xp, held / rows, -2)
    u, s, vh = xp.linalg.svd(held / rows / columns)
    m = xp.matmul(xp.matmul(adjoint(xp, u), a / rows / columns), adjoint(xp, vh))
    m = (m - constant(m)) + s[..., None, :] * eye(xp, m)
    scale = xp.linalg.det(u) * xp.linalg.det(vh) * xp.prod(rows, axis=(-2, -1)) * xp.prod(columns, axis=(-2, -1))
    c = xp.matmul(xp.matmul(conj(xp, u), _of_nearly_diagonal(xp, m, s)), conj(xp, vh))
    return c * scale[..., None, None] / rows / columns


def _of_nearly_diagonal(xp: Namespace, m: Array, s: Array) -> Array:
    """C(M) = [−Qᵀ; 1] det(D) C(S) [−Pᵀ 1] + [det(M) D⁻ᵀ 0; 0 0] with P = D⁻¹ B, Q = G D⁻¹."""
    t, k = xp.matrix_transpose, m.shape[-1] - 3
    d, b, g, e = m[..., :k, :k], m[..., :k, k:], m[..., k:, :k], m[..., k:, k:]
    lost = (s[..., k - 1] == 0)[..., None, None]
    d = xp.where(lost, xp.broadcast_to(eye(xp, d), d.shape), d)
    det_d = xp.linalg.det(d)[..., None, None]
    det_d = xp.where(lost, xp.zeros_like(det_d), det_d)
    inverse = xp.linalg.inv(d)
    p, q = xp.matmul(inverse, b), xp.matmul(g, inverse)
    schur = e - xp.matmul(g, p)
    small = cofactors(xp, schur)
    det_m = det_d * xp.sum(schur[..., :1, :] * small[..., :1, :], axis=-1, keepdims=True)
    one = xp.ones_like(e) * eye(xp, e)
    left, right = xp.concat([-t(q), one], axis=-2), xp.concat([-t(p), one], axis=-1)
    above = xp.concat([det_m * t(inverse), xp.zeros_like(b)], axis=-1)
    below = xp.concat([xp.zeros_like(g), xp.zeros_like(e)], axis=-1)
    return xp.matmul(xp.matmul(left, det_d * small), right) + xp.concat([above, below], axis=-2)


def _size(xp: Namespace, a: Array, axis: int) -> Array:
    """The largest modulus of each row or column, 1 where all is 0."""
    top = xp.max(xp.abs(a), axis=axis, keepdims=True)
    return xp.where(top > 0, top, xp.ones_like(top))
