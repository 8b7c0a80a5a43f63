"""Softmax, its logarithm, and the cross-entropy from logits, each one tape node.

With z = x − max x: softmax p = eᶻ/Σeᶻ, log-softmax z − log Σeᶻ. Derivatives: p∘(g − Σ g∘p) for the first,
g − p Σg for the second, and p Σt − t for the cross-entropy −Σ t log p.
A logit of −∞ is a class that cannot be: p = 0, no gradient, and it adds nothing to a cross-entropy unless the target
has it.
"""

from typing import Any

from nnx.autodiff import Primitive
from nnx.autodiff.hooks import joined
from nnx.typing import Array, Namespace


def _shifted(xp: Namespace, x: Array, axis: int) -> tuple[Array, Array]:
    """z = x − max x, and eᶻ."""
    z = x - xp.max(x, axis=axis, keepdims=True)
    return z, xp.exp(z)


# softmax --------------------------------------------------------------------------------------------------------------
def _softmax_forward(xp: Namespace, x: Array, *, axis: int) -> tuple[Array, Any]:
    _, e = _shifted(xp, x, axis)
    p = e / xp.sum(e, axis=axis, keepdims=True)
    return p, (p, axis)


def _softmax_backward(xp: Namespace, needs: Any, saved: Any, g: Array) -> tuple[Array]:
    p, axis = saved
    return (p * (g - xp.sum(g * p, axis=axis, keepdims=True)),)


_softmax = Primitive(_softmax_forward, _softmax_backward)


def softmax(x: Array, axis: int = -1) -> Array:
    """eˣ/Σeˣ along an axis.

    >>> import numpy as np
    >>> softmax(np.asarray([1e4, 1e4]))
    array([0.5, 0.5])
    """
    return _softmax(x, axis=axis)


# log-softmax ----------------------------------------------------------------------------------------------------------
def _log_softmax_forward(xp: Namespace, x: Array, *, axis: int) -> tuple[Array, Any]:
    z, e = _shifted(xp, x, axis)
    total = xp.sum(e, axis=axis, keepdims=True)
    return z - xp.log(total), (e / total, axis)


def _log_softmax_backward(xp: Namespace, needs: Any, saved: Any, g: Array) -> tuple[Array]:
    p, axis = saved
    return (g - p * xp.sum(g, axis=axis, keepdims=True),)


_log_softmax = Primitive(_log_softmax_forward, _log_softmax_backward)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """x − log Σeˣ along an axis, exact where softmax underflows."""
    return _log_softmax(x, axis=axis)


# cross-entropy --------------------------------------------------------------------------------------------------------
def _cross_entropy_forward(xp: Namespace, logits: Array, target: Array) -> tuple[Array, Any]:
    z, e = _shifted(xp, logits, -1)
    total = xp.sum(e, axis=-1, keepdims=True)
    log_p = z - xp.log(total)
    present = xp.where(target == 0, xp.zeros_like(log_p), log_p)  # 0 · −∞ would be NaN
    return -xp.sum(target * present, axis=-1), (e / total, log_p, target)


def _cross_entropy_backward(xp: Namespace, needs: Any, saved: Any, g: Array) -> Any:
    p, log_p, target = saved
    column = xp.expand_dims(g, axis=-1)
    mass = xp.sum(target, axis=-1, keepdims=True)
    return column * (p * mass - target) if needs[0] else None, -column * log_p if needs[1] else None


_cross_entropy = Primitive(_cross_entropy_forward, _cross_entropy_backward)


def softmax_cross_entropy(logits: Array, target: Array) -> Array:
    """−Σ_c t_c log softmax(x)_c for each row.

    Shapes: logits and target (…, C), result (…,). The target is a distribution over the classes; :func:`one_hot` makes
    one from labels.

    >>> import numpy as np
    >>> softmax_cross_entropy(np.zeros((1, 2)), np.asarray([[1.0, 0.0]]))
    array([0.69314718])
    """
    return _cross_entropy(logits, target)


# cross-entropy from labels --------------------------------------------------------------------------------------------
def _label_forward(xp: Namespace, logits: Array, labels: Array) -> tuple[Array, Any]:
    return joined(xp, "cross_entropy")(xp, logits, labels)  # type: ignore[no-any-return]


def _label_backward(xp: Namespace, needs: Any, saved: Any, g: Array) -> Any:
    return joined(xp, "cross_entropy_back")(xp, saved, g), None


_label_cross_entropy = Primitive(_label_forward, _label_backward)


def label_cross_entropy(logits: Array, labels: Array) -> Array:
    """log Σ_c eˣ_c − x_t for each row with label t: :func:`softmax_cross_entropy` of one class, in fewer passes.

    Shapes: logits (…, C), labels (…,) integers, result (…,). A label that is no class gives 0 and no gradient.

    >>> import numpy as np
    >>> label_cross_entropy(np.zeros((2, 2)), np.asarray([0, -1]))
    array([0.69314718, 0.        ])
    """
    return _label_cross_entropy(logits, labels)
