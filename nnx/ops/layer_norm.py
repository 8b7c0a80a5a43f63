"""Layer normalisation over the last axis, one tape node.

μ = mean x, σ² = mean (x − μ)² over the features of each place alone (two passes, biased), x̂ = (x − μ)/√(σ² + ε),
y = γ x̂ + β. With h = g γ: ∂L/∂x = (h − mean h − x̂ mean(h x̂))/√(σ² + ε), ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g over the places.
Source: Ba, Kiros and Hinton (2016), arXiv:1607.06450.
"""

from typing import Any

from nnx.autodiff import Primitive
from nnx.typing import Array, Namespace


def _forward(xp: Namespace, x: Array, gamma: Array | None, beta: Array | None, *, eps: float) -> tuple[Array, Any]:
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    inverse = 1 / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + eps)
    normal = centred * inverse
    y = normal if gamma is None else normal * gamma
    return (y if beta is None else y + beta), (normal, inverse, gamma)


def _backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> Any:
    normal, inverse, gamma = saved
    gx = None
    if needs[0]:
        h = g if gamma is None else g * gamma
        along = xp.mean(h * normal, axis=-1, keepdims=True)
        gx = (h - xp.mean(h, axis=-1, keepdims=True) - normal * along) * inverse
    places = tuple(range(g.ndim - 1))
    return gx, xp.sum(g * normal, axis=places) if needs[1] else None, xp.sum(g, axis=places) if needs[2] else None


_layer_norm = Primitive(_forward, _backward)


def layer_norm(x: Array, gamma: Array | None = None, beta: Array | None = None, eps: float = 1e-5) -> Array:
    """x normalised by the statistics of its last axis, place by place.

    Shapes: x (…, F); gamma and beta (F,) or ``None``.

    >>> import numpy as np
    >>> layer_norm(np.asarray([[1.0, 3.0]]), eps=0.0)
    array([[-1.,  1.]])
    """
    return _layer_norm(x, gamma, beta, eps=eps)
