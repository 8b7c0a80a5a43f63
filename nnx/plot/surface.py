"""Slices of the loss surface along random directions through the weights."""

import os
from collections.abc import Callable, Sequence

import numpy as np

from nnx.data import Dataset
from nnx.errors import ConfigError
from nnx.layers import Module
from nnx.plot import style
from nnx.plot.contour import draw, draw_solid
from nnx.plot.landscape import Landscape, Lines, Plane, Weights, over_lines, over_plane, random_directions
from nnx.typing import Array

LINES, FINE, COARSE = 3, 51, 25
"""Directions of one dimension, and the points along a line and along each side of a plane."""
UNIT = "direction {} (1 = the length of the weights)"


def surface(
    model: Module,
    data: Dataset,
    path: str | os.PathLike[str] | None = None,
    *,
    loss: str | Callable[..., Array] | None = None,
    dimensions: int = 2,
    extent: float = 1.0,
    points: int | None = None,
    rows: int = 1000,
    seed: int = 0,
    directions: Sequence[Weights] | None = None,
    solid: bool = False,
    title: str = "",
) -> Plane | Lines:
    """The loss of a model around its weights w: f(a, b) = L(w + a d₁ + b d₂), or along lines, f(a) = L(w + a d).

    ``d`` are random directions, filter-normalised (:func:`nnx.plot.random_directions`), or ``directions``: arrays by
    path, on the model's backend. a and b go from −``extent`` to ``extent``. With one dimension there is a line for each
    of three directions: one alone may mislead. ``loss`` is that of the task unless it is named, without penalties; it
    is the mean over at most ``rows`` rows, in inference. ``solid`` also shows the plane as a hill. Without ``path``
    nothing is drawn.

    Errors: ``ConfigError`` for other dimensions, ``DataError`` without targets, ``PlotUnavailable`` without matplotlib.
    Source: Li et al. (2018), arXiv:1712.09913.
    """
    style.ready(path)
    if dimensions not in (1, 2):
        raise ConfigError(
            expected="dimensions 1 or 2", got=repr(dimensions), where="surface", fix="2 is a plane, 1 are lines."
        )
    points = points or (FINE if dimensions == 1 else COARSE)
    if points < 2 or not extent > 0:
        raise ConfigError(
            expected="2 points or more, and an extent > 0",
            got=f"{points} and {extent}",
            where="surface",
            fix="Leave them out, or write extent=1.0.",
        )
    landscape = Landscape(model, data, loss=loss, rows=rows)
    chosen = directions or random_directions(model, LINES if dimensions == 1 else 2, seed=seed)
    at = np.linspace(-extent, extent, points)
    unit = "step along direction {}" if directions else UNIT
    if dimensions == 1:
        lines = over_lines(landscape, chosen, at)
        if path is not None:
            _draw_lines(lines, path, unit, title)
        return lines
    if len(chosen) != 2:
        raise ConfigError(
            expected="two directions for a plane",
            got=str(len(chosen)),
            where="surface",
            fix="Give two, or dimensions=1 for lines.",
        )
    plane = over_plane(landscape, chosen, at, at)
    if path is not None:
        labels = unit.format(1), unit.format(2)
        figure, axes = style.figure(1, 1 + solid, width=5.8, height=4.6, title=title, solid=(0,) if solid else ())
        if solid:
            draw_solid(axes[0], plane, ("direction 1", "direction 2"))
        draw(axes[-1], plane, labels)
        axes[-1].locator_params(nbins=5)
        axes[-1].plot([0.0], [0.0], marker="*", markersize=12, color="white", markeredgecolor="black")
        style.save(figure, path)
    return plane


def _draw_lines(lines: Lines, path: str | os.PathLike[str], unit: str, title: str) -> None:
    figure, (axes,) = style.figure(1, 1, width=5.4, height=3.6, title=title)
    for number, values in enumerate(lines.values):
        shown = np.where(np.isfinite(values), values, np.nan)
        axes.plot(lines.at, shown, **style.line(number), markersize=4, markevery=5, label=f"direction {number + 1}")
    finite = lines.values[np.isfinite(lines.values)]
    if finite.size and finite.min() > 0 and finite.max() > 50 * finite.min():
        style.decades(axes.yaxis)
    axes.axvline(0.0, color="0.6", linewidth=0.8)
    style.label(axes, unit.format("").replace("  ", " "), "loss")
    axes.legend(frameon=False)
    style.save(figure, path)
