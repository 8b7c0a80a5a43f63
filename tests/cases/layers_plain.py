"""Rows of layers that take features: dense, activations, batch norm, dropout, preparation. See ``cases/layers.py``."""

import math
from typing import Any

import numpy as np
from cases.layer_row import IMAGES, Row, kept

import nnx

erf = np.vectorize(math.erf)


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


PLAIN: dict[str, Row] = {
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
    "sequential": Row(
        nnx.Sequential,
        network,
        network_numpy,
        network_torch,
        training=True,
        rows_alone=False,
        grows=10.0,  # the rounding of a mean of equal values, over √ε
    ),
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
}
