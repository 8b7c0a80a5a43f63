"""Inputs, parameter values and gradients for the tests of layers."""

from typing import Any

import numpy as np
from cases.layers import Row

import nnx


def draw(shape: tuple[int, ...], number: int = 0) -> Any:
    """Normal numbers on the host, read-only, the same every time."""
    rng = np.random.Generator(np.random.Philox(key=[number, 11]))
    values = np.asarray(rng.normal(size=shape))
    values.flags.writeable = False
    return values


def values(model: nnx.Module) -> dict[str, Any]:
    """The arrays of a model as fresh float64 values: parameters and means moved a little, variances kept positive."""
    moved = {}
    for number, (path, array) in enumerate(model.initialize(0, dtype="float64").state().items()):
        noise = 0.3 * draw(tuple(array.shape), 100 + number)
        moved[path] = array * np.exp(noise) if path.endswith("variance") else array + noise
    return moved


def prepared(row: Row, backend: Any, dtype: str = "float64") -> tuple[nnx.Module, dict[str, Any]]:
    """A model of the row on the backend, and the same arrays in float64 on the host."""
    model = row.make()
    arrays = model.state() if issubclass(row.covers, nnx.layers.Preparation) else values(model)
    arrays = {path: np.asarray(array, dtype="float64") for path, array in arrays.items()}
    model.load({path: np.asarray(array, dtype=dtype) for path, array in arrays.items()})
    return model.to(backend), {path: array.astype(dtype).astype("float64") for path, array in arrays.items()}


def call(row: Row, model: Any, x: Any) -> Any:
    """The model at x, in training where the row says so; nothing is written back."""
    if not row.training:
        return model(x)
    with nnx.training(seed=0, step=0, write_back=False):
        return model(x)


def gradients(row: Row, model: nnx.Module, x: Any, weights: Any) -> tuple[dict[str, Any], Any]:
    """Gradients of Σ weights∘y with respect to the parameters and the input, ``None`` for one of whole numbers."""

    def loss(model: Any, x: Any, weights: Any) -> Any:
        y = call(row, model, x)
        return nnx.namespace(y).sum(y * weights)

    if row.count:
        return nnx.grad(loss)(model, x, weights), None
    if not model.parameters():
        return {}, nnx.grad(lambda x, weights: loss(model, x, weights))(x, weights)
    return nnx.grad(loss, argnums=(0, 1))(model, x, weights)  # type: ignore[no-any-return]


def host(state: dict[str, Any]) -> dict[str, Any]:
    """A state as host arrays of its own."""
    return {path: np.array(nnx.backends.of(array).to_numpy(array)) for path, array in state.items()}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two states on the host have the same paths, bits and dtypes."""
    return a.keys() == b.keys() and all(
        np.array_equal(a[path], b[path]) and a[path].dtype == b[path].dtype for path in a
    )


def foreign(backend: Any, x: Any) -> Any:
    """An array of another library: of array-api-strict beside NumPy, of NumPy beside all others."""
    return nnx.backends.get("strict").asarray(x) if backend.name == "numpy" else np.array(x)
