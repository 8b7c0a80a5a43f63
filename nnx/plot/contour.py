"""Contours: a function of two numbers as lines of equal value, with paths upon it."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnx.errors import ConfigError
from nnx.plot import style
from nnx.plot.landscape import Plane
from nnx.plot.table import Host

LEVELS = 13


def contour(
    f: Callable[[Host, Host], Any],
    path: str | os.PathLike[str] | None = None,
    *,
    x: tuple[float, float] = (-2.0, 2.0),
    y: tuple[float, float] = (-2.0, 2.0),
    points: int = 101,
    paths: Mapping[str, Any] | None = None,
    labels: tuple[str, str] = ("x", "y"),
    name: str = "f(x, y)",
    solid: bool = False,
    title: str = "",
) -> Plane:
    """A function of two numbers over a rectangle, with the paths of walks upon it; ``solid`` also shows it as a hill.

    ``f`` takes two host arrays of one shape (n, n) and gives the values in that shape. ``paths``: by name, points (k, 2).
    Without ``path`` nothing is drawn; the numbers come back in both cases.

    Errors: ``ConfigError`` for a function that gives another shape, ``PlotUnavailable`` without matplotlib.

    >>> contour(lambda x, y: x**2 + 10 * y**2, points=3).values
    array([[44., 40., 44.],
           [ 4.,  0.,  4.],
           [44., 40., 44.]])
    """
    style.ready(path)
    at_x, at_y = np.linspace(*x, points), np.linspace(*y, points)
    grid = np.meshgrid(at_x, at_y)
    values = np.asarray(f(*grid), dtype=np.float64)
    if values.shape != grid[0].shape:
        raise ConfigError(
            expected=f"f to give values of shape {grid[0].shape}",
            got=str(values.shape),
            where="contour",
            fix="Write f for arrays: lambda x, y: x**2 + y**2.",
        )
    plane = Plane(at_x, at_y, values, name)
    walks = {label: np.asarray(walk, dtype=np.float64) for label, walk in (paths or {}).items()}
    for label, walk in walks.items():
        if walk.ndim != 2 or walk.shape[1] != 2:
            raise ConfigError(
                expected="paths of shape (k, 2)",
                got=f"{label}: {walk.shape}",
                where="contour",
                fix="Give a row (x, y) for each point of the walk.",
            )
    if path is not None:
        figure, axes = style.figure(1, 1 + solid, width=5.2, height=4.0, title=title, solid=(0,) if solid else ())
        if solid:
            draw_solid(axes[0], plane, labels)
        draw(axes[-1], plane, labels, walks)
        style.save(figure, path)
    return plane


def draw(axes: Any, plane: Plane, labels: tuple[str, str], walks: Mapping[str, Host] | None = None) -> None:
    """The plane on axes: filled bands and their borders; borders alone where walks are drawn upon them."""
    from matplotlib.colors import BoundaryNorm

    steps = levels(plane.values)
    shown = np.ma.masked_invalid(plane.values)
    if steps is not None:
        norm = BoundaryNorm(steps, 256, extend="neither")
        if not walks:
            bands = axes.contourf(plane.x, plane.y, shown, steps, cmap=style.MAP, norm=norm)
            bar = axes.figure.colorbar(bands, ax=axes, ticks=steps, label=plane.name)
            bar.ax.set_yticklabels(shorts(steps))
        colour = {"cmap": style.MAP, "norm": norm} if walks else {"colors": "black"}
        lines = axes.contour(plane.x, plane.y, shown, steps, linewidths=1.0 if walks else 0.4, **colour)
        if walks:
            axes.clabel(lines, steps[1:-1:2], fmt=short, fontsize="x-small", colors="#444444")
    style.label(axes, *labels, grid=False)
    for number, (label, walk) in enumerate((walks or {}).items()):
        look = style.line(number)
        axes.plot(
            walk[:, 0], walk[:, 1], **look, markersize=3.5, markevery=max(len(walk) // 15, 1), label=label, zorder=3
        )
        axes.plot(*walk[-1:].T, marker="*", markersize=11, color=look["color"], markeredgecolor="black", zorder=4)
    if walks:
        axes.set_xlim(plane.x[0], plane.x[-1])
        axes.set_ylim(plane.y[0], plane.y[-1])
        axes.legend(fontsize="small", framealpha=0.9)


def draw_solid(axes: Any, plane: Plane, labels: tuple[str, str]) -> None:
    """The plane as a hill on axes of three dimensions."""
    x, y = np.meshgrid(plane.x, plane.y)
    shown = np.where(np.isfinite(plane.values), plane.values, np.nan)
    net = {"edgecolor": "black", "linewidth": 0.1} if shown.size <= 2500 else {}
    axes.plot_surface(x, y, shown, cmap=style.MAP, rstride=1, cstride=1, **net)
    for side in (axes.xaxis, axes.yaxis, axes.zaxis):
        side.get_major_locator().set_params(nbins=4)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.set_zlabel(plane.name)
    axes.set_box_aspect(None, zoom=0.82)  # its labels stand outside of what the layout knows of


def levels(values: Host, count: int = LEVELS) -> Host | None:
    """Values at which to draw lines, from the least to the greatest, denser below; none for a constant.

    Geometric where all values are positive and the greatest is twenty times the least, else by the third power.

    >>> levels(np.asarray([1.0, 16.0, 100.0]), 3).round(1)
    array([  1.,  10., 100.])
    >>> levels(np.asarray([0.0, 8.0]), 3)
    array([0., 1., 8.])
    """
    finite = values[np.isfinite(values)]
    if not finite.size or not finite.min() < finite.max():
        return None
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and high > 20 * low:
        found = np.geomspace(low, high, count)
    else:
        found = low + (high - low) * np.linspace(0.0, 1.0, count) ** 3
    found[0], found[-1] = low, high
    return found if bool(np.all(np.diff(found) > 0)) else None


def short(value: float, digits: int = 3) -> str:
    """A level in three digits.

    >>> short(0.012345), short(1057.3), short(1234567.0)
    ('0.0123', '1057', '1.23e+06')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 1e5 and digits < 6 else f"{value:.{digits}g}"


def shorts(levels: Host) -> list[str]:
    """Levels in as many digits as tell them apart, eight at most.

    >>> shorts(np.asarray([1.95, 1.951, 1.96]))
    ['1.95', '1.951', '1.96']
    """
    for digits in range(3, 9):
        texts = [short(level, digits) for level in levels]
        if len(set(texts)) == len(texts):
            break
    return texts
