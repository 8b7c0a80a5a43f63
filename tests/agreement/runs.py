"""The same training on any backend: digits, a network with every kind of layer, Adam, one hundred steps."""

from functools import cache
from typing import Any

import numpy as np

import nnx
from nnx import backends, tree

STEPS = 100
BATCH = 64


@cache
def digits() -> Any:
    train, _, _ = nnx.data.split(nnx.data.load("digits"), (0.7, 0.15, 0.15), seed=0)
    return train


def network() -> nnx.Sequential:
    return nnx.Sequential(
        nnx.Standardize(64),
        nnx.Linear(64, 32, bias=False),
        nnx.BatchNorm(32),
        nnx.ReLU(),
        nnx.Dropout(0.2),
        nnx.Linear(32, 16),
        nnx.Tanh(),
        nnx.Linear(16, 10),
    )


def model_on(backend: Any, dtype: str) -> nnx.Sequential:
    model = network().initialize(seed=0, dtype=dtype)
    model.layers[0].fit(digits().x)
    return model.to(backend)


def rows_of(step: int) -> Any:
    n = len(digits())
    per_epoch = -(-n // BATCH)
    return list(nnx.data.batches(n, BATCH, seed=0, epoch=step // per_epoch))[step % per_epoch]


def batch(backend: Any, dtype: str, step: int) -> tuple[Any, Any]:
    rows = rows_of(step)
    return backend.asarray(digits().x[rows], dtype=dtype), backend.asarray(digits().y[rows])


def loss_of(model: Any, x: Any, y: Any) -> Any:
    return nnx.losses.cross_entropy(model(x), y)


def gradient(model: nnx.Module, x: Any, y: Any, step: int) -> tuple[Any, dict[str, Any]]:
    with nnx.training(seed=0, step=step):
        return nnx.value_and_grad(loss_of)(model, x, y)  # type: ignore[no-any-return]


def to_host(nest: Any) -> Any:
    return tree.map(lambda a: np.array(backends.of(a).to_numpy(a)) if hasattr(a, "dtype") else a, nest)


def to_backend(nest: Any, backend: Any) -> Any:
    return tree.map(lambda a: backend.asarray(a) if isinstance(a, np.ndarray) else a, nest)


def one_step(model: nnx.Module, optimizer: Any, state: Any, dtype: str, step: int) -> tuple[Any, Any]:
    backend = backends.of(next(iter(model.parameters().values())))
    loss, grads = gradient(model, *batch(backend, dtype, step), step)
    params, state = optimizer.update(grads, state, model.parameters())
    model.load(params)
    return state, loss


@cache
def free_run(spec: str, dtype: str) -> list[tuple[Any, Any, float]]:
    """(model state, optimizer state, loss) before each step and after the last; the run is left to itself."""
    model, optimizer = model_on(backends.get(spec), dtype), nnx.optim.Adam(1e-3)
    state, loss = optimizer.init(model.parameters()), float("nan")
    history = [(to_host(model.state()), to_host(state), loss)]
    for step in range(STEPS):
        state, value = one_step(model, optimizer, state, dtype, step)
        history.append((to_host(model.state()), to_host(state), float(to_host(value))))
    return history


@cache
def resynchronised(spec: str, dtype: str) -> list[tuple[Any, Any, float]]:
    """What each step of the NumPy run becomes on this backend, begun from the state that NumPy had."""
    backend, optimizer, history = backends.get(spec), nnx.optim.Adam(1e-3), []
    model = model_on(backend, dtype)
    for step, (arrays, slots, _) in enumerate(free_run("numpy", dtype)[:-1]):
        model.load(to_backend(arrays, backend))
        state, loss = one_step(model, optimizer, to_backend(slots, backend), dtype, step)
        history.append((to_host(model.state()), to_host(state), float(to_host(loss))))
    return history


def apart(a: dict[str, Any], b: dict[str, Any]) -> float:
    """The largest difference of two states, each array measured by its largest element."""
    assert a.keys() == b.keys()
    gaps = (np.abs(a[path].astype(np.float64) - b[path]).max() / max(np.abs(b[path]).max(), 1e-30) for path in a)
    return max(map(float, gaps), default=0.0)


def apart_as_a_whole(a: dict[str, Any], b: dict[str, Any]) -> float:
    """‖a − b‖/‖b‖, for the worst array of two states.

    By norm, for single weights may differ by more: a pixel that is constant in a batch has, before a batch norm, a
    gradient of nothing but rounding, and Adam makes steps of it that are as large as the others.
    """
    assert a.keys() == b.keys()
    norm = np.linalg.norm
    gaps = (norm(np.ravel(a[path].astype(np.float64) - b[path])) / max(norm(np.ravel(b[path])), 1e-30) for path in a)
    return max(map(float, gaps), default=0.0)
