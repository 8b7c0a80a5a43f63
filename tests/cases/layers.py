"""The table of layers: every public layer with an outside definition of what it computes.

``numpy(x, p)`` is an expression in NumPy that shares no code with nnx, from the input and the arrays by path;
``torch(torch, x, p)`` is PyTorch's own function of the same definition, whose autograd judges our gradients. Where PyTorch
has none, ``why`` says so and the NumPy expression is differentiated instead.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from cases import sequences, spatial

import nnx
from nnx import random

SHAPE = (5, 6)
IMAGES = (3, 4, 2, 6)


class Row(NamedTuple):
    covers: type
    make: Callable[[], nnx.Module]
    numpy: Callable[[Any, dict[str, Any]], Any]
    torch: Callable[[Any, Any, dict[str, Any]], Any] | None
    shape: tuple[int, ...] = SHAPE
    training: bool = False
    why: str = ""
    rows_alone: bool = True  # takes an empty batch and a single row
    count: int = 0  # takes whole numbers below this one instead of real ones
    stops: bool = False  # keeps a derivative back that a difference sees
    grows: float = 1.0  # how far extreme inputs make a rounding grow: e to the power of a large sum

    def inputs(self, number: int = 0) -> Any:
        """What the layer takes: normal or whole numbers on the host, read-only, the same every time."""
        rng = np.random.Generator(np.random.Philox(key=[number, 11]))
        x = rng.integers(0, self.count, self.shape) if self.count else np.asarray(rng.normal(size=self.shape))
        x.flags.writeable = False
        return x


def standard_scores(x: Any) -> Any:
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / np.sqrt(((x - x.mean(axes)) ** 2).mean(axes) + 1e-5)


def torch_batch_norm(torch: Any, x: Any, p: dict[str, Any], training: bool) -> Any:
    """PyTorch has channels second; statistics of its own are kept out of ours by cloning."""
    order = (0, x.ndim - 1, *range(1, x.ndim - 1))
    back = (0, *range(2, x.ndim), 1)
    y = torch.nn.functional.batch_norm(
        x.permute(order),
        p["running_mean"].clone(),
        p["running_variance"].clone(),
        p.get("gamma"),
        p.get("beta"),
        training=training,
        eps=1e-5,
    )
    return y.permute(back)


def kept(shape: tuple[int, ...], p: float) -> Any:
    """The mask of a lone dropout layer in ``nnx.training(seed=0, step=0)``, from the words of NumPy's own Philox."""
    key = random.key(0, "dropout", "", 0)
    words = np.random.Philox(key=np.asarray(key, dtype=np.uint64)).random_raw((math.prod(shape) + 1) // 2)
    halves = np.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=1).reshape(-1)
    return (halves[: math.prod(shape)] < (1 - p) * 2**32).reshape(shape)


def dropped(x: Any) -> Any:
    return np.where(kept(x.shape, 0.25), x / 0.75, 0.0)


def network() -> nnx.Module:
    return nnx.Sequential(nnx.Linear(6, 4), nnx.BatchNorm(4), nnx.Tanh(), nnx.Linear(4, 3, bias=False))


def network_numpy(x: Any, p: dict[str, Any]) -> Any:
    h = standard_scores(x @ p["layers.0.weight"] + p["layers.0.bias"])
    return np.tanh(h * p["layers.1.gamma"] + p["layers.1.beta"]) @ p["layers.3.weight"]


def network_torch(torch: Any, x: Any, p: dict[str, Any]) -> Any:
    h = torch.nn.functional.linear(x, p["layers.0.weight"].T, p["layers.0.bias"])
    inner = {path.removeprefix("layers.1."): value for path, value in p.items()}
    return torch.tanh(torch_batch_norm(torch, h, inner, True)) @ p["layers.3.weight"]


def fitted(layer: Any) -> nnx.Module:
    rng = np.random.Generator(np.random.Philox(key=[0, 3]))
    return layer.fit(2.0 + 3.0 * rng.normal(size=(50, 6)))  # type: ignore[no-any-return]


erf = np.vectorize(math.erf)
SEQUENCES = (3, 7, 6)
SQUARES = (2, 6, 5, 6)
WORDS = (2, 4, 6)
STEPS = (2, 3, 6)

LAYERS: dict[str, Row] = {
    "batch norm, training": Row(
        nnx.BatchNorm,
        lambda: nnx.BatchNorm(6),
        lambda x, p: standard_scores(x) * p["gamma"] + p["beta"],
        lambda torch, x, p: torch_batch_norm(torch, x, p, True),
        training=True,
        rows_alone=False,
    ),
    "batch norm of images, training": Row(
        nnx.BatchNorm,
        lambda: nnx.BatchNorm(6),
        lambda x, p: standard_scores(x) * p["gamma"] + p["beta"],
        lambda torch, x, p: torch_batch_norm(torch, x, p, True),
        shape=IMAGES,
        training=True,
        rows_alone=False,
    ),
    "batch norm without scale, training": Row(
        nnx.BatchNorm,
        lambda: nnx.BatchNorm(6, affine=False),
        lambda x, p: standard_scores(x),
        lambda torch, x, p: torch_batch_norm(torch, x, p, True),
        training=True,
        rows_alone=False,
    ),
    "batch norm": Row(
        nnx.BatchNorm,
        lambda: nnx.BatchNorm(6),
        lambda x, p: (x - p["running_mean"]) / np.sqrt(p["running_variance"] + 1e-5) * p["gamma"] + p["beta"],
        lambda torch, x, p: torch_batch_norm(torch, x, p, False),
    ),
    "batch norm of images": Row(
        nnx.BatchNorm,
        lambda: nnx.BatchNorm(6, affine=False),
        lambda x, p: (x - p["running_mean"]) / np.sqrt(p["running_variance"] + 1e-5),
        lambda torch, x, p: torch_batch_norm(torch, x, p, False),
        shape=IMAGES,
    ),
    "dropout": Row(nnx.Dropout, lambda: nnx.Dropout(0.25), lambda x, p: x, lambda torch, x, p: x),
    "dropout, training": Row(
        nnx.Dropout,
        lambda: nnx.Dropout(0.25),
        lambda x, p: dropped(x),
        lambda torch, x, p: torch.where(torch.tensor(kept(tuple(x.shape), 0.25)), x / 0.75, 0.0),
        training=True,
    ),
    "dropout of nothing, training": Row(
        nnx.Dropout, lambda: nnx.Dropout(0.0), lambda x, p: x, lambda torch, x, p: x, training=True
    ),
    "elu": Row(
        nnx.ELU,
        lambda: nnx.ELU(1.3),
        lambda x, p: np.where(x > 0, x, 1.3 * np.expm1(np.minimum(x, 0))),
        lambda torch, x, p: torch.nn.functional.elu(x, 1.3),
    ),
    "flatten": Row(
        nnx.Flatten,
        nnx.Flatten,
        lambda x, p: x.reshape(len(x), 48),
        lambda torch, x, p: torch.flatten(x, 1),
        shape=IMAGES,
    ),
    "gelu": Row(
        nnx.GELU,
        nnx.GELU,
        lambda x, p: x * (1 + erf(x / math.sqrt(2))) / 2 if x.size else x,
        lambda torch, x, p: torch.nn.functional.gelu(x),
    ),
    "gelu by tanh": Row(
        nnx.GELU,
        lambda: nnx.GELU(approximate=True),
        lambda x, p: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        lambda torch, x, p: torch.nn.functional.gelu(x, approximate="tanh"),
    ),
    "leaky relu": Row(
        nnx.LeakyReLU,
        lambda: nnx.LeakyReLU(0.1),
        lambda x, p: np.where(x > 0, x, 0.1 * x),
        lambda torch, x, p: torch.nn.functional.leaky_relu(x, 0.1),
    ),
    "linear": Row(
        nnx.Linear,
        lambda: nnx.Linear(6, 4),
        lambda x, p: np.einsum("ni,io->no", x, p["weight"]) + p["bias"],
        lambda torch, x, p: torch.nn.functional.linear(x, p["weight"].T, p["bias"]),
    ),
    "linear without bias": Row(
        nnx.Linear,
        lambda: nnx.Linear(6, 4, bias=False),
        lambda x, p: np.einsum("ni,io->no", x, p["weight"]),
        lambda torch, x, p: torch.nn.functional.linear(x, p["weight"].T),
    ),
    "linear on the last of four axes": Row(
        nnx.Linear,
        lambda: nnx.Linear(6, 4),
        lambda x, p: np.einsum("nabi,io->nabo", x, p["weight"]) + p["bias"],
        lambda torch, x, p: torch.nn.functional.linear(x, p["weight"].T, p["bias"]),
        shape=IMAGES,
    ),
    "maxout": Row(
        nnx.Maxout,
        lambda: nnx.Maxout(3),
        lambda x, p: np.stack([x[:, :3].max(1), x[:, 3:].max(1)], axis=1) if len(x) else x[:, :2],
        lambda torch, x, p: x.reshape(x.shape[0], 2, 3).amax(-1),
    ),
    "min-max": Row(
        nnx.MinMaxScale,
        lambda: fitted(nnx.MinMaxScale(6, -1.0, 3.0)),
        lambda x, p: -1 + 4 * (x - p["minimum"]) / p["range"],
        None,
        why="PyTorch has no such layer; scikit-learn's is compared in test_preparation.py",
    ),
    "pca": Row(
        nnx.PCA,
        lambda: fitted(nnx.PCA(6, 4)),
        lambda x, p: x @ p["directions"] - p["mean"] @ p["directions"],
        lambda torch, x, p: (x - p["mean"]) @ p["directions"],
    ),
    "pca, whitening": Row(
        nnx.PCA,
        lambda: fitted(nnx.PCA(6, 4, whiten=True, eps=0.01)),
        lambda x, p: ((x - p["mean"]) @ p["directions"]) * (p["variances"] + 0.01) ** -0.5,
        lambda torch, x, p: (x - p["mean"]) @ p["directions"] / torch.sqrt(p["variances"] + 0.01),
    ),
    "relu": Row(nnx.ReLU, nnx.ReLU, lambda x, p: x * (x > 0), lambda torch, x, p: torch.nn.functional.relu(x)),
    "sequential": Row(nnx.Sequential, network, network_numpy, network_torch, training=True, rows_alone=False),
    "sigmoid": Row(
        nnx.Sigmoid, nnx.Sigmoid, lambda x, p: (1 + np.tanh(x / 2)) / 2, lambda torch, x, p: torch.sigmoid(x)
    ),
    "silu": Row(
        nnx.SiLU,
        nnx.SiLU,
        lambda x, p: x * (1 + np.tanh(x / 2)) / 2,
        lambda torch, x, p: torch.nn.functional.silu(x),
    ),
    "softmax": Row(
        nnx.Softmax,
        nnx.Softmax,
        lambda x, p: np.exp(x - np.logaddexp.reduce(x, axis=-1, keepdims=True)),
        lambda torch, x, p: torch.softmax(x, -1),
    ),
    "softplus": Row(
        nnx.Softplus,
        nnx.Softplus,
        lambda x, p: np.logaddexp(x, 0),
        lambda torch, x, p: torch.nn.functional.softplus(x, threshold=1e6),
    ),
    "standardize": Row(
        nnx.Standardize,
        lambda: fitted(nnx.Standardize(6)),
        lambda x, p: (x - p["mean"]) / p["scale"],
        None,
        why="PyTorch has no such layer; scikit-learn's is compared in test_preparation.py",
    ),
    "tanh": Row(
        nnx.Tanh,
        nnx.Tanh,
        lambda x, p: np.sinh(x) / np.cosh(x) if np.abs(x).max(initial=0) < 100 else np.sign(x),
        lambda torch, x, p: torch.tanh(x),
    ),
    "unstandardize": Row(
        nnx.Unstandardize,
        lambda: fitted(nnx.Unstandardize(6)),
        lambda x, p: p["mean"] + p["scale"] * x,
        None,
        why="PyTorch has no such layer: it is the inverse of standardize",
    ),
    "convolution of sequences": Row(
        nnx.Conv1d,
        lambda: nnx.Conv1d(6, 4, 3, stride=2, padding=1),
        lambda x, p: spatial.convolve(x, p["weight"], p["bias"], (2,), (1,), (1,), 1),
        lambda torch, x, p: spatial.torch_convolve(torch, x, p["weight"], p["bias"], stride=2, padding=1),
        shape=SEQUENCES,
    ),
    "convolution": Row(
        nnx.Conv2d,
        lambda: nnx.Conv2d(6, 4, 3, padding="same"),
        lambda x, p: spatial.convolve(x, p["weight"], p["bias"], (1, 1), (1, 1), (1, 1), 1),
        lambda torch, x, p: spatial.torch_convolve(torch, x, p["weight"], p["bias"], padding="same"),
        shape=SQUARES,
    ),
    "convolution in groups, without bias": Row(
        nnx.Conv2d,
        lambda: nnx.Conv2d(6, 9, (3, 2), stride=(1, 2), dilation=(2, 1), groups=3, bias=False),
        lambda x, p: spatial.convolve(x, p["weight"], None, (1, 2), (0, 0), (2, 1), 3),
        lambda torch, x, p: spatial.torch_convolve(
            torch, x, p["weight"], None, stride=(1, 2), dilation=(2, 1), groups=3
        ),
        shape=SQUARES,
    ),
    "transposed convolution of sequences": Row(
        nnx.ConvTranspose1d,
        lambda: nnx.ConvTranspose1d(6, 4, 4, stride=2, padding=1),
        lambda x, p: spatial.spread(x, p["weight"], p["bias"], (2,), (1,), (0,), (1,), 1),
        lambda torch, x, p: spatial.torch_convolve(
            torch, x, p["weight"], p["bias"], transposed=True, stride=2, padding=1
        ),
        shape=SEQUENCES,
    ),
    "transposed convolution": Row(
        nnx.ConvTranspose2d,
        lambda: nnx.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1, groups=2),
        lambda x, p: spatial.spread(x, p["weight"], p["bias"], (2, 2), (0, 0), (1, 1), (1, 1), 2),
        lambda torch, x, p: spatial.torch_convolve(
            torch, x, p["weight"], p["bias"], transposed=True, stride=2, output_padding=1, groups=2
        ),
        shape=SQUARES,
    ),
    "max pool of sequences": Row(
        nnx.MaxPool1d,
        lambda: nnx.MaxPool1d(3, stride=2, padding=1),
        lambda x, p: spatial.pooled(x, (3,), (2,), (1,), (1,), np.max, -np.inf),
        lambda torch, x, p: spatial.torch_pool(torch, "max_pool", x, 3, stride=2, padding=1),
        shape=SEQUENCES,
    ),
    "max pool": Row(
        nnx.MaxPool2d,
        lambda: nnx.MaxPool2d(2),
        lambda x, p: spatial.pooled(x, (2, 2), (2, 2), (0, 0), (1, 1), np.max),
        lambda torch, x, p: spatial.torch_pool(torch, "max_pool", x, 2),
        shape=SQUARES,
    ),
    "average pool of sequences": Row(
        nnx.AvgPool1d,
        lambda: nnx.AvgPool1d(3, stride=1, padding=1),
        lambda x, p: spatial.pooled(x, (3,), (1,), (1,), (1,), np.mean),
        lambda torch, x, p: spatial.torch_pool(torch, "avg_pool", x, 3, stride=1, padding=1) if len(x) else 0 * x,
        shape=SEQUENCES,
    ),
    "average pool": Row(
        nnx.AvgPool2d,
        lambda: nnx.AvgPool2d((3, 2)),
        lambda x, p: spatial.pooled(x, (3, 2), (3, 2), (0, 0), (1, 1), np.mean),
        lambda torch, x, p: spatial.torch_pool(torch, "avg_pool", x, (3, 2)),
        shape=SQUARES,
    ),
    "adaptive average pool of sequences": Row(
        nnx.AdaptiveAvgPool1d,
        lambda: nnx.AdaptiveAvgPool1d(3),
        lambda x, p: spatial.adaptive(x, (3,)),
        lambda torch, x, p: spatial.torch_pool(torch, "adaptive_avg_pool", x, 3),
        shape=SEQUENCES,
    ),
    "adaptive average pool": Row(
        nnx.AdaptiveAvgPool2d,
        lambda: nnx.AdaptiveAvgPool2d((3, 4)),
        lambda x, p: spatial.adaptive(x, (3, 4)),
        lambda torch, x, p: spatial.torch_pool(torch, "adaptive_avg_pool", x, (3, 4)),
        shape=SQUARES,
    ),
    "global average pool": Row(
        nnx.GlobalAvgPool,
        nnx.GlobalAvgPool,
        lambda x, p: x.mean((1, 2)),
        lambda torch, x, p: x.mean((1, 2)),
        shape=SQUARES,
    ),
    "reshape": Row(
        nnx.Reshape,
        lambda: nnx.Reshape((8, 3, 2)),
        lambda x, p: x.reshape(len(x), 8, 3, 2),
        lambda torch, x, p: torch.reshape(x, (len(x), 8, 3, 2)),
        shape=IMAGES,
    ),
    "standardize images": Row(
        nnx.Standardize,
        lambda: nnx.Standardize(6).fit(2.0 + 3.0 * np.random.default_rng(0).normal(size=(9, 4, 2, 6))),
        lambda x, p: (x - p["mean"]) / p["scale"],
        None,
        shape=IMAGES,
        why="PyTorch has no such layer; scikit-learn's is compared in test_preparation.py",
    ),
    "layer norm": Row(
        nnx.LayerNorm,
        lambda: nnx.LayerNorm(6),
        lambda x, p: sequences.layer_norm(x, p["gamma"], p["beta"]),
        lambda torch, x, p: torch.nn.functional.layer_norm(x, (6,), p["gamma"], p["beta"]),
    ),
    "layer norm of images, without scale": Row(
        nnx.LayerNorm,
        lambda: nnx.LayerNorm(6, affine=False),
        lambda x, p: sequences.layer_norm(x),
        lambda torch, x, p: torch.nn.functional.layer_norm(x, (6,)),
        shape=IMAGES,
    ),
    "rms norm": Row(
        nnx.RMSNorm,
        lambda: nnx.RMSNorm(6),
        lambda x, p: sequences.rms_norm(x, p["gamma"]),
        lambda torch, x, p: torch.nn.functional.rms_norm(x, (6,), p["gamma"], 1e-6),
        shape=SEQUENCES,
    ),
    "rms norm without scale": Row(
        nnx.RMSNorm,
        lambda: nnx.RMSNorm(6, affine=False),
        lambda x, p: sequences.rms_norm(x),
        lambda torch, x, p: torch.nn.functional.rms_norm(x, (6,), None, 1e-6),
    ),
    "group norm": Row(
        nnx.GroupNorm,
        lambda: nnx.GroupNorm(2, 6),
        lambda x, p: sequences.group_norm(x, 2, p["gamma"], p["beta"]),
        lambda torch, x, p: sequences.torch_group_norm(torch, x, 2, p["gamma"], p["beta"]),
    ),
    "group norm of images": Row(
        nnx.GroupNorm,
        lambda: nnx.GroupNorm(3, 6),
        lambda x, p: sequences.group_norm(x, 3, p["gamma"], p["beta"]),
        lambda torch, x, p: sequences.torch_group_norm(torch, x, 3, p["gamma"], p["beta"]),
        shape=IMAGES,
    ),
    "group norm without scale": Row(
        nnx.GroupNorm,
        lambda: nnx.GroupNorm(1, 6, affine=False),
        lambda x, p: sequences.group_norm(x, 1),
        lambda torch, x, p: sequences.torch_group_norm(torch, x, 1),
        shape=IMAGES,
    ),
    "embedding": Row(
        nnx.Embedding,
        lambda: nnx.Embedding(7, 4),
        lambda x, p: p["weight"][x],
        lambda torch, x, p: torch.nn.functional.embedding(x, p["weight"]),
        shape=(5, 3),
        count=7,
    ),
    "embedding with padding": Row(
        nnx.Embedding,
        lambda: nnx.Embedding(3, 4, padding=1),
        lambda x, p: p["weight"][x],
        lambda torch, x, p: torch.nn.functional.embedding(x, p["weight"], padding_idx=1),
        count=3,
        stops=True,
    ),
    "learned positions": Row(
        nnx.LearnedPositions,
        lambda: nnx.LearnedPositions(9, 6),
        lambda x, p: x + p["table"][: x.shape[1]],
        lambda torch, x, p: x + torch.nn.functional.embedding(torch.arange(x.shape[1]), p["table"]),
        shape=SEQUENCES,
    ),
    "sinusoidal positions": Row(
        nnx.SinusoidalPositions,
        lambda: nnx.SinusoidalPositions(7, 6),
        lambda x, p: x + p["table"],
        lambda torch, x, p: x + p["table"],
        shape=SEQUENCES,
    ),
    "residual": Row(
        nnx.Residual,
        lambda: nnx.Residual(nnx.Linear(6, 6)),
        lambda x, p: x + x @ p["inner.weight"] + p["inner.bias"],
        lambda torch, x, p: x + torch.nn.functional.linear(x, p["inner.weight"].T, p["inner.bias"]),
    ),
    "attention": Row(
        nnx.MultiHeadAttention,
        lambda: nnx.MultiHeadAttention(6, 3, dropout=0.5),
        lambda x, p: sequences.attend(x, p, 3),
        lambda torch, x, p: sequences.torch_attend(torch, x, p, 3),
        shape=WORDS,
        grows=1e8,
    ),
    "causal attention without bias": Row(
        nnx.MultiHeadAttention,
        lambda: nnx.MultiHeadAttention(6, 2, causal=True, bias=False),
        lambda x, p: sequences.attend(x, p, 2, sequences.causal(x, 2)),
        lambda torch, x, p: sequences.torch_attend(torch, x, p, 2, causal=True),
        shape=WORDS,
        grows=1e8,
    ),
    "attention, training": Row(
        nnx.MultiHeadAttention,
        lambda: nnx.MultiHeadAttention(6, 2, dropout=0.25),
        lambda x, p: sequences.attend(x, p, 2, factor=kept((len(x), 2, 4, 4), 0.25) / 0.75),
        lambda torch, x, p: sequences.torch_attend_dropping(torch, x, p, 2, kept((len(x), 2, 4, 4), 0.25) / 0.75),
        shape=WORDS,
        training=True,
        grows=1e8,
    ),
    "transformer block": Row(
        nnx.TransformerBlock,
        lambda: nnx.TransformerBlock(6, 2, hidden=5, causal=True),
        lambda x, p: sequences.block(x, p, 2),
        lambda torch, x, p: sequences.torch_block(torch, x, p, 2),
        shape=WORDS,
    ),
    "gru": Row(
        nnx.GRU,
        lambda: nnx.GRU(6, 2),
        lambda x, p: sequences.gru(x, p),
        lambda torch, x, p: sequences.torch_gru(torch, x, p),
        shape=STEPS,
        grows=100.0,
    ),
    "lstm": Row(
        nnx.LSTM,
        lambda: nnx.LSTM(6, 2),
        lambda x, p: sequences.lstm(x, p),
        lambda torch, x, p: sequences.torch_lstm(torch, x, p),
        shape=STEPS,
        grows=100.0,
    ),
}
