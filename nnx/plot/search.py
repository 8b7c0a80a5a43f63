"""A search of hyper-parameters: all curves in one picture, and how much each parameter matters."""

import math
import os
from collections.abc import Mapping

from nnx.errors import DataError
from nnx.plot import style
from nnx.plot.curves import NAMES

OTHERS = "#999999"


def trials(
    curves: Mapping[str, Mapping[int, float]],
    path: str | os.PathLike[str],
    *,
    name: str,
    best: str = "",
    first: str = "first",
    maximise: bool = True,
) -> None:
    """The curve of every trial in grey, with the best and the settings as given above them.

    ``curves`` has for each trial its value in each epoch; ``best`` and ``first`` name two of them.

    Errors: ``PlotUnavailable`` without matplotlib, ``DataError`` without a curve.
    """
    if not any(curves.values()):
        raise DataError("no curve to draw", where="trials", fix="Give train(trial)'s fit callbacks=trial.callbacks.")
    figure, (axes,) = style.figure(width=6.4, height=4.0)
    others = [trial for trial in curves if trial not in (best, first)]
    for at, trial in enumerate(others):
        epochs = sorted(curves[trial])
        axes.plot(
            epochs, [curves[trial][epoch] for epoch in epochs], color=OTHERS, linewidth=0.8, alpha=0.7,
            label=f"{len(others)} other trials" if at == 0 else None, marker="." if len(epochs) == 1 else "",
        )  # fmt: skip
    for trial, label, number in ((first, "the settings as given", 1), (best, f"the best: trial {best}", 0)):
        if trial in curves and (trial != first or first != best):
            epochs = sorted(curves[trial])
            look = style.line(number) | {"linewidth": 2.0, "marker": "o" if len(epochs) == 1 else ""}
            axes.plot(epochs, [curves[trial][epoch] for epoch in epochs], label=label, **look)
    if best == first:
        epochs = sorted(curves[best])
        axes.plot(
            epochs, [curves[best][epoch] for epoch in epochs], label="the best: the settings as given", **style.line(0)
        )
    metric = name.removeprefix("val_")
    style.label(
        axes, "epoch", f"validation {NAMES.get(metric, metric)}" if name != metric else NAMES.get(metric, metric)
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    _limits(axes, [value for curve in curves.values() for value in curve.values()], maximise)
    axes.legend(frameon=False, fontsize="small")
    style.save(figure, path)


def _limits(axes: object, values: list[float], maximise: bool) -> None:
    """A loss that was thrown far up by a trial that diverged must not flatten all others."""
    finite = sorted(value for value in values if math.isfinite(value))
    if maximise or not finite:
        return
    middle = finite[len(finite) * 9 // 10]
    if finite[-1] > 4 * middle > 0:
        axes.set_ylim(top=2 * middle)  # type: ignore[attr-defined]


def importances(shares: Mapping[str, float], path: str | os.PathLike[str]) -> None:
    """A bar for each parameter: its share of what decides whether a trial is among the best.

    Errors: ``PlotUnavailable`` without matplotlib, ``DataError`` without a share.
    """
    if not shares:
        raise DataError("no importance to draw", where="importances", fix="Run ten trials or more.")
    figure, (axes,) = style.figure(width=6.4, height=1.2 + 0.35 * len(shares))
    names = list(shares)
    axes.barh(range(len(names)), [shares[name] for name in names], color=style.TRAIN, height=0.6)
    for at, name in enumerate(names):
        axes.text(shares[name], at, f" {shares[name]:.0%}", va="center", fontsize="small")
    style.label(axes, "importance (share of the whole)", "")
    style.rows(axes, [name.replace("_", "-") for name in names])
    axes.set_xlim(0, max(shares.values()) * 1.15)
    axes.grid(axis="y", visible=False)
    style.save(figure, path)
