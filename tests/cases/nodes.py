"""The single tape nodes of ``nnx.ops``, each beside the same expression in plain functions of the standard.

``node(*arrays)`` and ``plain(xp, *arrays)`` take the arrays that ``inputs`` gives: floating ones are differentiated, others
are constants. The plain form may overflow where the node does not; the inputs are moderate.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nnx import ops


class Node(NamedTuple):
    primitive: str
    node: Callable[..., Any]
    plain: Callable[..., Any]
    inputs: tuple[Any, ...]


def draw(shape: tuple[int, ...], number: int) -> Any:
    return np.random.Generator(np.random.Philox(key=[number, 21])).normal(size=shape)


def softened(shape: tuple[int, ...], number: int) -> Any:
    e = np.exp(draw(shape, number))
    return e / e.sum(-1, keepdims=True)


def keep(shape: tuple[int, ...]) -> Any:
    return draw(shape, 5) > -0.5


def batch_norm(xp: Any, x: Any, *scales: Any) -> Any:
    axes = tuple(range(x.ndim - 1))
    y = (x - xp.mean(x, axis=axes)) / xp.sqrt(xp.var(x, axis=axes, correction=0) + 1e-5)
    for scale, apply in zip(scales, (lambda y, s: y * s, lambda y, s: y + s)):
        y = apply(y, scale)
    return y


X = draw((4, 5), 1)

NODES: dict[str, Node] = {
    "relu": Node("relu", ops.relu, lambda xp, x: xp.where(x > 0, x, xp.zeros_like(x)), (X,)),
    "leaky relu": Node("leaky_relu", lambda x: ops.leaky_relu(x, 0.2), lambda xp, x: xp.where(x > 0, x, 0.2 * x), (X,)),
    "elu": Node("elu", lambda x: ops.elu(x, 0.7), lambda xp, x: xp.where(x > 0, x, 0.7 * (xp.exp(x) - 1)), (X,)),
    "sigmoid": Node("sigmoid", ops.sigmoid, lambda xp, x: 1 / (1 + xp.exp(-x)), (X,)),
    "softplus": Node("softplus", ops.softplus, lambda xp, x: xp.log(1 + xp.exp(x)), (X,)),
    "silu": Node("silu", ops.silu, lambda xp, x: x / (1 + xp.exp(-x)), (X,)),
    "gelu": Node("gelu", ops.gelu, lambda xp, x: 0.5 * x * (1 + ops.erf(x / math.sqrt(2))), (X,)),
    "softmax": Node("softmax", ops.softmax, lambda xp, x: xp.exp(x) / xp.sum(xp.exp(x), axis=-1, keepdims=True), (X,)),
    "softmax along the first axis": Node(
        "softmax", lambda x: ops.softmax(x, 0), lambda xp, x: xp.exp(x) / xp.sum(xp.exp(x), axis=0), (X,)
    ),
    "log-softmax": Node(
        "log_softmax", ops.log_softmax, lambda xp, x: x - xp.log(xp.sum(xp.exp(x), axis=-1, keepdims=True)), (X,)
    ),
    "log-softmax along the first axis": Node(
        "log_softmax", lambda x: ops.log_softmax(x, 0), lambda xp, x: x - xp.log(xp.sum(xp.exp(x), axis=0)), (X,)
    ),
    "softmax cross-entropy": Node(
        "cross_entropy",
        ops.softmax_cross_entropy,
        lambda xp, x, t: -xp.sum(t * xp.log(xp.exp(x) / xp.sum(xp.exp(x), axis=-1, keepdims=True)), axis=-1),
        (X, softened((4, 5), 2)),
    ),
    "softmax cross-entropy with weights": Node(
        "cross_entropy",
        ops.softmax_cross_entropy,
        lambda xp, x, t: -xp.sum(t * xp.log(xp.exp(x) / xp.sum(xp.exp(x), axis=-1, keepdims=True)), axis=-1),
        (X, np.abs(draw((4, 5), 3))),
    ),
    "sigmoid cross-entropy": Node(
        "sigmoid_cross_entropy",
        ops.sigmoid_cross_entropy,
        lambda xp, x, t: -t * xp.log(1 / (1 + xp.exp(-x))) - (1 - t) * xp.log(1 / (1 + xp.exp(x))),
        (X, softened((4, 5), 2)),
    ),
    "linear": Node("linear", ops.linear, lambda xp, x, w, b: x @ w + b, (X, draw((5, 3), 2), draw((3,), 3))),
    "linear without bias": Node("linear", ops.linear, lambda xp, x, w: x @ w, (X, draw((5, 3), 2))),
    "linear of a vector": Node(
        "linear", ops.linear, lambda xp, x, w, b: x @ w + b, (X[0], draw((5, 3), 2), draw((3,), 3))
    ),
    "linear on the last of three axes": Node(
        "linear", ops.linear, lambda xp, x, w, b: x @ w + b, (draw((2, 4, 5), 1), draw((5, 3), 2), draw((3,), 3))
    ),
    "batch norm": Node("batch_norm", ops.batch_norm, batch_norm, (X, draw((5,), 2), draw((5,), 3))),
    "batch norm without shift": Node("batch_norm", ops.batch_norm, batch_norm, (X, draw((5,), 2))),
    "batch norm alone": Node("batch_norm", ops.batch_norm, batch_norm, (X,)),
    "batch norm of images": Node(
        "batch_norm", ops.batch_norm, batch_norm, (draw((3, 2, 4, 5), 1), draw((5,), 2), draw((5,), 3))
    ),
    "dropout": Node(
        "dropout",
        lambda x, keep: ops.dropout(x, keep, 0.25),
        lambda xp, x, keep: xp.where(keep, x, xp.zeros_like(x)) / 0.75,
        (X, keep((4, 5))),
    ),
}
