"""The single tape nodes of ``nnx.ops``, each beside the same expression in plain functions of the standard.

``node(*arrays)`` and ``plain(xp, *arrays)`` take the arrays that ``inputs`` gives: floating ones are differentiated, others
are constants. The plain form may overflow where the node does not; the inputs are moderate.
"""

import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import nnx
from nnx import ops
from nnx.autodiff import hooks

convolution = importlib.import_module("nnx.ops.convolution")  # whose name in nnx.ops is the function


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


def hot(xp: Any, labels: Any, x: Any) -> Any:
    """True at the label of each row."""
    return xp.expand_dims(labels, axis=-1) == xp.arange(x.shape[-1], dtype=labels.dtype, device=x.device)


def keep(shape: tuple[int, ...]) -> Any:
    return draw(shape, 5) > -0.5


def batch_norm(xp: Any, x: Any, *scales: Any) -> Any:
    axes = tuple(range(x.ndim - 1))
    y = (x - xp.mean(x, axis=axes)) / xp.sqrt(xp.var(x, axis=axes, correction=0) + 1e-5)
    for scale, apply in zip(scales, (lambda y, s: y * s, lambda y, s: y + s)):
        y = apply(y, scale)
    return y


def taps(x: Any, count: int, out: int, stride: int) -> list[Any]:
    """The places of each kernel position, count x count of them, over out x out windows."""
    span = stride * (out - 1) + 1
    return [x[:, i : i + span : stride, j : j + span : stride, :] for i in range(count) for j in range(count)]


def convolve(xp: Any, x: Any, w: Any, b: Any = None, stride: int = 1, groups: int = 1) -> Any:
    """Σ over kernel positions and groups, without padding, of square images and kernels."""
    k, share, each = w.shape[0], w.shape[2], w.shape[3] // groups
    parts = taps(x, k, (x.shape[1] - k) // stride + 1, stride)
    outs = []
    for g in range(groups):
        share_of = [part[..., g * share : (g + 1) * share] for part in parts]
        terms = [part @ w[i // k, i % k, :, g * each : (g + 1) * each] for i, part in enumerate(share_of)]
        outs.append(sum(terms[1:], terms[0]))
    y = xp.concat(outs, axis=-1)
    return y if b is None else y + b


def walled(xp: Any, x: Any, n: int) -> Any:
    """x with n zeros around its two spatial axes."""
    for axis in (1, 2):
        shape = tuple(n if a == axis else length for a, length in enumerate(x.shape))
        wall = xp.zeros(shape, dtype=x.dtype, device=x.device)
        x = xp.concat([wall, x, wall], axis=axis)
    return x


def spread(xp: Any, x: Any, w: Any, b: Any, padding: int) -> Any:
    """A transposed convolution of stride 1: the convolution of x in walls with the kernel turned round."""
    return convolve(xp, walled(xp, x, w.shape[0] - 1 - padding), xp.flip(w, axis=(0, 1)), b)


def normal(xp: Any, x: Any, axes: Any, centre: bool = True) -> Any:
    """x with mean 0, where centred, and mean square 1 over these axes."""
    x = x - xp.mean(x, axis=axes, keepdims=True) if centre else x
    return x / xp.sqrt(xp.mean(x * x, axis=axes, keepdims=True) + 1e-5)


def in_groups(xp: Any, x: Any, gamma: Any, beta: Any) -> Any:
    """Two groups of two channels."""
    return xp.concat([normal(xp, x[..., :2], (1, 2, 3)), normal(xp, x[..., 2:], (1, 2, 3))], axis=-1) * gamma + beta


def attend(xp: Any, q: Any, k: Any, v: Any, seen: Any = None, keep: Any = None) -> Any:
    e = xp.exp(q @ xp.matrix_transpose(k) / math.sqrt(q.shape[-1]))
    e = e if seen is None else e * xp.astype(seen, e.dtype)
    total = xp.sum(e, axis=-1, keepdims=True)
    p = e / xp.where(total == 0, xp.ones_like(total), total)
    return (p if keep is None else xp.where(keep, p / 0.75, xp.zeros_like(p))) @ v


def rows_of(xp: Any, w: Any, index: Any, padding: int = -1) -> Any:
    chosen = xp.astype(index[..., None] == xp.arange(w.shape[0], dtype=index.dtype, device=index.device), w.dtype)
    y = chosen @ w
    return xp.where((index == padding)[..., None], nnx.stop_gradient(y), y)


def logistic(xp: Any, x: Any) -> Any:
    return 1 / (1 + xp.exp(-x))


def lstm(xp: Any, a: Any, r: Any, h: Any, c: Any) -> Any:
    hs = []
    for t in range(a.shape[1]):
        s = a[:, t, :] + h @ r
        i, f, g, o = (s[:, 2 * k : 2 * k + 2] for k in range(4))
        c = logistic(xp, f) * c + logistic(xp, i) * xp.tanh(g)
        h = logistic(xp, o) * xp.tanh(c)
        hs.append(h)
    return xp.stack(hs, axis=1), c


def gru(xp: Any, a: Any, r: Any, h: Any, d: Any = 0.0) -> Any:
    hs = []
    for t in range(a.shape[1]):
        s, u = a[:, t, :], h @ r
        reset, z = logistic(xp, s[:, :2] + u[:, :2]), logistic(xp, s[:, 2:4] + u[:, 2:4])
        n = xp.tanh(s[:, 4:] + reset * (u[:, 4:] + d))
        h = (1 - z) * n + z * h
        hs.append(h)
    return xp.stack(hs, axis=1)


X = draw((4, 5), 1)
QKV = (draw((2, 3, 2), 1), draw((2, 4, 2), 2), draw((2, 4, 3), 3))
SEEN = draw((2, 3, 4), 4) > -0.3
SEEN[1, 2] = False
IMAGES = draw((2, 5, 5, 4), 7)
OPTIONS = {"kernel": (2, 2), "stride": (1, 1), "dilation": (1, 1)}
ONCE = convolution._Map((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
PLACE = (draw((2, 4, 4, 4), 9) > 0).astype("int32") * 2

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
    "cross-entropy of labels": Node(
        "label_cross_entropy",
        ops.label_cross_entropy,
        lambda xp, x, labels: (
            xp.log(xp.sum(xp.exp(x), axis=-1)) - xp.sum(xp.where(hot(xp, labels, x), x, 0 * x), axis=-1)
        ),
        (X, np.asarray([0, 4, 2, 2])),
    ),
    "softmax cross-entropy": Node(
        "cross_entropy",
        ops.softmax_cross_entropy,
        lambda xp, x, t: -xp.sum(t * xp.log(xp.exp(x) / xp.sum(xp.exp(x), axis=-1, keepdims=True)), axis=-1),
        (X, softened((4, 5), 2)),
    ),
    "softmax cross-entropy of three axes": Node(
        "cross_entropy",
        ops.softmax_cross_entropy,
        lambda xp, x, t: -xp.sum(t * xp.log(xp.exp(x) / xp.sum(xp.exp(x), axis=-1, keepdims=True)), axis=-1),
        (draw((2, 3, 4), 4), softened((2, 3, 4), 2)),
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
    "convolution": Node("convolution", ops.convolution, convolve, (IMAGES, draw((3, 3, 4, 6), 2), draw((6,), 3))),
    "convolution with stride and groups": Node(
        "convolution",
        lambda x, w: ops.convolution(x, w, stride=2, groups=2),
        lambda xp, x, w: convolve(xp, x, w, stride=2, groups=2),
        (IMAGES, draw((2, 2, 2, 6), 2)),
    ),
    "convolution with padding": Node(
        "convolution",
        lambda x, w, b: ops.convolution(x, w, b, padding=1),
        lambda xp, x, w, b: convolve(xp, walled(xp, x, 1), w, b),
        (IMAGES, draw((3, 3, 4, 2), 2), draw((2,), 3)),
    ),
    "transposed convolution": Node(
        "transposed_convolution",
        lambda x, w, b: ops.transposed_convolution(x, w, b, padding=1),
        lambda xp, x, w, b: spread(xp, x, w, b, 1),
        (IMAGES, draw((3, 3, 4, 2), 2), draw((2,), 3)),
    ),
    "transposed convolution in groups": Node(
        "transposed_convolution",
        lambda x, w, b: ops.transposed_convolution(x, w, b, groups=2),
        lambda xp, x, w, b: xp.concat(
            [spread(xp, x[..., :2], w[..., :3], b[:3], 0), spread(xp, x[..., 2:], w[..., 3:], b[3:], 0)], axis=-1
        ),
        (IMAGES, draw((2, 2, 2, 6), 2), draw((6,), 3)),
    ),
    "convolution, its adjoint in the weight": Node(
        "to_weight",
        lambda x, g: convolution._to_weight(x, g, kernel=(2, 2), how=ONCE),
        lambda xp, x, g: xp.reshape(
            xp.stack([xp.tensordot(part, g, axes=((0, 1, 2), (0, 1, 2))) for part in taps(x, 2, 4, 1)]), (2, 2, 4, 3)
        ),
        (IMAGES, draw((2, 4, 4, 3), 2)),
    ),
    "convolution, its adjoint in the input": Node(
        "to_input",
        lambda g, w: convolution._to_input(g, w, spatial=(5, 5), how=ONCE),
        lambda xp, g, w: spread(xp, g, xp.permute_dims(w, (0, 1, 3, 2)), 0.0, 0),
        (draw((2, 4, 4, 3), 2), draw((2, 2, 4, 3), 3)),
    ),
    "max pool": Node(
        "max_pool",
        lambda x: ops.max_pool(x, 2),
        lambda xp, x: xp.max(xp.stack(taps(x, 2, 2, 2)), axis=0),
        (IMAGES,),
    ),
    "max pool of windows that overlap, with padding": Node(
        "max_pool",
        lambda x: ops.max_pool(x, 3, stride=1, padding=1),
        lambda xp, x: xp.max(xp.stack(taps(walled(xp, x + 9.0, 1), 3, 5, 1)), axis=0) - 9.0,
        (IMAGES,),
    ),
    "average pool": Node(
        "average_pool",
        lambda x: ops.average_pool(x, 3, stride=2, padding=1),
        lambda xp, x: sum(taps(walled(xp, x, 1), 3, 3, 2)) / 9,
        (IMAGES,),
    ),
    "average pool of what is not padding": Node(
        "average_pool",
        lambda x: ops.average_pool(x, 2, stride=1, padding=1, count_include_pad=False),
        lambda xp, x: sum(taps(walled(xp, x, 1), 2, 6, 1)) / sum(taps(walled(xp, xp.ones_like(x), 1), 2, 6, 1)),
        (IMAGES,),
    ),
    "adaptive average pool": Node(
        "adaptive_average_pool",
        lambda x: ops.adaptive_average_pool(x, (1, 2)),
        lambda xp, x: xp.stack([xp.mean(x[:, :, :3, :], axis=(1, 2)), xp.mean(x[:, :, 2:, :], axis=(1, 2))], axis=1)[
            :, None, ...
        ],
        (IMAGES,),
    ),
    "windows": Node(
        "windows",
        lambda x: ops.windows(x, **OPTIONS),
        lambda xp, x: xp.concat(taps(x, 2, 4, 1), axis=-1),
        (IMAGES,),
    ),
    "fold": Node(
        "fold",
        lambda x: ops.fold(x, spatial=(6, 6), **OPTIONS),
        lambda xp, x: spread(xp, x, xp.reshape(xp.eye(4, dtype=x.dtype, device=x.device), (2, 2, 4, 1)), 0.0, 0),
        (IMAGES,),
    ),
    "unpool": Node(
        "unpool",
        lambda x, place: hooks.unpool(x, place=place, spatial=(5, 5), **OPTIONS),
        lambda xp, x, place: ops.fold(
            xp.concat([xp.where(place == k, x, xp.zeros_like(x)) for k in range(4)], axis=-1), spatial=(5, 5), **OPTIONS
        ),
        (draw((2, 4, 4, 4), 8), PLACE),
    ),
    "pick": Node(
        "pick",
        lambda x, place: hooks.pick(x, place=place, spatial=(5, 5), **OPTIONS),
        lambda xp, x, place: xp.where(place == 2, x[:, 1:, :-1, :], x[:, :-1, :-1, :]),
        (IMAGES, PLACE),
    ),
    "layer norm": Node(
        "layer_norm", ops.layer_norm, lambda xp, x, g, b: normal(xp, x, -1) * g + b, (X, draw((5,), 2), draw((5,), 3))
    ),
    "layer norm of three axes, alone": Node(
        "layer_norm", ops.layer_norm, lambda xp, x: normal(xp, x, -1), (draw((2, 3, 4), 1),)
    ),
    "rms norm": Node(
        "rms_norm",
        lambda x, g: ops.rms_norm(x, g, 1e-5),
        lambda xp, x, g: normal(xp, x, -1, False) * g,
        (X, draw((5,), 2)),
    ),
    "rms norm alone": Node(
        "rms_norm", lambda x: ops.rms_norm(x, eps=1e-5), lambda xp, x: normal(xp, x, -1, False), (X,)
    ),
    "group norm": Node(
        "group_norm",
        lambda x, g, b: ops.group_norm(x, 2, g, b),
        in_groups,
        (draw((2, 3, 2, 4), 7), draw((4,), 2), draw((4,), 3)),
    ),
    "group norm alone": Node("group_norm", lambda x: ops.group_norm(x, 1), lambda xp, x: normal(xp, x, -1), (X,)),
    "embedding": Node(
        "embedding", lambda w, index: ops.embedding(index, w), rows_of, (X, np.asarray([[2, 0, 2], [3, 3, 2]]))
    ),
    "embedding with padding": Node(
        "embedding",
        lambda w, index: ops.embedding(index, w, 2),
        lambda xp, w, index: rows_of(xp, w, index, 2),
        (X, np.asarray([2, 0, 2, 3])),
    ),
    "attention": Node("attention", ops.attention, attend, QKV),
    "attention with a mask": Node("attention", ops.attention, attend, (*QKV, SEEN)),
    "attention with dropout, causal": Node(
        "attention",
        lambda q, k, v, keep: ops.attention(q, k, v, causal=True, keep=keep, p=0.25),
        lambda xp, q, k, v, keep: attend(
            xp, q, k, v, xp.asarray(np.tri(3, 4, dtype=bool), dtype=xp.bool, device=q.device), keep
        ),
        (*QKV, draw((2, 3, 4), 5) > -0.5),
    ),
    "lstm": Node(
        "lstm",
        lambda *x: ops.lstm(*x)[0],
        lambda xp, *x: lstm(xp, *x)[0],
        (draw((2, 3, 8), 1), draw((2, 8), 2), draw((2, 2), 3), draw((2, 2), 4)),
    ),
    "lstm, the last cell": Node(
        "lstm",
        lambda *x: ops.lstm(*x)[1],
        lambda xp, *x: lstm(xp, *x)[1],
        (draw((2, 2, 8), 1), draw((2, 8), 2), draw((2, 2), 3), draw((2, 2), 4)),
    ),
    "gru": Node(
        "gru",
        lambda a, r, h, d: ops.gru(a, r, d, h),
        gru,
        (draw((2, 3, 6), 1), draw((2, 6), 2), draw((2, 2), 3), draw((2,), 4)),
    ),
    "gru without its bias": Node(
        "gru",
        lambda a, r, h: ops.gru(a, r, None, h),
        gru,
        (draw((2, 2, 6), 1), draw((2, 6), 2), draw((2, 2), 3)),
    ),
}
