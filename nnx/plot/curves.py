"""Learning curves: loss and metric over the epochs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx.errors import DataError
from nnx.plot import style
from nnx.plot.activations import blank
from nnx.plot.table import Numbers
from nnx.train.record import Record

NAMES = {"accuracy": "accuracy (share of rows)", "r2": "R²", "mae": "mean absolute error (unit of the target)"}


@dataclass(frozen=True)
class Curves(Numbers):
    """The records of a training."""

    history: tuple[Record, ...]

    def columns(self) -> dict[str, list[Any]]:
        """A row for each epoch; an empty cell where a value was not finite."""
        return {name: [blank(record.get(name)) for record in self.history] for name in self.history[0]}


def curves(history: Sequence[Record], path: str | os.PathLike[str] | None = None, *, title: str = "") -> Curves:
    """Loss and metric over the epochs, training solid and validation dashed, as a PNG, SVG or PDF by the name of ``path``.

    ``history`` is ``run.history``, or the lines of a metrics.jsonl; an epoch whose value is None (it was not finite) is
    a gap. Without ``path`` nothing is drawn.

    Errors: ``PlotUnavailable`` without matplotlib, ``DataError`` without an epoch.
    """
    if not history:
        raise DataError("no epoch to draw", where="curves", fix="Train for an epoch first.")
    style.ready(path)
    if path is not None:
        _draw(history, path, title)
    return Curves(tuple(history))


def _draw(history: Sequence[Record], path: str | os.PathLike[str], title: str) -> None:
    metrics = [name for name in ("accuracy", "r2", "mae") if f"val_{name}" in history[0] or name in history[0]]
    panels = ["loss", *metrics[:1]]
    figure, axes = style.figure(1, len(panels), title=title)
    for panel, name in zip(axes, panels):
        _panel(panel, history, name)
    style.save(figure, path)


def _panel(axes: Any, history: Sequence[Record], name: str) -> None:
    epochs = [record["epoch"] for record in history]
    mark = "o" if len(epochs) <= 40 else ""
    for key, label, colour, line in (
        (name, "training, as it learns", style.TRAIN, "-"),
        (f"val_{name}", "validation", style.VAL, "--"),
    ):
        if key in history[0]:
            values = [float("nan") if record[key] is None else record[key] for record in history]
            axes.plot(epochs, values, line, color=colour, label=label, marker=mark, markersize=3, linewidth=1.5)
    if not any(np.isfinite(line.get_ydata()).any() for line in axes.get_lines()):
        axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center")
    style.label(axes, "epoch", NAMES.get(name, name))
    style.epochs(axes)
    axes.legend(frameon=False)
