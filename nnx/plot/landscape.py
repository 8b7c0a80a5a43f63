"""The loss as a function of the weights: directions through them, and the loss along these.

Li, Xu, Taylor, Studer, Goldstein: Visualizing the Loss Landscape of Neural Nets (2018), arXiv:1712.09913.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nnx import random
from nnx.data import Dataset
from nnx.errors import ConfigError, DataError, StateError
from nnx.layers import Module
from nnx.plot.table import Host, Numbers
from nnx.train.evaluation import backend_of, dtype_of, input_dtype_of, targets
from nnx.train.given import check_model
from nnx.train.objective import objective
from nnx.typing import Array

Weights = Mapping[str, Array]
BATCH = 1024


@dataclass(frozen=True)
class Lines(Numbers):
    """A function along straight lines: ``at`` (n,), and ``values`` (lines, n) there. ``name`` is what was measured."""

    at: Host
    values: Host
    name: str = "loss"

    def columns(self) -> dict[str, Host]:
        """The place, and a column for each line."""
        return {"at": self.at, **{f"{self.name}_{i + 1}": row for i, row in enumerate(self.values)}}


@dataclass(frozen=True)
class Plane(Numbers):
    """A function over a plane: ``x`` (n,), ``y`` (m,), and ``values`` (m, n) there. ``name`` is what was measured."""

    x: Host
    y: Host
    values: Host
    name: str = "loss"

    def columns(self) -> dict[str, Host]:
        """A row for each point: x, y and the value."""
        x, y = np.meshgrid(self.x, self.y)
        return {"x": x.reshape(-1), "y": y.reshape(-1), self.name: self.values.reshape(-1)}


class Landscape:
    """The mean loss of a model on rows, in inference, as a function of its trainable parameters; buffers stay as they are.

    ``loss`` is a name or a function, by default that of the task. Up to ``rows`` rows are taken, evenly spaced, and moved
    to the model's backend once. The model itself is left alone.

    Errors: ``DataError`` for data without targets.
    """

    def __init__(
        self, model: Module, data: Dataset, *, loss: str | Callable[..., Array] | None = None, rows: int = 1000
    ) -> None:
        check_model(model, "plot")
        if not isinstance(data, Dataset) or data.y is None:
            raise DataError(
                expected="a Dataset with targets", got=repr(data)[:60], where="plot", fix="Use nnx.data.load((x, y))."
            )
        data = some(data, rows)
        self.model, self.backend, self.loss = model, backend_of(model), objective(model, loss, data.task)
        self.parameters = model.parameters()
        if not self.parameters:
            raise StateError(
                expected="a model with trainable parameters", got="none", where="plot", fix="Unfreeze some."
            )
        dtype, given = dtype_of(model), input_dtype_of(model)
        with self.backend.use():
            self._batches = [
                (self.backend.asarray(data.x[part, ...], dtype=given), targets(data, part, self.backend, dtype))
                for part in (slice(start, start + BATCH) for start in range(0, len(data), BATCH))
            ]
        self._rows = len(data)

    def at(self, parameters: Weights) -> Array:
        """The loss with these parameters: 0-d, on the device."""
        model = self.model.map_arrays(lambda path, array: parameters.get(path, array))
        return sum(self.loss(model(x), y) * (y.shape[0] / self._rows) for x, y in self._batches)

    def along(self, directions: Sequence[Weights], steps: Host) -> Host:
        """The loss at w + Σ_k s_k d_k for each row s of ``steps`` (n, k): (n,) float64, brought to the host at once."""
        found = []
        with self.backend.use(), np.errstate(all="ignore"):
            for row in steps.tolist():
                found.append(self.at({path: moved(w, path, directions, row) for path, w in self.parameters.items()}))
            together = self.backend.xp.stack(found)
        return np.asarray(self.backend.to_numpy(together), dtype=np.float64)


def moved(w: Array, path: str, directions: Sequence[Weights], steps: Sequence[float]) -> Array:
    """w + Σ s d, in the dtype of w."""
    for step, direction in zip(steps, directions):
        if path in direction and step:
            w = w + step * direction[path]
    return w


def some(data: Dataset, rows: int) -> Dataset:
    """At most ``rows`` rows, evenly spaced.

    Errors: ``ConfigError`` unless ``rows`` ≥ 1.
    """
    if rows < 1:
        raise ConfigError(expected="rows a whole number ≥ 1", got=repr(rows), where="plot", fix="Write rows=1000.")
    return data if len(data) <= rows else data.take(np.linspace(0, len(data) - 1, rows).astype(np.int64))


def random_directions(model: Module, count: int = 2, *, seed: int = 0) -> list[dict[str, Array]]:
    """Random directions through the weights, normalised filter by filter: ‖d_f‖ = ‖w_f‖.

    A filter is all that leads into one unit: the last axis of a weight counts the units. Parameters with one axis (biases,
    the scale of batch norm) do not move, as in the paper. The draws are keyed by (seed, path, number): the same on every
    backend. Source: Li et al. (2018), section 4.
    """
    backend, found = backend_of(model), []
    weights = {path: backend.to_numpy(w) for path, w in model.parameters().items() if w.ndim >= 2}
    for number in range(count):
        direction = {}
        for path, w in weights.items():
            d = random.normal(random.key(seed, "direction", path, number), w.shape)
            direction[path] = backend.asarray(filter_normalised(d, w), dtype=str(w.dtype))
        found.append(direction)
    return found


def filter_normalised(d: Host, w: Host) -> Host:
    """``d`` with each filter (all axes but the last) as long as that of ``w``; float64.

    >>> filter_normalised(np.asarray([[3.0, 1.0], [4.0, 0.0]]), np.asarray([[0.0, 2.0], [1.0, 0.0]]))
    array([[0.6, 2. ],
           [0.8, 0. ]])
    """
    d, w = np.asarray(d, dtype=np.float64), np.asarray(w, dtype=np.float64)
    axes = tuple(range(d.ndim - 1))
    length = np.sqrt(np.sum(d * d, axis=axes))
    return np.asarray(d * (np.sqrt(np.sum(w * w, axis=axes)) / np.where(length > 0, length, 1.0)))


def over_lines(landscape: Landscape, directions: Sequence[Weights], at: Host) -> Lines:
    """The loss along each direction."""
    steps = np.concatenate([np.outer(at, row) for row in np.eye(len(directions))])
    return Lines(at, landscape.along(directions, steps).reshape(len(directions), len(at)))


def over_plane(landscape: Landscape, directions: Sequence[Weights], x: Host, y: Host) -> Plane:
    """The loss over the plane of two directions."""
    a, b = np.meshgrid(x, y)
    values = landscape.along(directions, np.stack([a.reshape(-1), b.reshape(-1)], axis=1))
    return Plane(x, y, values.reshape(len(y), len(x)))
