"""Normalisation by the statistics of the batch over all axes but the last, and its gradient; see ``nnx/ops/normalization.py``."""

from typing import Any

from nnx.typing import Array, Namespace


def batch_norm(xp: Namespace, x: Array, gamma: Array | None, beta: Array | None, eps: float) -> tuple[Any, ...]:
    """(y, μ (C,), σ² (C,), what :func:`batch_norm_back` needs): y = γ (x − μ)/√(σ² + ε) + β, σ² = mean (x − μ)².

    >>> import numpy as np
    >>> y, mean, variance, *_ = batch_norm(np, np.asarray([[1.0], [5.0]]), None, None, 0.0)
    >>> y[:, 0].tolist(), mean.tolist(), variance.tolist()
    ([-1.0, 1.0], [3.0], [4.0])
    """
    axes = tuple(range(x.ndim - 1))
    mean = xp.mean(x, axis=axes)
    centred = x - mean
    variance = xp.mean(centred * centred, axis=axes)
    inverse = 1 / xp.sqrt(variance + eps)
    normal = centred * inverse
    y = normal if gamma is None else normal * gamma
    y = y if beta is None else y + beta
    return y, mean, variance, (normal, inverse, gamma, axes)


def batch_norm_back(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> tuple[Any, ...]:
    """The gradients with respect to x, γ and β, ``None`` for those that are not needed."""
    normal, inverse, gamma, axes = saved
    h = g if gamma is None else g * gamma
    gx = None
    if needs[0]:
        gx = (h - xp.mean(h, axis=axes) - normal * xp.mean(h * normal, axis=axes)) * inverse
    return gx, xp.sum(g * normal, axis=axes) if needs[1] else None, xp.sum(g, axis=axes) if needs[2] else None
