"""Cross-entropy from logits and labels, and its gradient; see ``nnx/ops/softmax.py``."""

from typing import Any

from array_api_compat import device

from nnx.typing import Array, Namespace


def cross_entropy(xp: Namespace, logits: Array, labels: Array) -> tuple[Array, Any]:
    """(log Σ_c eˣ_c − x_t for each row with label t, what :func:`cross_entropy_back` needs); 0 where the label is no class.

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> cross_entropy(xp, np.zeros((2, 2)), np.asarray([0, -1]))[0]
    array([0.69314718, 0.        ])
    """
    z = logits - xp.max(logits, axis=-1, keepdims=True)
    e = xp.exp(z)
    total = xp.sum(e, axis=-1, keepdims=True)
    hot = one_hot(xp, labels, logits.shape[-1], logits.dtype)
    there = xp.sum(hot, axis=-1)  # 1, or 0 for a label that is no class
    picked = xp.sum(xp.where(hot > 0, z, xp.zeros_like(z)), axis=-1)
    rows = there * xp.log(xp.squeeze(total, axis=-1)) - picked
    return rows, (e, total, hot, there)


def cross_entropy_back(xp: Namespace, saved: Any, g: Array) -> Array:
    """The gradient with respect to the logits: g (softmax x − one-hot t)."""
    e, total, hot, there = saved
    return xp.expand_dims(g * there, axis=-1) * (e / total - hot)


def one_hot(xp: Namespace, labels: Array, classes: int, dtype: Any) -> Array:
    """Rows with 1 at the label and 0 elsewhere: (…,) integers → (…, classes)."""
    columns = xp.arange(classes, dtype=labels.dtype, device=device(labels))
    return xp.astype(xp.expand_dims(labels, axis=-1) == columns, dtype)
