"""Losses: each takes the model's outputs and the targets, and gives a 0-d array with the default ``reduction="mean"``.

``reduction="sum"`` adds the rows up, ``"none"`` gives one value for each row (N,). A loss never broadcasts ``(N,)``
against ``(N, 1)``: that would compare every output with every target. The mean over no rows is an error.
"""

from collections.abc import Callable
from difflib import get_close_matches

import numpy as np

from nnx import ops
from nnx.autodiff import namespace
from nnx.autodiff.tensor import value_of
from nnx.errors import ConfigError, DataError, DtypeError, ShapeError
from nnx.typing import Array, Namespace

__all__ = ["LOSSES", "binary_cross_entropy", "cross_entropy", "get", "hinge", "huber", "l1", "mse"]

Loss = Callable[..., Array]


def cross_entropy(
    logits: Array,
    target: Array,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    class_weights: Array | None = None,
) -> Array:
    """Softmax cross-entropy from logits: −Σ_c t_c log softmax(x)_c, averaged over the rows.

    Shapes: logits (N, C); target (N,) integer labels 0…C−1, or (N, C) probabilities. With ``label_smoothing`` s the
    target is (1 − s) t + s/C. With ``class_weights`` w (C,) the terms are w_c t_c log p_c and the mean is divided by the
    weights of the targets before smoothing, Σ_nc w_c t_nc, so that a constant weight changes nothing (0 if no row has a
    weight). With labels that is PyTorch's ``CrossEntropyLoss``, which divides by N for probabilities. At the start, with
    small logits, it is near ln C.

    Errors: ``ShapeError`` if the shapes do not fit, ``DtypeError`` for float labels. A label that is no class raises
    ``DataError`` where NumPy computes, and in ``nnx.fit`` before the first step; elsewhere nobody can look without
    waiting for the device: there, and inside a recorded training step, it gives no loss and no gradient.

    >>> import numpy as np
    >>> round(float(cross_entropy(np.zeros((2, 10)), np.asarray([3, 7]))), 6)
    2.302585
    """
    xp = namespace(logits, target, class_weights)
    if logits.ndim != 2:
        raise ShapeError(
            expected="logits of shape (N, C)",
            got=f"{tuple(logits.shape)}",
            where="cross_entropy",
            fix="Give one row of scores for each example: the batch axis first, even if it is 1.",
        )
    n, classes = logits.shape
    soft = target.ndim == 2
    if tuple(target.shape) != ((n, classes) if soft else (n,)):
        raise ShapeError(
            expected=f"labels of shape ({n},) or probabilities of shape ({n}, {classes})",
            got=f"{tuple(target.shape)}",
            where="cross_entropy",
            fix="One label for each row; reshape (N, 1) to (N,) with y[:, 0].",
        )
    _check_outputs(xp, logits, "cross_entropy")
    if not soft and not xp.isdtype(target.dtype, "integral"):
        raise DtypeError(
            expected="integer labels",
            got=f"{target.dtype}",
            where="cross_entropy",
            fix="Cast them with astype(int64); for real targets use mse.",
        )
    if not soft:
        _check_classes(target, classes, "cross_entropy")
    if not 0 <= label_smoothing < 1:
        raise ConfigError(
            expected="0 ≤ label_smoothing < 1", got=repr(label_smoothing), where="cross_entropy", fix="0.1 is usual."
        )
    if not soft and class_weights is None and not label_smoothing:
        return _reduce(xp, ops.label_cross_entropy(logits, target), reduction, "cross_entropy")
    if soft:
        t = target if target.dtype == logits.dtype else xp.astype(target, logits.dtype)
    else:
        t = ops.one_hot(xp, target, classes, logits.dtype)
    smooth = t * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else t
    if class_weights is None:
        return _reduce(xp, ops.softmax_cross_entropy(logits, smooth), reduction, "cross_entropy")
    if tuple(class_weights.shape) != (classes,):
        raise ShapeError(
            expected=f"class_weights of shape ({classes},)",
            got=f"{tuple(class_weights.shape)}",
            where="cross_entropy",
            fix="Give one weight for each class.",
        )
    weights = xp.astype(class_weights, logits.dtype)
    rows = ops.softmax_cross_entropy(logits, smooth * weights)
    if reduction != "mean" or n == 0:
        return _reduce(xp, rows, reduction, "cross_entropy")
    total = xp.sum(t * weights)
    return xp.sum(rows) / xp.where(total > 0, total, xp.ones_like(total))


def binary_cross_entropy(logits: Array, target: Array, *, reduction: str = "mean") -> Array:
    """−t log σ(x) − (1 − t) log(1 − σ(x)) from logits, computed as max(x, 0) − x t + log(1 + e^−|x|).

    Shapes: logits and target alike, (N,) or (N, k); targets 0…1. (N, k) is averaged over the k outputs first.

    >>> import numpy as np
    >>> round(float(binary_cross_entropy(np.asarray([0.0, 1e4]), np.asarray([1.0, 1.0]))), 6)
    0.346574
    """
    xp, target = _alike(logits, target, "binary_cross_entropy")
    return _reduce(xp, ops.sigmoid_cross_entropy(logits, target), reduction, "binary_cross_entropy")


def mse(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """(y − t)², the L2 loss, averaged over outputs and rows.

    >>> import numpy as np
    >>> mse(np.asarray([[1.0], [3.0]]), np.asarray([[0.0], [1.0]]))
    np.float64(2.5)
    """
    xp, target = _alike(prediction, target, "mse")
    return _reduce(xp, xp.square(prediction - target), reduction, "mse")


def l1(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """|y − t|, averaged over outputs and rows; the derivative at 0 is 0.

    >>> import numpy as np
    >>> l1(np.asarray([1.0, 3.0]), np.asarray([0.0, 1.0]))
    np.float64(1.5)
    """
    xp, target = _alike(prediction, target, "l1")
    return _reduce(xp, xp.abs(prediction - target), reduction, "l1")


def huber(prediction: Array, target: Array, *, delta: float = 1.0, reduction: str = "mean") -> Array:
    """½ d² where |d| ≤ δ, else δ (|d| − ½ δ), with d = y − t: quadratic near 0, linear for outliers.

    >>> import numpy as np
    >>> huber(np.asarray([0.5, 3.0]), np.asarray([0.0, 0.0]), reduction="none")
    array([0.125, 2.5  ])
    """
    if not delta > 0:
        raise ConfigError(expected="delta > 0", got=repr(delta), where="huber", fix="1.0 is usual.")
    xp, target = _alike(prediction, target, "huber")
    d = xp.abs(prediction - target)
    inside = xp.minimum(d, xp.full_like(d, delta))
    return _reduce(xp, inside * (d - 0.5 * inside), reduction, "huber")


def hinge(scores: Array, target: Array, *, margin: float = 1.0, reduction: str = "mean") -> Array:
    """Σ_{c ≠ t} max(0, s_c − s_t + margin): the multi-class SVM loss, summed over the wrong classes of a row.

    Shapes: scores (N, C), target (N,) integer labels. The derivative where a margin is met exactly is 0. Errors: as of
    :func:`cross_entropy`. Source: Weston and Watkins (1999).

    >>> import numpy as np
    >>> hinge(np.asarray([[3.0, 2.5, 0.0]]), np.asarray([0]), reduction="none")
    array([0.5])
    """
    if not margin > 0:
        raise ConfigError(expected="margin > 0", got=repr(margin), where="hinge", fix="1.0 is usual.")
    xp = namespace(scores, target)
    if scores.ndim != 2 or tuple(target.shape) != (scores.shape[0],):
        raise ShapeError(
            expected="scores of shape (N, C) and labels of shape (N,)",
            got=f"{tuple(scores.shape)} and {tuple(target.shape)}",
            where="hinge",
            fix="One label for each row; reshape (N, 1) to (N,) with y[:, 0].",
        )
    _check_outputs(xp, scores, "hinge")
    if not xp.isdtype(target.dtype, "integral"):
        raise DtypeError(
            expected="integer labels", got=f"{target.dtype}", where="hinge", fix="Cast them with astype(int64)."
        )
    _check_classes(target, scores.shape[1], "hinge")
    right = ops.one_hot(xp, target, scores.shape[1], scores.dtype)
    own = xp.sum(scores * right, axis=-1, keepdims=True)
    rows = xp.sum(ops.relu(scores - own + margin) * (1 - right), axis=-1)
    return _reduce(xp, rows, reduction, "hinge")


LOSSES: dict[str, Loss] = {
    "binary_cross_entropy": binary_cross_entropy,
    "cross_entropy": cross_entropy,
    "hinge": hinge,
    "huber": huber,
    "l1": l1,
    "mse": mse,
}
"""The losses by name: what ``fit(loss=...)`` and ``--loss`` take."""


def get(loss: str | Loss) -> Loss:
    """The loss of this name, or the function itself."""
    if callable(loss):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        near = get_close_matches(str(loss), LOSSES, n=1)
        raise ConfigError(
            expected=f"a loss: {', '.join(LOSSES)}",
            got=repr(loss),
            where="loss",
            fix=f"Did you mean {near[0]!r}?" if near else "Choose one, or pass a function.",
        )
    return LOSSES[loss]


def _check_classes(target: Array, classes: int, where: str) -> None:
    """``DataError`` for a label that is no class, where looking costs nothing: on the host, outside of recordings."""
    labels = value_of(target)
    if not isinstance(labels, np.ndarray) or not labels.size:
        return
    low, high = int(labels.min()), int(labels.max())
    if low >= 0 and high < classes:
        return
    wrong = low if low < 0 else high
    raise DataError(
        expected=f"labels 0…{classes - 1}, one for each of the {classes} outputs",
        got=f"{wrong} in row {int(np.argmax(labels == wrong))}",
        where=where,
        fix="Number the classes from 0 (nnx.data.load does), or give the last layer more outputs; leave out rows without a class.",
    )


def _check_outputs(xp: Namespace, outputs: Array, where: str) -> None:
    if not xp.isdtype(outputs.dtype, "real floating"):
        raise DtypeError(
            expected="floating-point outputs", got=f"{outputs.dtype}", where=where, fix="Cast them with xp.astype."
        )


def _alike(prediction: Array, target: Array, where: str) -> tuple[Namespace, Array]:
    for array in (prediction, target):
        if not hasattr(array, "shape"):
            raise DtypeError(
                expected="arrays of outputs and targets",
                got=f"a {type(array).__name__}",
                where=where,
                fix='Make one of it: nnx.backends.get("numpy").asarray(x).',
            )
    if tuple(prediction.shape) != tuple(target.shape):
        raise ShapeError(
            expected=f"targets of the shape of the outputs, {tuple(prediction.shape)}",
            got=f"{tuple(target.shape)}",
            where=where,
            fix="Reshape the targets, e.g. y[:, None] for (N, 1): broadcasting would compare all rows with all rows.",
        )
    xp = namespace(prediction, target)
    _check_outputs(xp, prediction, where)
    return xp, target if target.dtype == prediction.dtype else xp.astype(target, prediction.dtype)


def _reduce(xp: Namespace, values: Array, reduction: str, where: str) -> Array:
    """Rows (N,), or (N, k) averaged over k, to what was asked for."""
    if values.ndim > 1:
        values = xp.mean(values, axis=tuple(range(1, values.ndim)))
    if reduction == "mean":
        if 0 in values.shape:
            raise ShapeError(
                expected="at least one row to average",
                got="an empty batch",
                where=where,
                fix="Leave empty batches out.",
            )
        return xp.mean(values)
    if reduction == "sum":
        return xp.sum(values)
    if reduction == "none":
        return values
    raise ConfigError(
        expected="reduction mean, sum or none", got=repr(reduction), where=where, fix="Choose one of those."
    )
