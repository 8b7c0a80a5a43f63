"""Decision regions: what a model says of every point of a plane through its inputs."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx.data import Dataset
from nnx.errors import ConfigError, DataError
from nnx.layers import Module
from nnx.plot import style
from nnx.plot.confusion import taken
from nnx.plot.landscape import some
from nnx.plot.table import Host, Numbers
from nnx.train import predict
from nnx.train.given import check_data, check_model

MOST = 5000
"""Rows that the principal components are computed from."""

NAMED, LEAST = 20, 0.005
"""Classes that are named beside the picture, at most; the share of the plane that a region with its name on it has, at least."""


@dataclass(frozen=True)
class Regions(Numbers):
    """What a model says over a plane: ``x`` (n,), ``y`` (m,), ``values`` (m, n): class numbers, or the first real output.

    ``points`` (k, 2) are the rows in that plane, ``targets`` (k,) theirs; ``axes`` says what the plane is. ``origin`` and
    ``directions`` (2, features) place it in the space of the inputs.
    """

    x: Host
    y: Host
    values: Host
    points: Host
    targets: Host | None
    axes: tuple[str, str]
    origin: Host
    directions: Host
    classes: tuple[str, ...] | None = None

    def columns(self) -> dict[str, Any]:
        """A row for each point of the plane."""
        x, y = np.meshgrid(self.x, self.y)
        flat = self.values.reshape(-1)
        said = flat if self.classes is None else [self.classes[int(label)] for label in flat]
        return {"x": x.reshape(-1), "y": y.reshape(-1), "value" if self.classes is None else "class": said}


def boundary(
    model: Module,
    data: Dataset,
    path: str | os.PathLike[str] | None = None,
    *,
    points: int = 200,
    margin: float = 0.15,
    rows: int = 500,
    title: str = "",
) -> Regions:
    """The decision regions of a model, with up to ``rows`` rows of ``data`` upon them; for real targets, its first output.

    With two features the plane is theirs. With more it goes through the mean of the rows along the first two principal
    components of the standardised features, and the rows are projected on it: then the colour of a row may differ from
    the region beneath it although the model is right. Without ``path`` nothing is drawn.

    Errors: ``DataError`` for fewer than two features, ``PlotUnavailable`` without matplotlib.
    """
    style.ready(path)
    check_model(model, "boundary")
    check_data(data, "boundary")
    if points < 2 or margin < 0:
        raise ConfigError(
            expected="2 points or more, and a margin ≥ 0",
            got=f"{points}, {margin}",
            where="boundary",
            fix="Leave them out: 200 and 0.15.",
        )
    plane = _Plane(data)
    shown = some(data, rows)
    coordinates = plane.coordinates(shown)
    x, y = (_side(part, points, margin) for part in coordinates.T)
    grid = np.stack([part.reshape(-1) for part in np.meshgrid(x, y)], axis=1)
    inputs = (plane.origin + grid @ plane.directions).reshape(-1, *data.x.shape[1:])
    outputs = np.asarray(predict(model, inputs.astype(data.x.dtype if data.x.dtype.kind == "f" else np.float32)))
    outputs = outputs.reshape(len(outputs), -1)
    real = data.task != "classification"
    classes = None if real else data.classes
    said = outputs[:, 0].astype(np.float64) if real else taken(outputs, classes, "boundary")
    targets = None if shown.y is None else shown.y.reshape(len(shown), -1)[:, 0]
    found = Regions(
        x, y, said.reshape(points, points), coordinates, targets, plane.names, plane.origin, plane.directions, classes
    )
    if path is not None:
        figure, (axes,) = style.figure(1, 1, width=5.6, height=4.4, title=title)
        name, several = data.target_name or "target", classes is None and outputs.shape[1] > 1
        draw_regions(axes, found, f"{name}, first of {outputs.shape[1]}" if several else name)
        style.save(figure, path)
    return found


class _Plane:
    """The plane of two features, or of two principal components of the standardised ones."""

    def __init__(self, data: Dataset) -> None:
        features = int(np.prod(data.x.shape[1:]))
        if features < 2:
            raise DataError(
                expected="two features or more",
                got="one",
                where="boundary",
                fix="Draw y over x yourself: a line is no plane.",
            )
        if features == 2:
            names = data.feature_names or ("feature 1", "feature 2")
            self.names = (names[0], names[1])
            self.origin, self.directions, self._project = np.zeros(2), np.eye(2), np.eye(2)
            return
        flat = _flat(some(data, MOST))
        self.origin, std = flat.mean(axis=0), flat.std(axis=0)
        std = np.where(std > 0, std, 1.0)
        _, lengths, v = np.linalg.svd((flat - self.origin) / std, full_matrices=False)
        v = np.concatenate([v, np.zeros((2, features))])[:2]  # one row alone has no second direction
        v = v * np.where(v[np.arange(2), np.abs(v).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
        shares = np.append(lengths, 0.0)[:2] ** 2 / max(float(np.sum(lengths**2)), 1e-300)
        self.names = tuple(
            f"principal component {i + 1} ({share:.0%} of the variance)".replace("%", " %")
            for i, share in enumerate(shares)
        )  # type: ignore[assignment]
        self.directions, self._project = v * std, (v / std).T

    def coordinates(self, data: Dataset) -> Host:
        """The rows in the plane (k, 2)."""
        return (_flat(data) - self.origin) @ self._project


def _flat(data: Dataset) -> Host:
    return np.asarray(data.x, dtype=np.float64).reshape(len(data), -1)


def _side(values: Host, points: int, margin: float) -> Host:
    low, high = float(values.min()), float(values.max())
    spare = margin * (high - low) or 1.0
    return np.linspace(low - spare, high + spare, points)


def draw_regions(axes: Any, found: Regions, target: str) -> None:
    """The regions in pale colours with their borders, the rows with a colour and a marker for each class."""
    if found.classes is None:
        _draw_real(axes, found, target)
    else:
        _draw_classes(axes, found, found.classes)
    style.label(axes, *style.shortened(found.axes, 48), grid=False)
    axes.set_xlim(found.x[0], found.x[-1])
    axes.set_ylim(found.y[0], found.y[-1])


def _draw_classes(axes: Any, found: Regions, classes: tuple[str, ...]) -> None:
    from matplotlib.colors import ListedColormap, to_rgb

    looks, names = [style.line(number) for number in range(len(classes))], style.shortened(classes, 20)
    pale = ListedColormap([[1 - 0.3 * (1 - c) for c in to_rgb(look["color"])] for look in looks])
    axes.pcolormesh(found.x, found.y, found.values, cmap=pale, vmin=-0.5, vmax=len(classes) - 0.5, rasterized=True)
    for label, name in enumerate(names):
        here = found.values == label
        if here.any() and not here.all():
            axes.contour(found.x, found.y, here.astype(np.float64), [0.5], colors="black", linewidths=0.7)
        if np.mean(here) > LEAST and len(classes) > len(style.COLOURS):
            row, column = _middle(here)
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.7}
            axes.text(found.x[column], found.y[row], name, ha="center", va="center", bbox=box, zorder=5, clip_on=True)
        if found.targets is not None:
            points, look = found.points[found.targets == label], looks[label]
            axes.plot(
                *points.T,
                look["marker"],
                color=look["color"],
                markersize=4.5,
                markeredgecolor="white",
                markeredgewidth=0.5,
                label=name,
            )
    if found.targets is not None and len(classes) <= NAMED:
        axes.legend(
            fontsize="small",
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            borderaxespad=0.0,
            title="true class",
            frameon=False,
        )


def _draw_real(axes: Any, found: Regions, target: str) -> None:
    from matplotlib.ticker import MaxNLocator

    both = [found.values.reshape(-1)] + ([] if found.targets is None else [found.targets])
    low, high = (float(f(np.concatenate(both))) for f in (np.min, np.max))
    levels = MaxNLocator(12).tick_values(low, high)
    bands = axes.contourf(found.x, found.y, found.values, levels, cmap=style.MAP)
    axes.figure.colorbar(bands, ax=axes, label=f"{style.shortened([target], 20)[0]} (background: the model's)")
    if found.targets is not None:
        axes.scatter(
            *found.points.T,
            c=found.targets,
            cmap=style.MAP,
            vmin=levels[0],
            vmax=levels[-1],
            s=18,
            edgecolors="white",
            linewidths=0.6,
        )


def _middle(here: Host) -> tuple[int, int]:
    """The cell of a region that is nearest to its centre of mass."""
    cells = np.argwhere(here)
    row, column = cells[np.argmin(np.sum((cells - cells.mean(axis=0)) ** 2, axis=1))]
    return int(row), int(column)
