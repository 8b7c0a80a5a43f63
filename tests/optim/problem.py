"""What the optimizers are run on: a small network with hand-written gradients, in NumPy float64."""

from typing import Any

import numpy as np


def parameters() -> dict[str, Any]:
    """Weights of two layers, their biases, a 0-d gain and a three-dimensional kernel; away from zero and of both signs."""
    rng = np.random.Generator(np.random.Philox(key=[0, 7]))
    shapes = {
        "first.weight": (5, 7),
        "first.bias": (7,),
        "second.weight": (7, 3),
        "second.bias": (3,),
        "gain": (),
        "kernel": (2, 3, 4),
    }
    params = {path: np.asarray(rng.normal(size=shape)) for path, shape in shapes.items()}
    for array in params.values():
        array.flags.writeable = False
    return params


def gradient(params: dict[str, Any]) -> dict[str, Any]:
    """Of ½ mean (gain · tanh(x W₁ + b₁) W₂ + b₂ − y)² + ½ Σ sin(kernel)², by hand; read-only."""
    rng = np.random.Generator(np.random.Philox(key=[0, 8]))
    x, y = rng.normal(size=(16, 5)), rng.normal(size=(16, 3))
    h = np.tanh(x @ params["first.weight"] + params["first.bias"])
    out = h @ params["second.weight"]
    r = (params["gain"] * out + params["second.bias"] - y) / y.size
    back = params["gain"] * (r @ params["second.weight"].T) * (1 - h**2)
    grads = {
        "first.weight": x.T @ back,
        "first.bias": back.sum(axis=0),
        "second.weight": params["gain"] * (h.T @ r),
        "second.bias": r.sum(axis=0),
        "gain": np.asarray((r * out).sum()),
        "kernel": np.sin(params["kernel"]) * np.cos(params["kernel"]),
    }
    for array in grads.values():
        array.flags.writeable = False
    return grads


def run(optimizer: Any, steps: int, backend: Any, dtype: str = "float64") -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the state after this many steps; gradients are taken on the host, so every backend sees the same."""
    params = {path: backend.asarray(p, dtype=dtype) for path, p in parameters().items()}
    state = optimizer.init(params)
    for _ in range(steps):
        grads = gradient({path: backend.to_numpy(p) for path, p in params.items()})
        params, state = optimizer.update(
            {path: backend.asarray(g, dtype=dtype) for path, g in grads.items()}, state, params
        )
    return params, state
