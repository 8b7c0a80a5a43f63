"""A search of hyper-parameters: all curves in one picture, and how much each parameter matters."""

import math
import os
from collections.abc import Mapping

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

    What is maximised is drawn as what is missing to 1, for there the good ones differ: the share of rows that are wrong, 1 − R².

    ``curves`` has for each trial its value in each epoch; ``best`` and ``first`` name two of them.

    Errors: ``PlotUnavailable`` without matplotlib, ``DataError`` without a curve.
    """
    if not any(curves.values()):
        raise DataError("no curve to draw", where="trials", fix="Give train(trial)'s fit callbacks=trial.callbacks.")
    figure, (axes,) = style.figure(width=6.4, height=4.0)
    drawn = {trial: _heights(curve, curves, maximise) for trial, curve in curves.items() if curve}
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
    axes.set_yscale("log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    style.save(figure, path)


def _line(curve: Mapping[int, float]) -> tuple[list[int], list[float]]:
    epochs = sorted(curve)
    return epochs, [curve[epoch] for epoch in epochs]


def _heights(curve: Mapping[int, float], curves: Mapping[str, Mapping[int, float]], maximise: bool) -> dict[int, float]:
    """What is drawn on the logarithmic axis: the loss, or what is missing to 1; where nothing is missing, half of the least."""
    turned = {epoch: 1.0 - value if maximise else value for epoch, value in curve.items()}
    every = [1.0 - value if maximise else value for other in curves.values() for value in other.values()]
    least = min((value for value in every if math.isfinite(value) and value > 0), default=1.0)
    return {epoch: max(value, least / 2) if math.isfinite(value) else math.nan for epoch, value in turned.items()}


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
