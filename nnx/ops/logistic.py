"""The cross-entropy of a yes-or-no target from its logit, one tape node.

ℓ = −t log σ(x) − (1 − t) log(1 − σ(x)) = max(x, 0) − x t + log(1 + e^−|x|). Derivatives: ∂ℓ/∂x = σ(x) − t, ∂ℓ/∂t = −x.
"""

from typing import Any

from nnx.autodiff import Namespace as Traced
from nnx.autodiff import Primitive
from nnx.ops.activation import sigmoid
from nnx.typing import Array, Namespace


def _forward(xp: Namespace, logits: Array, target: Array) -> tuple[Array, Any]:
    if isinstance(xp, Traced):
        return sigmoid_cross_entropy(logits, target), (logits, target)
    linear = xp.maximum(logits, xp.zeros_like(logits)) - logits * target
    return linear + xp.log1p(xp.exp(-xp.abs(logits))), (logits, target)


def _backward(xp: Namespace, needs: Any, saved: Any, g: Array) -> Any:
    logits, target = saved
    return g * (sigmoid(logits) - target) if needs[0] else None, -g * logits if needs[1] else None


_sigmoid_cross_entropy = Primitive(_forward, _backward)


def sigmoid_cross_entropy(logits: Array, target: Array) -> Array:
    """−t log σ(x) − (1 − t) log(1 − σ(x)), element by element, exact where σ(x) rounds to 0 or 1.

    Shapes: logits and target alike; targets 0…1.

    >>> import numpy as np
    >>> sigmoid_cross_entropy(np.asarray([0.0, 1e4, -1e4]), np.asarray([1.0, 1.0, 1.0]))
    array([6.93147181e-01, 0.00000000e+00, 1.00000000e+04])
    """
    return _sigmoid_cross_entropy(logits, target)
