"""How far each parameter moves in a step, for its size: ‖Δw‖/‖w‖ over a training."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx.errors import DataError
from nnx.plot import style
from nnx.plot.activations import blank
from nnx.plot.table import Host, Numbers

LOW, HIGH = 1e-4, 1e-1
"""Outside of this the doctor warns (T3); near 1e-3 is the usual advice."""


@dataclass(frozen=True)
class Ratios(Numbers):
    """‖Δw‖/‖w‖ for each epoch and parameter: ``values`` (epochs, parameters); NaN where the weight is 0 or was not measured."""

    epochs: Host
    paths: tuple[str, ...]
    values: Host

    def columns(self) -> dict[str, Any]:
        """A row for each epoch, a column for each parameter."""
        columns = zip(self.paths, self.values.T.tolist())
        return {"epoch": self.epochs} | {path: [blank(None if np.isnan(v) else v) for v in c] for path, c in columns}


def ratios(
    records: Sequence[Mapping[str, Any]], path: str | os.PathLike[str] | None = None, *, title: str = ""
) -> Ratios:
    """The update-to-weight ratio of each parameter over the epochs, from the ``records`` of ``nnx.train.Statistics``.

    Up to seven are lines; more are rows of a map from blue to yellow. A healthy step is about a thousandth of the
    weight: 1e-4 and 1e-1, where the doctor begins to warn, are marked. Parameters that begin at 0 (biases) have no
    ratio at first. Without ``path`` nothing is drawn.

    Errors: ``DataError`` without a record, ``PlotUnavailable`` without matplotlib.
    """
    style.ready(path)
    if not records:
        raise DataError(
            "no statistics of the training",
            where="ratios",
            fix="Train with callbacks=[nnx.train.Statistics()].",
        )
    paths = tuple(records[-1]["parameters"])
    values = np.asarray([[_ratio(record["parameters"].get(name, {})) for name in paths] for record in records])
    found = Ratios(np.asarray([record["epoch"] for record in records]), paths, values.reshape(len(records), len(paths)))
    if path is not None:
        _draw(found, path, title)
    return found


def _ratio(one: Mapping[str, Any]) -> float:
    update, weight = one.get("update"), one.get("weight")
    return float("nan") if update is None or not weight else float(update) / float(weight)


def _draw(found: Ratios, path: Any, title: str) -> None:
    shown = np.where(found.values > 0, found.values, np.nan)
    if len(found.paths) <= len(style.COLOURS):
        figure, (axes,) = style.figure(1, 1, width=6.4, height=3.6, title=title)
        for number, name in enumerate(found.paths):
            axes.plot(found.epochs, shown[:, number], **style.line(number), markersize=3.5, label=name)
        for bound in (LOW, 1e-3, HIGH):
            axes.axhline(bound, color="0.5", linewidth=0.8, linestyle=":" if bound == 1e-3 else "-")
        style.decades(axes.yaxis)
        style.label(axes, "epoch", "‖Δw‖ / ‖w‖ of a step")
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    else:
        figure, (axes,) = style.figure(1, 1, width=6.4, height=max(2.6, 0.26 * len(found.paths) + 1.2), title=title)
        _map(axes, found, shown)
    style.epochs(axes)
    style.save(figure, path)


def _map(axes: Any, found: Ratios, shown: Host) -> None:
    from matplotlib.colors import LogNorm

    finite = shown[np.isfinite(shown)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (LOW, HIGH)
    norm = LogNorm(min(low, LOW), max(high, HIGH))
    edges = np.append(found.epochs - 0.5, found.epochs[-1] + 0.5)
    image = axes.pcolormesh(
        edges, np.arange(len(found.paths) + 1) - 0.5, np.ma.masked_invalid(shown.T), cmap=style.MAP, norm=norm
    )
    bar = axes.figure.colorbar(image, ax=axes, label="‖Δw‖ / ‖w‖ of a step")
    for bound in (LOW, HIGH):
        bar.ax.axhline(bound, color="white", linewidth=1.5)
    style.rows(axes, found.paths)
    axes.set_ylim(len(found.paths) - 0.5, -0.5)
    style.label(axes, "epoch", "parameter", grid=False)
