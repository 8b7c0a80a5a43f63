"""A search of hyper-parameters: all curves in one picture, and how much each parameter matters."""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnx.errors import DataError
from nnx.plot import style

OTHERS = "#999999"
MISSING = {"accuracy": "share of {}rows that are wrong", "r2": "1 − {}R²"}


def trials(
    curves: Mapping[str, Mapping[int, float]],
    path: str | os.PathLike[str],
    *,
    name: str,
    best: str = "",
    first: str = "first",
    maximise: bool = True,
) -> None:
    """The curve of every trial in grey, with the best and the settings as given above them, on a logarithmic axis.

    What is maximised is drawn as what is missing to 1, for there the good ones differ: the share of rows that are
    wrong, 1 − R².

    ``curves`` has for each trial its value in each epoch; ``best`` and ``first`` name two of them.

    Errors: ``PlotUnavailable`` without matplotlib, ``DataError`` without a curve.
    """
    if not any(curves.values()):
        raise DataError("no curve to draw", where="trials", fix="Give train(trial)'s fit callbacks=trial.callbacks.")
    figure, (axes,) = style.figure(width=6.4, height=4.0)
    drawn = {
        trial: {epoch: _height(value, maximise) for epoch, value in curve.items()}
        for trial, curve in curves.items()
        if curve
    }
    others = [trial for trial in drawn if trial not in (best, first)]
    for at, trial in enumerate(others):
        label = f"{len(others)} other trials" if at == 0 else None
        mark = "." if len(drawn[trial]) == 1 else ""
        axes.plot(*_line(drawn[trial]), color=OTHERS, linewidth=0.8, alpha=0.7, label=label, marker=mark)
    named = [(first, "the settings as given", 1), (best, f"the best: trial {best}", 0)]
    for trial, label, number in named if best != first else [(best, "the best: the settings as given", 0)]:
        if trial in drawn:
            look = style.line(number) | {"linewidth": 2.0, "marker": "o" if len(drawn[trial]) == 1 else ""}
            axes.plot(*_line(drawn[trial]), label=label, **look)
    metric = name.removeprefix("val_")
    where = "validation " if name != metric else ""
    style.label(axes, "epoch", MISSING.get(metric, "1 − {}" + metric).format(where) if maximise else f"{where}{metric}")
    _scale(axes)
    style.epochs(axes)
    axes.legend(frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    style.save(figure, path)


def _line(curve: Mapping[int, float]) -> tuple[list[int], list[float]]:
    epochs = sorted(curve)
    return epochs, [curve[epoch] for epoch in epochs]


def _height(value: float, maximise: bool) -> float:
    """What is missing to 1, or the value itself; not a number for what is not finite."""
    return (1.0 - value if maximise else value) if math.isfinite(value) else math.nan


def _scale(axes: Any) -> None:
    """Logarithmic; where something is nought or less, evenly from there to the least that is more."""
    import matplotlib.ticker as tickers

    every = np.concatenate([np.asarray(line.get_ydata()) for line in axes.get_lines()])
    above = every[np.isfinite(every) & (every > 0)]
    if not (every <= 0).any() or not above.size:
        axes.set_yscale("log" if above.size else "linear")
        return
    least = float(above.min())
    axes.set_yscale("symlog", linthresh=least, linscale=0.3, subs=range(2, 10))
    decades = math.log10(float(above.max()) / least)
    axes.yaxis.set_minor_formatter(
        tickers.LogFormatterSciNotation(minor_thresholds=(2, 1) if decades < 2 else (1, 0.4), linthresh=least)
    )


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
    style.label(axes, "importance for being in the best quarter (share of the whole)", "")
    style.rows(axes, [name.replace("_", "-") for name in names])
    axes.set_xlim(0, max(shares.values()) * 1.15)
    axes.grid(axis="y", visible=False)
    style.save(figure, path)
