"""Normalisation by the root of the mean square over the last axis, one tape node.

x̂ = x/√(mean x² + ε), y = γ x̂. With h = g γ: ∂L/∂x = (h − x̂ mean(h x̂))/√(mean x² + ε), ∂L/∂γ = Σ g x̂ over the places.
Source: Zhang and Sennrich (2019), arXiv:1910.07467.
"""

from typing import Any

from nnx.autodiff import Primitive
from nnx.typing import Array, Namespace


def _forward(xp: Namespace, x: Array, gamma: Array | None, *, eps: float) -> tuple[Array, Any]:
    inverse = 1 / xp.sqrt(xp.mean(x * x, axis=-1, keepdims=True) + eps)
    normal = x * inverse
    return normal if gamma is None else normal * gamma, (normal, inverse, gamma)


def _backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> Any:
    normal, inverse, gamma = saved
    gx = None
    if needs[0]:
        h = g if gamma is None else g * gamma
        gx = (h - normal * xp.mean(h * normal, axis=-1, keepdims=True)) * inverse
    return gx, xp.sum(g * normal, axis=tuple(range(g.ndim - 1))) if needs[1] else None


_rms_norm = Primitive(_forward, _backward)


def rms_norm(x: Array, gamma: Array | None = None, eps: float = 1e-6) -> Array:
    """x divided by the root of the mean square of its last axis, place by place.

    Shapes: x (…, F); gamma (F,) or ``None``.

    >>> import numpy as np
    >>> rms_norm(np.asarray([[1.0, 7.0]]), eps=0.0)
    array([[0.2, 1.4]])
    """
    return _rms_norm(x, gamma, eps=eps)
