"""Inverted dropout: keep with probability 1 − p and divide by 1 − p, so that inference needs no factor.

The same mask serves forward and backward: y = x∘m/(1 − p), ∂L/∂x = g∘m/(1 − p).
"""

from typing import Any

from nnx.autodiff import Primitive
from nnx.typing import Array, Namespace


def _forward(xp: Namespace, x: Array, keep: Array, *, p: float) -> tuple[Array, Any]:
    factor = xp.astype(keep, x.dtype) * (1 / (1 - p))
    return x * factor, factor


_dropout = Primitive(_forward, lambda xp, needs, factor, g: (g * factor, None))


def dropout(x: Array, keep: Array, p: float) -> Array:
    """x/(1 − p) where ``keep`` is true, 0 elsewhere.

    Shapes: ``keep`` boolean, like x. Source: Srivastava et al., JMLR 15 (2014).

    >>> import numpy as np
    >>> dropout(np.asarray([1.0, 1.0]), np.asarray([True, False]), 0.5)
    array([2., 0.])
    """
    return _dropout(x, keep, p=p)
