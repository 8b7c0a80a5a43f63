"""Small problems to train on: three clouds of points, or a plane."""

import numpy as np

import nnx


def blobs(n=90, seed=0, task="classification"):
    """Three clouds in four dimensions, or a plane."""
    draws = np.random.default_rng(seed)
    x = draws.normal(size=(n, 4)).astype("float32")
    y = np.arange(n) % 3
    x[np.arange(n), y] += 2.0
    if task == "classification":
        return nnx.data.load((x, y))
    return nnx.data.load((x, (x @ np.asarray([[30.0], [-20.0], [10.0], [0.0]]) + 500).astype("float32")))


def network(outputs=3, **kwargs):
    return nnx.Sequential(
        nnx.Standardize(4), nnx.Linear(4, 16, bias=False), nnx.BatchNorm(16), nnx.ReLU(), nnx.Dropout(0.25),
        nnx.Linear(16, outputs), **kwargs,
    )  # fmt: skip


def bits(model):
    return {path: (nnx.backends.of(a).to_numpy(a).tobytes(), a.shape) for path, a in model.state().items()}
