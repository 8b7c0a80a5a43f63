"""The path of the weights through a training, in the plane of its principal directions, on the contours of the loss."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx import backends
from nnx.data import Dataset
from nnx.errors import ConfigError, DataError
from nnx.layers import Module
from nnx.plot import style
from nnx.plot.contour import draw
from nnx.plot.landscape import Landscape, Plane, over_plane
from nnx.plot.table import Host, Numbers
from nnx.train.callbacks.snapshots import Snapshot
from nnx.train.evaluation import backend_of
from nnx.typing import Array


@dataclass(frozen=True)
class Route(Numbers):
    """A path in its plane: ``epochs`` (k,), ``points`` (k, 2), the ``shares`` (2,) of the squared way that each direction holds.

    ``directions`` are unit vectors by path, as host arrays; ``plane`` is the loss there, None where it was not asked for.
    """

    epochs: Host
    points: Host
    shares: Host
    directions: tuple[Mapping[str, Host], Mapping[str, Host]]
    plane: Plane | None = None

    def columns(self) -> dict[str, list[Any]]:
        """A row for each snapshot, "path", then for each point of the plane, "plane"."""
        path = [("path", int(epoch), x, y, "") for epoch, (x, y) in zip(self.epochs, self.points.tolist())]
        plane = () if self.plane is None else zip(*(column.tolist() for column in self.plane.columns().values()))
        rows = [*path, *(("plane", "", x, y, loss) for x, y, loss in plane)]
        return {name: list(column) for name, column in zip(("what", "epoch", "x", "y", "loss"), zip(*rows))}


def trajectory(
    model: Module,
    data: Dataset,
    snapshots: Sequence[Snapshot],
    path: str | os.PathLike[str] | None = None,
    *,
    loss: str | Callable[..., Array] | None = None,
    points: int = 25,
    margin: float = 0.25,
    rows: int = 1000,
    title: str = "",
) -> Route:
    """The path of the weights in the plane that holds most of it, with the loss of the trained ``model`` around it.

    ``snapshots`` are those of ``nnx.train.Snapshots``. The plane goes through the model's own weights w (the origin)
    and along the two principal directions of the ways w_i − w, so the picture is true at the end and a projection
    elsewhere: the titles of the axes say how much of the squared way each direction holds. The contours take the
    model's buffers (the running statistics of batch norm) as they are at the end. ``margin`` is left around the path,
    as a share of its extent.

    Errors: ``DataError`` for fewer than two snapshots, or for those of another model. Source: Li et al. (2018), section 7.
    """
    style.ready(path)
    route = plane_of(model, snapshots)
    landscape = Landscape(model, data, loss=loss, rows=rows)
    backend = landscape.backend
    there = [
        {
            name: backend.asarray(d, dtype=str(landscape.parameters[name].dtype).rpartition(".")[2])
            for name, d in one.items()
        }
        for one in route.directions
    ]
    x, y = (_around(np.append(route.points[:, axis], 0.0), route, points, margin) for axis in (0, 1))
    plane = over_plane(landscape, there, x, y)
    route = Route(route.epochs, route.points, route.shares, route.directions, plane)
    if path is not None:
        figure, (axes,) = style.figure(1, 1, width=5.6, height=4.6, title=title)
        draw_route(axes, route)
        style.save(figure, path)
    return route


def plane_of(model: Module, snapshots: Sequence[Snapshot]) -> Route:
    """The plane and the path in it, from the singular values of the ways w_i − w (k, all weights), without the loss.

    The greatest coordinate along each direction is positive.
    """
    if len(snapshots) < 2:
        raise DataError(
            expected="two snapshots of the weights or more",
            got=str(len(snapshots)),
            where="trajectory",
            fix="Train with callbacks=[nnx.train.Snapshots()].",
        )
    backend = backend_of(model)
    home = {name: backend.to_numpy(w) for name, w in model.parameters().items()}
    ways = np.stack([_way(one, home) for one in snapshots])
    values, vectors = np.linalg.eigh(ways @ ways.T)  # k × k: the ways are few and long
    order = np.argsort(values)[::-1][:2]
    lengths = np.sqrt(np.maximum(values[order], 0.0))
    total = float(np.sum(np.maximum(values, 0.0)))
    found, coordinates = [], []
    for column, length in zip(order, lengths):
        known = length > 1e-7 * np.sqrt(total) > 0
        unit = vectors[:, column] @ ways / length if known else np.zeros(ways.shape[1])
        along = ways @ unit
        sign = 1.0 if along[np.argmax(np.abs(along))] >= 0 else -1.0
        found.append(_parts(sign * unit, home))
        coordinates.append(sign * along)
    shares = lengths**2 / total if total > 0 else np.zeros(2)
    return Route(
        np.asarray([one.epoch for one in snapshots]), np.stack(coordinates, axis=1), shares, (found[0], found[1])
    )


def _way(one: Snapshot, home: Mapping[str, Host]) -> Host:
    if {name: tuple(w.shape) for name, w in one.weights.items()} != {name: w.shape for name, w in home.items()}:
        raise DataError(
            "the snapshots are of another model",
            expected=", ".join(home)[:80],
            got=", ".join(one.weights)[:80],
            where=f"trajectory, epoch {one.epoch}",
            fix="Give the snapshots of the training that this model went through.",
        )
    ways = [
        np.asarray(backends.of(w).to_numpy(w), dtype=np.float64).reshape(-1) - home[name].astype(np.float64).reshape(-1)
        for name, w in sorted(one.weights.items())
    ]
    way = np.concatenate(ways)
    if not np.all(np.isfinite(way)):
        raise DataError("a weight is not a finite number", where=f"trajectory, epoch {one.epoch}", fix="Leave it out.")
    return way


def _parts(vector: Host, home: Mapping[str, Host]) -> dict[str, Host]:
    """A long vector as arrays by path."""
    parts, start = {}, 0
    for name in sorted(home):
        size = home[name].size
        parts[name] = vector[start : start + size].reshape(home[name].shape)
        start += size
    return parts


def _around(values: Host, route: Route, points: int, margin: float) -> Host:
    """Where to look along one axis: the path with a margin; never less than a fifth of the longer side."""
    if points < 2 or margin < 0:
        raise ConfigError(
            expected="2 points or more, and a margin ≥ 0",
            got=f"{points}, {margin}",
            where="trajectory",
            fix="Leave them out: 25 and 0.25.",
        )
    longest = float(np.max(np.ptp(np.concatenate([route.points, np.zeros((1, 2))]), axis=0))) or 1.0
    low, high = float(values.min()), float(values.max())
    spare = margin * max(high - low, 0.2 * longest) + max(0.2 * longest - (high - low), 0.0) / 2
    return np.linspace(low - spare, high + spare, points)


def draw_route(axes: Any, route: Route) -> None:
    """The path on the contours, its start as a circle, the trained weights as a star."""
    labels = [
        f"principal direction {i + 1}, {share:.0%} of the squared way".replace("%", " %")
        for i, share in enumerate(route.shares)
    ]
    if route.plane is not None:
        draw(axes, route.plane, (labels[0], labels[1]))
    x, y = route.points.T
    axes.plot(x, y, "-", color="white", linewidth=3.2)
    axes.plot(x, y, "-o", color="black", linewidth=1.3, markersize=4, markeredgecolor="white", markeredgewidth=0.6)
    axes.plot(x[:1], y[:1], "o", color="white", markersize=9, markeredgecolor="black", label=f"epoch {route.epochs[0]}")
    axes.plot([0.0], [0.0], "*", color="white", markersize=13, markeredgecolor="black", label="the trained weights")
    axes.legend(fontsize="small", framealpha=0.9, handlelength=1.0)
