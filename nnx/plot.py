"""Pictures of a training. They need matplotlib (extra ``plot``), which is imported when one is drawn."""

import logging
import os
from collections.abc import Sequence
from typing import Any

from nnx.errors import BackendUnavailable, DataError
from nnx.train.record import Record

TRAIN, VAL = "#0072B2", "#D55E00"  # blue and vermilion: told apart by colour-blind readers, and in grey
NAMES = {"accuracy": "accuracy (share of rows)", "r2": "R²", "mae": "mean absolute error (unit of the target)"}


class PlotUnavailable(BackendUnavailable):
    """matplotlib is not installed."""


def curves(history: Sequence[Record], path: str | os.PathLike[str], *, title: str = "") -> None:
    """Loss and metric over the epochs, training solid and validation dashed, as a PNG, SVG or PDF by the name of ``path``.

    ``history`` is ``run.history``, or the lines of a metrics.jsonl; an epoch whose value is None (it was not finite) is a gap.

    Errors: ``PlotUnavailable`` without matplotlib, ``DataError`` without an epoch.
    """
    if not history:
        raise DataError("no epoch to draw", where="curves", fix="Train for an epoch first.")
    figure_of = _matplotlib()
    metrics = [name for name in ("accuracy", "r2", "mae") if f"val_{name}" in history[0] or name in history[0]]
    panels = ["loss", *metrics[:1]]
    figure = figure_of(figsize=(4.4 * len(panels), 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        _panel(axes, history, name)
    if title:
        figure.suptitle(title, fontsize="medium")
    figure.savefig(path, dpi=150)


def _panel(axes: Any, history: Sequence[Record], name: str) -> None:
    epochs = [record["epoch"] for record in history]
    mark = "o" if len(epochs) <= 40 else ""
    for key, label, colour, line in (
        (name, "training, as it learns", TRAIN, "-"),
        (f"val_{name}", "validation", VAL, "--"),
    ):
        if key in history[0]:
            values = [float("nan") if record[key] is None else record[key] for record in history]
            axes.plot(epochs, values, line, color=colour, label=label, marker=mark, markersize=3, linewidth=1.5)
    axes.set_xlabel("epoch")
    axes.set_ylabel(NAMES.get(name, name))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)


def _matplotlib() -> Any:
    """The Figure class: figures of their own, no window, no global state."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it reports at length that it makes a cache
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PlotUnavailable(
            "matplotlib is not installed", fix='Run: python -m pip install "nnx-array[plot]"'
        ) from None
    return Figure
