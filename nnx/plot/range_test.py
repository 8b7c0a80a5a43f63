"""The range test: the loss over a learning rate that rises step by step."""

import os
from dataclasses import dataclass
from typing import Any

from nnx.errors import DataError
from nnx.plot import style
from nnx.plot.table import Numbers
from nnx.train import RangeTest


@dataclass(frozen=True)
class Range(Numbers):
    """The loss before the step at each rate, as measured and smoothed."""

    found: RangeTest

    def columns(self) -> dict[str, Any]:
        """A row for each rate."""
        return {"learning_rate": self.found.rates, "loss": self.found.losses, "smooth": self.found.smooth}


def range_test(found: RangeTest, path: str | os.PathLike[str] | None = None, *, title: str = "") -> Range:
    """The loss at each rate of ``nnx.lr_find``, points as measured and a line smoothed, with the two rates that follow from it.

    Without ``path`` nothing is drawn.

    Errors: ``DataError`` without a finite loss, ``PlotUnavailable`` without matplotlib.
    """
    style.ready(path)
    if not found.rates:
        raise DataError("no loss to draw", where="range_test", fix="Look at the model's loss first: nnx.doctor.")
    if path is not None:
        _draw(found, path, title)
    return Range(found)


def _draw(found: RangeTest, path: str | os.PathLike[str], title: str) -> None:
    figure, (axes,) = style.figure(width=5.2, title=title)
    axes.plot(found.rates, found.losses, ".", color="0.6", markersize=3, label="measured")
    axes.plot(found.rates, found.smooth, color=style.TRAIN, linewidth=1.5, label="smoothed")
    for rate, name, line in (
        (found.steepest, "where it falls fastest", "--"),
        (found.tenth, "a tenth of where it is lowest", ":"),
    ):
        if rate is not None:
            axes.axvline(rate, color=style.VAL, linestyle=line, linewidth=1.5, label=f"{name}, {rate:.2g}")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.15 * max(found.smooth[:10]))
    style.label(axes, "learning rate", "loss on the same rows")
    axes.legend(fontsize="small", loc="lower left", framealpha=0.9, edgecolor="none")  # lines may pass behind it
    style.save(figure, path)
