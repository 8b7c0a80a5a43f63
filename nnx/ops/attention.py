"""Scaled dot-product attention with masks and dropout, one tape node.

S = α Q Kᵀ, P = softmax S over the keys that may be seen (0 for the others), A = P∘m/(1 − p) with the dropout mask m,
Y = A V. With g = ∂L/∂Y: ∂L/∂V = Aᵀ g, G = (g Vᵀ)∘m/(1 − p), ∂L/∂S = P∘(G − Σ G∘P), ∂L/∂Q = α ∂L/∂S K,
∂L/∂K = α (∂L/∂S)ᵀ Q. A query that may see no key has P = 0, so y = 0, and no gradient passes.
Source: Vaswani et al. (2017), arXiv:1706.03762.
"""

import math
from typing import Any

from array_api_compat import device

from nnx.autodiff import Primitive
from nnx.errors import DtypeError, ShapeError
from nnx.typing import Array, Namespace


def _weights(xp: Namespace, scores: Array, seen: Array | None) -> Array:
    """Softmax over the keys that are seen. Subtracting the largest score of those keeps eˢ from overflowing."""
    if seen is None:
        e = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
        return e / xp.sum(e, axis=-1, keepdims=True)
    low = xp.full((1,), float(xp.finfo(scores.dtype).min) / 2, dtype=scores.dtype, device=device(scores))
    scores = xp.where(seen, scores, low)
    e = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    e = xp.where(seen, e, xp.zeros_like(e))
    total = xp.sum(e, axis=-1, keepdims=True)
    return e / xp.where(total > 0, total, xp.ones_like(total))


def _forward(
    xp: Namespace, q: Array, k: Array, v: Array, mask: Array | None, keep: Array | None,
    *, causal: bool, scale: float, p: float,
) -> tuple[Array, Any]:  # fmt: skip
    seen = mask
    if causal:
        rows = xp.arange(q.shape[-2], dtype=xp.int64, device=device(q))
        columns = xp.arange(k.shape[-2], dtype=xp.int64, device=device(q))
        before = xp.expand_dims(columns, axis=0) <= xp.expand_dims(rows, axis=1)
        seen = before if seen is None else seen & before
    probabilities = _weights(xp, (q * scale) @ xp.matrix_transpose(k), seen)
    factor = None if keep is None else xp.astype(keep, q.dtype) * (1 / (1 - p))
    weights = probabilities if factor is None else probabilities * factor
    return weights @ v, (q, k, v, probabilities, weights, factor, scale)


def _backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> Any:
    q, k, v, probabilities, weights, factor, scale = saved
    gv = xp.matrix_transpose(weights) @ g if needs[2] else None
    if not (needs[0] or needs[1]):
        return None, None, gv, None, None
    h = g @ xp.matrix_transpose(v)
    h = h if factor is None else h * factor
    gs = probabilities * (h - xp.sum(h * probabilities, axis=-1, keepdims=True)) * scale
    return gs @ k if needs[0] else None, xp.matrix_transpose(gs) @ q if needs[1] else None, gv, None, None


_attention = Primitive(_forward, _backward)


def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    keep: Array | None = None,
    p: float = 0.0,
) -> Array:
    """softmax(α Q Kᵀ) V: for each query the mean of the values, weighted by how well their keys fit it.

    Shapes: q (…, T, d), k (…, S, d), v (…, S, e), y (…, T, e), with the same leading axes. ``mask`` is boolean and
    broadcasts to (…, T, S); *true* means that the query may see the key (as in PyTorch's ``scaled_dot_product_attention``).
    ``causal``: query t sees the keys 0 … t. α is 1/√d unless ``scale`` says otherwise. A query that sees no key gives 0.
    ``keep``, boolean (…, T, S), drops weights: those kept are divided by 1 − ``p``.
    Errors: ``ShapeError`` for shapes that do not fit or no key at all, ``DtypeError`` for a mask that is not boolean.

    >>> import numpy as np
    >>> q, k, v = np.zeros((1, 2)), np.zeros((2, 2)), np.asarray([[1.0], [3.0]])
    >>> attention(q, k, v), attention(q, k, v, np.asarray([[False, True]])), attention(q, k, v, causal=True)
    (array([[2.]]), array([[3.]]), array([[1.]]))
    """
    if (
        min(q.ndim, k.ndim, v.ndim) < 2
        or q.shape[-1] != k.shape[-1]
        or k.shape[-2] != v.shape[-2]
        or not q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
    ):
        raise ShapeError(
            expected="q (…, T, d), k (…, S, d) and v (…, S, e)",
            got=f"{tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}",
            fix="Keys are as long as queries and as many as values, and all leading axes are the same.",
        )
    if 0 in k.shape[-2:]:
        raise ShapeError(
            expected="at least one key of at least one feature", got=f"k of shape {tuple(k.shape)}",
            fix="Leave out sequences of length 0.",
        )  # fmt: skip
    if mask is not None:
        _check_mask(mask, (*q.shape[:-1], k.shape[-2]))
    return _attention(
        q, k, v, mask, keep, causal=causal, scale=1 / math.sqrt(q.shape[-1]) if scale is None else scale, p=p
    )


def _check_mask(mask: Array, shape: tuple[int, ...]) -> None:
    kind = str(mask.dtype).rpartition(".")[2]
    if kind != "bool":
        raise DtypeError(
            expected="a boolean mask, true where a query may see a key", got=kind, fix="Write for example mask > 0."
        )
    padded = (1,) * (len(shape) - mask.ndim) + tuple(mask.shape)
    if len(padded) > len(shape) or any(have not in (1, want) for have, want in zip(padded, shape)):
        raise ShapeError(
            expected=f"a mask that broadcasts to {shape}",
            got=f"{tuple(mask.shape)}",
            fix="Its last axes are (queries, keys); give length 1 where it is the same for all.",
        )
