"""Group normalisation: each example by the statistics of each group of its channels, one tape node.

The C channels are cut into G groups of neighbours; μ and σ² (biased) are over the C/G channels of a group and all spatial
places of one example, x̂ = (x − μ)/√(σ² + ε), y = γ x̂ + β. With h = g γ and means over the same places:
∂L/∂x = (h − mean h − x̂ mean(h x̂))/√(σ² + ε); ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g over examples and places.
Source: Wu and He (2018), arXiv:1803.08494.
"""

from math import prod
from typing import Any

from nnx.autodiff import Primitive
from nnx.backends.portable.lengths import lengths
from nnx.typing import Array, Namespace

AXES = (1, 3)
"""Places and channels of a group in x cut to (N, L, G, C/G)."""


def _cut(xp: Namespace, x: Array, groups: int) -> Array:
    return xp.reshape(x, (*lengths(x.shape[:1]), prod(x.shape[1:-1]), groups, x.shape[-1] // groups))


def _forward(
    xp: Namespace, x: Array, gamma: Array | None, beta: Array | None, *, groups: int, eps: float
) -> tuple[Array, Any]:
    cut = _cut(xp, x, groups)
    centred = cut - xp.mean(cut, axis=AXES, keepdims=True)
    inverse = 1 / xp.sqrt(xp.mean(centred * centred, axis=AXES, keepdims=True) + eps)
    normal = xp.reshape(centred * inverse, lengths(x.shape))
    y = normal if gamma is None else normal * gamma
    return (y if beta is None else y + beta), (normal, inverse, gamma, groups)


def _backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> Any:
    normal, inverse, gamma, groups = saved
    gx = None
    if needs[0]:
        h, unit = _cut(xp, g if gamma is None else g * gamma, groups), _cut(xp, normal, groups)
        along = xp.mean(h * unit, axis=AXES, keepdims=True)
        gx = xp.reshape((h - xp.mean(h, axis=AXES, keepdims=True) - unit * along) * inverse, g.shape)
    places = tuple(range(g.ndim - 1))
    return gx, xp.sum(g * normal, axis=places) if needs[1] else None, xp.sum(g, axis=places) if needs[2] else None


_group_norm = Primitive(_forward, _backward)


def group_norm(
    x: Array, groups: int, gamma: Array | None = None, beta: Array | None = None, eps: float = 1e-5
) -> Array:
    """x normalised by the statistics of each group of channels of each example.

    Shapes: x (N, C) or (N, …, C), C divisible by ``groups``; gamma and beta (C,) or ``None``.

    >>> import numpy as np
    >>> group_norm(np.asarray([[1.0, 3.0, 5.0, 9.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    return _group_norm(x, gamma, beta, groups=groups, eps=eps)
