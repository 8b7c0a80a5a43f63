"""How good predictions are: 0-d arrays of the library and on the device where the predictions are.

Letters: N rows, C classes, k outputs; ``outputs`` are scores (N, C) of any scale (logits, probabilities) or predicted
labels (N,); ``labels`` (N,) are whole numbers 0…C−1.
"""

from typing import Any

import array_api_compat

from nnx.errors import ConfigError, DtypeError, MixedArraysError, ShapeError
from nnx.typing import Array, Namespace

__all__ = ["accuracy", "confusion_matrix", "mae", "mse", "r2", "top_k_accuracy"]

_ROWS = 1 << 16  # rows counted together: float32 adds ones exactly up to 2^24


def accuracy(outputs: Array, labels: Array) -> Array:
    """Share of rows whose highest score is the label's: mean over i of [argmax_c outputs_ic = labels_i].

    Shapes: outputs (N, C) or predicted labels (N,), labels (N,) → (). Of equal scores the first counts.

    Errors: ShapeError unless labels are (N,), also for (N, 1).

    >>> import numpy as np
    >>> float(accuracy(np.asarray([[0.1, 0.9], [0.8, 0.2]]), np.asarray([1, 1])))
    0.5
    """
    xp, predicted, labels, dtype = _predicted(outputs, labels)
    return xp.mean(xp.astype(predicted == labels, dtype))


def top_k_accuracy(scores: Array, labels: Array, k: int = 5) -> Array:
    """Share of rows whose label is among the k highest scores; k = 1 is ``accuracy``, ties included.

    Shapes: scores (N, C), labels (N,) → (). Of equal scores the first count: equal logits everywhere earn k/C, not 1.

    >>> import numpy as np
    >>> float(top_k_accuracy(np.asarray([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]), np.asarray([2, 2]), k=2))
    0.5
    """
    xp = _namespace(scores, labels)
    labels = _check_scores(xp, scores, labels)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= scores.shape[1]:
        raise ConfigError(
            expected=f"k from 1 to the {scores.shape[1]} classes",
            got=repr(k),
            where="top_k_accuracy",
            fix="Ask for fewer.",
        )
    classes = xp.arange(scores.shape[1], dtype=labels.dtype, device=array_api_compat.device(labels))
    is_label = classes[None, :] == labels[:, None]
    lowest = xp.full_like(scores, -float("inf"))
    own = xp.max(xp.where(is_label, scores, lowest), axis=1, keepdims=True)
    ahead = (scores > own) | ((scores == own) & (classes[None, :] < labels[:, None]))
    rank = xp.sum(xp.astype(ahead, labels.dtype), axis=1)
    return xp.mean(xp.astype(rank < k, scores.dtype))


def confusion_matrix(outputs: Array, labels: Array, classes: int | None = None) -> Array:
    """M_ij = how many rows of label i were predicted as j.

    Shapes: outputs (N, C) or predicted labels (N,), labels (N,) → (C, C) int64 (the widest integer of the library).
    ``classes`` gives C, which predicted labels do not tell. A row whose label or prediction is no class is in no cell.

    >>> import numpy as np
    >>> confusion_matrix(np.asarray([0, 1, 1]), np.asarray([0, 0, 1]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    xp, predicted, labels, dtype = _predicted(outputs, labels)
    if classes is None:
        if outputs.ndim == 1:
            raise ConfigError(
                "classes is missing", where="confusion_matrix", fix="Predicted labels do not tell it: pass classes=C."
            )
        classes = int(outputs.shape[1])
    device = array_api_compat.device(labels)
    numbers = xp.arange(classes, dtype=labels.dtype, device=device)[None, :]
    total = xp.zeros((classes, classes), dtype=labels.dtype, device=device)
    n = labels.shape[0]
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        true = xp.astype(labels[start:stop, None] == numbers, dtype)
        guess = xp.astype(predicted[start:stop, None] == numbers, dtype)
        total = total + xp.astype(xp.matmul(xp.matrix_transpose(true), guess), total.dtype)
    return total


def mae(predictions: Array, targets: Array) -> Array:
    """Mean absolute error: mean of |predictions − targets| over rows and outputs, in the unit of the target.

    Shapes: both (N,) or both (N, k) → ().

    >>> import numpy as np
    >>> float(mae(np.asarray([1.0, 4.0]), np.asarray([1.0, 2.0])))
    1.0
    """
    xp = _reals(predictions, targets)
    return xp.mean(xp.abs(predictions - targets))


def mse(predictions: Array, targets: Array) -> Array:
    """Mean squared error: mean of (predictions − targets)² over rows and outputs.

    Shapes: both (N,) or both (N, k) → ().

    >>> import numpy as np
    >>> float(mse(np.asarray([1.0, 4.0]), np.asarray([1.0, 2.0])))
    2.0
    """
    xp = _reals(predictions, targets)
    difference = predictions - targets
    return xp.mean(difference * difference)


def r2(predictions: Array, targets: Array) -> Array:
    """Share of the variance explained: R² = 1 − Σ_i (y_i − p_i)² / Σ_i (y_i − ȳ)², averaged over outputs.

    1 is perfect, 0 is as good as the mean, below 0 is worse. A constant target gives 1 if it is met exactly, else 0.

    Shapes: both (N,) or both (N, k) with N ≥ 2 → ().

    >>> import numpy as np
    >>> float(r2(np.asarray([1.0, 2.0, 3.0]), np.asarray([1.0, 2.0, 4.0])))
    0.7857142857142857
    """
    xp = _reals(predictions, targets)
    if targets.shape[0] < 2:
        raise ShapeError(
            expected="two rows or more", got=str(targets.shape[0]), where="r2", fix="One row has no variance."
        )
    error, spread = targets - predictions, targets - xp.mean(targets, axis=0)
    left, total = xp.sum(error * error, axis=0), xp.sum(spread * spread, axis=0)
    constant = xp.all(targets == targets[:1, ...], axis=0) | (
        total == 0
    )  # the mean of equal numbers may be off by a rounding
    share = 1 - left / xp.where(constant, xp.ones_like(total), total)
    return xp.mean(xp.where(constant, xp.astype(left == 0, share.dtype), share))


def _namespace(*arrays: Array) -> Namespace:
    try:
        return array_api_compat.array_namespace(*arrays)
    except TypeError as error:
        raise MixedArraysError(
            expected="arrays of one library",
            got=", ".join(type(a).__module__.split(".")[0] + "." + type(a).__name__ for a in arrays),
            where="nnx.metrics",
            fix="Move both with backend.asarray(x).",
        ) from error


def _predicted(outputs: Array, labels: Array) -> tuple[Namespace, Array, Array, Any]:
    """Predicted labels (N,), the labels in the same type, and the real type to count in."""
    xp = _namespace(outputs, labels)
    if outputs.ndim == 1 and xp.isdtype(outputs.dtype, "integral"):
        labels = _check_labels(xp, labels, outputs.shape[0])
        return xp, xp.astype(outputs, labels.dtype), labels, xp.float32
    labels = _check_scores(xp, outputs, labels)
    return xp, xp.astype(xp.argmax(outputs, axis=1), labels.dtype), labels, outputs.dtype


def _check_scores(xp: Namespace, scores: Array, labels: Array) -> Array:
    """The labels in the library's own integer type, once scores and labels are found fit."""
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ShapeError(
            expected="scores of shape (N, C) with C ≥ 2, or whole-number labels of shape (N,)",
            got=f"{tuple(scores.shape)} of {scores.dtype}",
            where="scores",
            fix="For one logit a row compare labels: xp.astype(logits[:, 0] > 0, xp.int64).",
        )
    if not xp.isdtype(scores.dtype, "real floating"):
        raise DtypeError(
            expected="real scores",
            got=str(scores.dtype),
            where="scores",
            fix="Convert them with xp.astype(x, xp.float32).",
        )
    return _check_labels(xp, labels, scores.shape[0])


def _check_labels(xp: Namespace, labels: Array, n: int) -> Array:
    if labels.ndim != 1 or labels.shape[0] != n:
        column = tuple(labels.shape) == (n, 1)
        fix = "Drop the last axis: labels[:, 0]." if column else "Give one label for each row."
        raise ShapeError(expected=f"labels of shape ({n},)", got=str(tuple(labels.shape)), where="labels", fix=fix)
    if not xp.isdtype(labels.dtype, "integral"):
        raise DtypeError(
            expected="whole-number labels", got=str(labels.dtype), where="labels", fix="Number the classes 0…C−1."
        )
    if n == 0:
        raise ShapeError(expected="at least one row", got="none", where="labels", fix="Leave empty batches out.")
    return xp.astype(labels, xp.__array_namespace_info__().default_dtypes()["indexing"])


def _reals(predictions: Array, targets: Array) -> Namespace:
    xp = _namespace(predictions, targets)
    if tuple(predictions.shape) != tuple(targets.shape):
        raise ShapeError(
            expected=f"predictions of the targets' shape {tuple(targets.shape)}",
            got=str(tuple(predictions.shape)),
            where="predictions",
            fix="Reshape one: (N,) and (N, 1) would broadcast to (N, N).",
        )
    if predictions.ndim not in (1, 2) or 0 in predictions.shape:
        raise ShapeError(
            expected="shape (N,) or (N, k) with at least one row",
            got=str(tuple(predictions.shape)),
            where="predictions",
            fix="Put the rows first.",
        )
    for array in (predictions, targets):
        if not xp.isdtype(array.dtype, "real floating"):
            raise DtypeError(
                expected="real numbers",
                got=str(array.dtype),
                where="predictions",
                fix="Convert it with xp.astype(x, xp.float32).",
            )
    return xp
