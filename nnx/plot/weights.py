"""The weights themselves: a histogram for each parameter, and the first layer as images where the inputs are images."""

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx.errors import ShapeError, StateError
from nnx.layers import Module
from nnx.plot import style
from nnx.plot.table import Host, Numbers
from nnx.train.evaluation import backend_of
from nnx.train.given import check_model

MOST, PANELS, IMAGES, ACROSS = 40, 24, 64, 4


@dataclass(frozen=True)
class Weights(Numbers):
    """For each parameter: mean, standard deviation, and a histogram: ``edges`` (bins + 1,) and ``counts`` (bins,); √n
    bins for n values, 40 at most.

    ``images`` (units, H, W): what each unit of the first layer weighs its pixels with, the channels averaged; None without.
    """

    paths: tuple[str, ...]
    mean: Host
    std: Host
    edges: tuple[Host, ...]
    counts: tuple[Host, ...]
    images: Host | None = None

    def columns(self) -> dict[str, Any]:
        """A row for each bar of each histogram."""
        return {
            "path": [path for path, counts in zip(self.paths, self.counts) for _ in counts],
            "low": np.concatenate([edges[:-1] for edges in self.edges]),
            "high": np.concatenate([edges[1:] for edges in self.edges]),
            "count": np.concatenate(self.counts),
        }


def weights(
    model: Module,
    path: str | os.PathLike[str] | None = None,
    *,
    image_shape: tuple[int, int, int] | None = None,
    title: str = "",
) -> Weights:
    """A histogram of every parameter that has more than one value. With ``image_shape`` (H, W, C), also the first layer as images.

    Up to 24 histograms are drawn and up to 64 images: those of the units with the largest weights; the numbers have all.
    The images share one scale, with 0 in the middle.

    Errors: ``ShapeError`` if the first weight (H·W·C, units) is not of that shape, ``StateError`` without weights,
    ``PlotUnavailable`` without matplotlib.
    """
    style.ready(path)
    check_model(model, "weights")
    backend = backend_of(model)
    hosts = {name: np.asarray(backend.to_numpy(w), dtype=np.float64) for name, w in model.parameters().items()}
    arrays = {name: w for name, w in hosts.items() if w.size > 1}
    if not arrays:
        raise StateError(expected="a model with trainable weights", got="none", where="weights", fix="Unfreeze some.")
    counts, edges = zip(*(_histogram(w) for w in arrays.values()))
    means, stds = ([f(w) for w in arrays.values()] for f in (np.mean, np.std))
    images = None if image_shape is None else _images(arrays, image_shape)
    found = Weights(tuple(arrays), np.asarray(means), np.asarray(stds), edges, counts, images)
    if path is not None:
        _draw(found, path, title)
    return found


def _histogram(w: Host) -> tuple[Host, Host]:
    finite = w[np.isfinite(w)]
    counts, edges = np.histogram(finite, bins=max(4, min(MOST, round(math.sqrt(w.size)))))
    return counts, edges


def _images(arrays: dict[str, Host], shape: tuple[int, int, int]) -> Host:
    name, first = next(((name, w) for name, w in arrays.items() if w.ndim >= 2), ("", np.zeros((0, 0))))
    if len(shape) != 3 or first.ndim != 2 or first.shape[0] != math.prod(shape):
        raise ShapeError(
            expected=f"a first weight of shape ({math.prod(shape)}, units) for images of {shape}",
            got=f"{name} of {first.shape}" if name else "none",
            where="weights",
            fix="Leave image_shape away.",
        )
    return np.asarray(first.T.reshape(-1, *shape).mean(axis=3))


def _draw(found: Weights, path: Any, title: str) -> None:
    shown = min(len(found.paths), PANELS)
    across = min(ACROSS, shown)
    down = -(-shown // across)
    extra = found.images is not None
    figure = style.figure_class()(
        figsize=(2.5 * across + 5.2 * extra, max(2.2 * down, 4.2 * extra)), layout="constrained"
    )
    if title or shown < len(found.paths):
        figure.suptitle(
            f"{title} (the first {shown} of {len(found.paths)} parameters)" if shown < len(found.paths) else title,
            fontsize="medium",
        )
    parts = figure.subfigures(1, 1 + extra, squeeze=False, width_ratios=[2.5 * across, 5.2][: 1 + extra])[0]
    for number, axes in enumerate(parts[0].subplots(down, across, squeeze=False).flat):
        if number >= shown:
            axes.set_axis_off()
            continue
        axes.stairs(
            found.counts[number], found.edges[number], fill=True, facecolor="#56B4E9", edgecolor="black", linewidth=0.6
        )
        if found.edges[number][0] < 0 < found.edges[number][-1]:
            axes.axvline(0.0, color="black", linewidth=0.6)
        name = style.shortened([found.paths[number]], 24)[0]
        axes.set_title(f"{name}\nmean {found.mean[number]:.2g}, std {found.std[number]:.2g}", fontsize="x-small")
        axes.tick_params(labelsize="x-small")
        axes.locator_params(axis="x", nbins=4)
        axes.set_xlabel("value", fontsize="x-small")
        axes.set_ylabel("entries", fontsize="x-small")
        axes.spines[["top", "right"]].set_visible(False)
    if found.images is not None:
        _draw_images(parts[1], found.images, found.paths)
    style.save(figure, path)


def _draw_images(part: Any, images: Host, paths: tuple[str, ...]) -> None:
    largest = np.argsort(-np.sum(images**2, axis=(1, 2)), kind="stable")[:IMAGES]
    chosen = images[np.sort(largest)]
    count, h, w = chosen.shape
    across = math.ceil(math.sqrt(count))
    sheet = np.full((-(-count // across) * (h + 1) + 1, across * (w + 1) + 1), np.nan)
    for number, image in enumerate(chosen):
        row, column = (number // across) * (h + 1) + 1, (number % across) * (w + 1) + 1
        sheet[row : row + h, column : column + w] = image
    bound = float(np.max(np.abs(chosen))) or 1.0
    axes = part.subplots()
    shown = axes.imshow(sheet, cmap=style.GREYS, vmin=-bound, vmax=bound, interpolation="nearest")
    part.colorbar(shown, ax=axes, label="weight", shrink=0.85)
    what = f"{count} of the {len(images)}" if count < len(images) else f"the {count}"
    axes.set_title(f"{what} units of the first layer, as images", fontsize="small")
    style.label(axes, f"pixels, {w} across a unit", f"pixels, {h} down a unit", grid=False)
