"""The table of losses: each beside PyTorch's and beside a closed form in NumPy that gives one value for each row.

``torch(F, x, t)`` is PyTorch's function with reduction="none", already averaged over the outputs of a row.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nnx import losses


def draw(shape: tuple[int, ...], number: int) -> Any:
    return np.random.Generator(np.random.Philox(key=[number, 31])).normal(size=shape)


def log_softmax(x: Any) -> Any:
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


class Row(NamedTuple):
    covers: str
    loss: Callable[..., Any]
    rows: Callable[[Any, Any], Any]
    torch: Callable[[Any, Any, Any], Any]
    x: Any
    t: Any
    perfect: tuple[Any, Any, float] | None = None  # outputs, targets, and the loss that they have


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softened(n: int, c: int) -> Any:
    e = np.exp(draw((n, c), 2))
    return e / e.sum(-1, keepdims=True)


def huber(d: Any, delta: float) -> Any:
    d = np.abs(d)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


LABELS = np.asarray([0, 3, 1, 1, 2, 0, 3])
X, WEIGHTS = draw((7, 4), 1), np.asarray([0.5, 2.0, 1.0, 0.0])
YES = np.asarray([1.0, 0.0, 0.0, 1.0, 0.3, 1.0, 0.9])


def smoothed(s: float) -> Any:
    return (1 - s) * np.eye(4)[LABELS] + s / 4


LOSSES: dict[str, Row] = {
    "cross-entropy of labels": Row(
        "cross_entropy",
        losses.cross_entropy,
        lambda x, t: -log_softmax(x)[np.arange(len(t)), t],
        lambda F, x, t: F.cross_entropy(x, t, reduction="none"),
        X,
        LABELS,
        (np.zeros((3, 10)), np.asarray([0, 4, 9]), math.log(10)),
    ),
    "cross-entropy of probabilities": Row(
        "cross_entropy",
        losses.cross_entropy,
        lambda x, t: -(t * log_softmax(x)).sum(-1),
        lambda F, x, t: F.cross_entropy(x, t, reduction="none"),
        X,
        softened(7, 4),
        (np.log(softened(7, 4)), softened(7, 4), float(-(softened(7, 4) * np.log(softened(7, 4))).sum(-1).mean())),
    ),
    "cross-entropy with smoothing": Row(
        "cross_entropy",
        lambda x, t, **options: losses.cross_entropy(x, t, label_smoothing=0.2, **options),
        lambda x, t: -(smoothed(0.2) * log_softmax(x)).sum(-1),
        lambda F, x, t: F.cross_entropy(x, t, reduction="none", label_smoothing=0.2),
        X,
        LABELS,
    ),
    "binary cross-entropy": Row(
        "binary_cross_entropy",
        losses.binary_cross_entropy,
        lambda x, t: -t * np.log(sigmoid(x)) - (1 - t) * np.log(sigmoid(-x)),
        lambda F, x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"),
        draw((7,), 3),
        YES,
        (np.zeros(4), np.asarray([0.0, 1.0, 1.0, 0.0]), math.log(2)),
    ),
    "binary cross-entropy of several": Row(
        "binary_cross_entropy",
        losses.binary_cross_entropy,
        lambda x, t: (-t * np.log(sigmoid(x)) - (1 - t) * np.log(sigmoid(-x))).mean(-1),
        lambda F, x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none").mean(-1),
        X,
        softened(7, 4),
    ),
    "mse": Row(
        "mse",
        losses.mse,
        lambda x, t: ((x - t) ** 2).mean(-1),
        lambda F, x, t: F.mse_loss(x, t, reduction="none").mean(-1),
        X,
        draw((7, 4), 5),
        (X, X, 0.0),
    ),
    "mse of one output": Row(
        "mse",
        losses.mse,
        lambda x, t: (x - t) ** 2,
        lambda F, x, t: F.mse_loss(x, t, reduction="none"),
        draw((7,), 3),
        draw((7,), 4),
    ),
    "l1": Row(
        "l1",
        losses.l1,
        lambda x, t: np.abs(x - t).mean(-1),
        lambda F, x, t: F.l1_loss(x, t, reduction="none").mean(-1),
        X,
        draw((7, 4), 5),
        (X, X, 0.0),
    ),
    "huber": Row(
        "huber",
        losses.huber,
        lambda x, t: huber(x - t, 1.0).mean(-1),
        lambda F, x, t: F.huber_loss(x, t, reduction="none").mean(-1),
        2 * X,
        draw((7, 4), 5),
        (X, X, 0.0),
    ),
    "huber with another delta": Row(
        "huber",
        lambda x, t, **options: losses.huber(x, t, delta=0.3, **options),
        lambda x, t: huber(x - t, 0.3).mean(-1),
        lambda F, x, t: F.huber_loss(x, t, reduction="none", delta=0.3).mean(-1),
        X,
        draw((7, 4), 5),
    ),
    "hinge": Row(
        "hinge",
        losses.hinge,
        lambda x, t: np.maximum(0, x - x[np.arange(len(t)), t][:, None] + 1).sum(-1) - 1,
        lambda F, x, t: F.multi_margin_loss(x, t, reduction="none") * x.shape[1],
        X,
        LABELS,
        (10 * np.eye(4)[LABELS], LABELS, 0.0),
    ),
    "hinge with a margin": Row(
        "hinge",
        lambda x, t, **options: losses.hinge(x, t, margin=0.3, **options),
        lambda x, t: np.maximum(0, x - x[np.arange(len(t)), t][:, None] + 0.3).sum(-1) - 0.3,
        lambda F, x, t: F.multi_margin_loss(x, t, margin=0.3, reduction="none") * x.shape[1],
        X,
        LABELS,
    ),
}
