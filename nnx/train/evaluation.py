"""Loss and metrics on a data set, and predictions, in batches that bound the memory."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnx import backends, losses, metrics, ops
from nnx.data import Dataset
from nnx.data.stream import Streamed
from nnx.errors import ConfigError, DataError, ShapeError
from nnx.layers import Embedding, Module, Sequential
from nnx.train.given import check_data, check_model, check_output
from nnx.train.objective import objective
from nnx.typing import Array

METRIC = {"classification": "accuracy", "regression": "r2"}
"""The metric of each task."""


def backend_of(model: Module) -> backends.Backend:
    """Where the model's arrays are; NumPy for a model without arrays."""
    return backends.of(next(iter(model.state().values()), np.zeros(())))


def dtype_of(model: Module) -> str | None:
    """The floating dtype of the model's arrays by name."""
    for value in model.state().values():
        name = str(value.dtype).rpartition(".")[2]
        if name.startswith("float"):
            return name
    return None


def looks_up(model: Module) -> bool:
    """Whether a model begins with an embedding, whose inputs are whole numbers and stay so."""
    while isinstance(model, Sequential) and len(model):
        model = model.layers[0]
    return isinstance(model, Embedding)


def input_dtype_of(model: Module) -> str | None:
    """What inputs are cast to: the floating dtype of the model's arrays, nothing where it begins by looking them up."""
    return None if looks_up(model) else dtype_of(model)


def targets(data: Dataset, rows: Any, backend: backends.Backend, dtype: str | None) -> Array:
    """The targets of some rows on the device: labels as they are, real targets in the model's dtype."""
    y = data.y[rows]  # type: ignore[index]
    return backend.asarray(y, dtype=None if data.task == "classification" else dtype)


def outputs_in_batches(model: Module, x: Any, batch_size: int) -> Iterator[tuple[slice, Array]]:
    """The model's outputs on rows of host or device inputs, batch by batch, on the device."""
    if not isinstance(batch_size, (int, np.integer)) or isinstance(batch_size, bool) or batch_size < 1:
        raise ConfigError(
            expected="batch_size a whole number ≥ 1",
            got=repr(batch_size),
            where="batch_size",
            fix="Write for example batch_size=1024.",
        )
    if not x.shape:
        raise ShapeError(expected="inputs of shape (N, …)", got="()", where="x", fix="One row is x[None, ...].")
    backend, dtype = backend_of(model), input_dtype_of(model)
    n = x.shape[0]
    for start in range(0, max(n, 1), batch_size):
        rows = slice(start, min(start + batch_size, n))
        with backend.use():
            out = model(backend.asarray(x[rows, ...], dtype=dtype))
        check_output(out, model)
        if not out.shape or out.shape[0] != rows.stop - rows.start:
            raise ShapeError(
                expected=f"one row of outputs for each of the {rows.stop - rows.start} inputs",
                got=f"{tuple(out.shape)} for x of shape {(rows.stop - rows.start, *x.shape[1:])}",
                where="x",
                fix="Give inputs of shape (N, …), one row an example: one alone is x[None, ...].",
            )
        yield rows, out


def evaluate(
    model: Module, data: Dataset, *, loss: str | Callable[..., Array] | None = None, batch_size: int = 1024
) -> dict[str, float]:
    """The mean loss and the metric of the task: accuracy for classes; R² and mean absolute error for real targets.

    ``loss`` is cross-entropy for classes and the squared error for real targets unless another is named, taken as
    ``nnx.fit`` does: for a model that ends in ``nnx.Unstandardize``, of standardised targets (``nnx.train.objective``).
    Errors: ``DataError`` without targets, ``ShapeError`` for data that the model does not take.

    >>> import numpy as np, nnx
    >>> data = nnx.data.load((np.asarray([[1.0], [2.0]]), np.asarray([1.0, 3.0])), task="regression")
    >>> model = nnx.Linear(1, 1, init=nnx.init.ones())
    >>> nnx.evaluate(model, data)
    {'loss': 0.5, 'r2': 0.5, 'mae': 0.5}
    """
    check_model(model, "evaluate")
    check_data(data, "evaluate")
    if data.y is None:
        raise DataError(
            "there are no targets to compare with", where=data.name, fix="Use nnx.predict, or data with their targets."
        )
    loss_of = objective(model, loss, data.task)
    backend, dtype = backend_of(model), dtype_of(model)
    total, parts = 0.0, []
    for rows, out in outputs_in_batches(model, data.x, batch_size):
        if rows.start == 0 and data.task == "classification":
            _check_classes(out, data)
        with backend.use():
            value = loss_of(out, targets(data, rows, backend, dtype))
        total += float(backend.to_numpy(value)) * int(out.shape[0])
        parts.append(backend.to_numpy(out))
    outputs = np.concatenate(parts)
    if loss_of is losses.binary_cross_entropy:  # of logits: what is measured are the probabilities
        outputs = ops.sigmoid(outputs)
    return {"loss": total / len(data), **measure(outputs, data)}


def _check_classes(out: Array, data: Dataset) -> None:
    """``DataError`` for a label that the model has no output for: it would be wrong without a word."""
    highest = int(np.asarray(data.y).max()) if len(data) else 0
    if out.ndim == 2 and highest >= out.shape[1]:
        raise DataError(
            expected=f"labels 0…{out.shape[1] - 1}, one for each output of the model",
            got=f"{highest}",
            where=f"{data.name}, y",
            fix="Load the data with schema=train.schema, the schema of what it was trained on.",
        )


def measure(outputs: Array, data: Dataset) -> dict[str, float]:
    """The metrics of the task from host outputs."""
    if data.task == "classification":
        return {"accuracy": float(metrics.accuracy(outputs, data.y))}
    y = np.asarray(data.y, dtype=outputs.dtype)
    return {"r2": float(metrics.r2(outputs, y)), "mae": float(metrics.mae(outputs, y))}


def predict(model: Module, x: Any, *, batch_size: int = 1024) -> Array:
    """The model's outputs for inputs x (N, …): logits for classes. Host inputs give host outputs.

    Inputs of any backend are moved to the model's in batches; the outputs come back to where the inputs were.

    >>> import numpy as np, nnx
    >>> predict(nnx.Linear(2, 3), np.zeros((5, 2))).shape
    (5, 3)
    """
    check_model(model, "predict")
    if isinstance(x, Dataset):
        x = x.x
    home, there = backends.get("numpy") if isinstance(x, Streamed) else backends.of(x), backend_of(model)
    if home.name == there.name:
        return home.xp.concat([out for _, out in outputs_in_batches(model, x, batch_size)], axis=0)
    host = x if isinstance(x, Streamed) else home.to_numpy(x)
    parts = [there.to_numpy(out) for _, out in outputs_in_batches(model, host, batch_size)]
    return home.asarray(np.concatenate(parts))
