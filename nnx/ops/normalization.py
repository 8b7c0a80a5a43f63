"""Batch normalisation over all axes but the last, one tape node.

μ = mean x, σ² = mean (x − μ)² (two passes, biased), x̂ = (x − μ)/√(σ² + ε), y = γ x̂ + β. With n rows and
h = g γ: ∂L/∂x = (h − mean h − x̂ mean(h x̂))/√(σ² + ε), ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g.
Source: Ioffe and Szegedy (2015), arXiv:1502.03167.
"""

from collections.abc import Callable
from typing import Any

from nnx.autodiff import Primitive, namespace
from nnx.autodiff.hooks import joined
from nnx.typing import Array, Namespace

Statistics = Callable[[Array, Array], None]


def _forward(
    xp: Namespace, x: Array, gamma: Array | None, beta: Array | None, *, eps: float, statistics: Statistics | None
) -> tuple[Array, Any]:
    y, mean, variance, saved = joined(xp, "batch_norm")(xp, x, gamma, beta, eps)
    if statistics is not None:
        statistics(mean, variance)
    return y, saved


def _backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> Any:
    return joined(xp, "batch_norm_back")(xp, needs, saved, g)


_batch_norm = Primitive(_forward, _backward)


def batch_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    eps: float = 1e-5,
    statistics: Statistics | None = None,
) -> Array:
    """x normalised by the statistics of the batch, per feature or channel.

    Shapes: x (N, F) or (N, …, C); gamma and beta (C,) or ``None``. ``statistics`` is told the mean and the biased
    variance, each (C,).

    >>> import numpy as np
    >>> batch_norm(np.asarray([[1.0], [3.0]]), eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    return _batch_norm(x, gamma, beta, eps=eps, statistics=statistics)


def normalize(x: Array, mean: Array, variance: Array, gamma: Array | None, beta: Array | None, eps: float) -> Array:
    """x normalised by given statistics, as at inference: (x − μ) γ/√(σ² + ε) + β."""
    xp = namespace(x, mean, variance, gamma, beta)
    scale = 1 / xp.sqrt(variance + eps)
    y = (x - mean) * (scale if gamma is None else scale * gamma)
    return y if beta is None else y + beta
