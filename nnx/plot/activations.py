"""What the layers give: its scale over depth, and the units that no longer take part."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx.data import Dataset
from nnx.errors import StateError
from nnx.layers import Module
from nnx.plot import style
from nnx.plot.landscape import some
from nnx.plot.table import Numbers
from nnx.train.callbacks.signals import QUANTILES, Signal, signals
from nnx.train.evaluation import backend_of, input_dtype_of
from nnx.train.given import check_data, check_model

FAR = 20.0
"""Where a layer reaches so many times as far as most, what is beyond most of them is drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Activations(Numbers):
    """What each layer gave, in the order of the calls: see :class:`nnx.train.Signal`."""

    layers: tuple[Signal, ...]

    def columns(self) -> dict[str, list[Any]]:
        """A row for each layer."""
        names = ("path", "kind", "mean", "std")
        found: dict[str, list[Any]] = {name: [getattr(one, name) for one in self.layers] for name in names}
        for place, q in enumerate(QUANTILES):
            found[f"q{round(100 * q):02d}"] = [one.quantiles[place] for one in self.layers]
        return found | {name: [blank(getattr(one, name)) for one in self.layers] for name in ("dead", "saturated")}


def activations(
    model: Module,
    data: Dataset,
    path: str | os.PathLike[str] | None = None,
    *,
    rows: int = 256,
    records: Sequence[Mapping[str, Any]] = (),
    title: str = "",
) -> Activations:
    """The outputs of every layer over depth for up to ``rows`` rows, in inference: 5–95 % and 25–75 % ranges, median, mean.

    Below it the share of dead ReLU units (0 on at least 95 % of the rows) and of saturated tanh and sigmoid values
    (input beyond ±5). With ``records`` of ``nnx.train.Statistics(train)`` the standard deviation of each layer over the
    epochs is drawn too. Without ``path`` nothing is drawn.

    Errors: ``StateError`` for a model in which no layer is called, ``PlotUnavailable`` without matplotlib.
    """
    style.ready(path)
    check_model(model, "activations")
    check_data(data, "activations")
    backend, shown = backend_of(model), some(data, rows)
    with backend.use():
        found = Activations(tuple(signals(model, backend.asarray(shown.x, dtype=input_dtype_of(model)))))
    if not found.layers:
        raise StateError(
            expected="a model made of layers",
            got=f"{type(model).__name__}, which calls none",
            where="activations",
            fix="Use layers such as nnx.Linear and nnx.ReLU as attributes.",
        )
    if path is not None:
        _draw(found, records, path, title)
    return found


def _draw(found: Activations, records: Sequence[Mapping[str, Any]], path: Any, title: str) -> None:
    layers = found.layers
    followed = [record for record in records if record.get("layers")]
    shares = any(one.dead is not None or one.saturated is not None for one in layers)
    panels = 1 + shares + bool(followed)
    height = max(2.8, 0.26 * len(layers) + 1.5)
    figure, axes = style.figure(1, panels, width=4.6, height=height, title=title)
    places = np.arange(len(layers))
    names = [f"{one.path} {one.kind}".strip() for one in layers]
    _ranges(axes[0], layers, places)
    style.rows(axes[0], names)
    style.label(axes[0], "output of the layer", "layer")
    if shares:
        for word, key, look in (("dead ReLU units", "dead", 0), ("saturated tanh or sigmoid values", "saturated", 1)):
            known = [(place, getattr(one, key)) for place, one in zip(places, layers) if getattr(one, key) is not None]
            if known:
                where, values = zip(*known)
                axes[1].barh(
                    where, [100 * v for v in values], height=0.6, color=style.COLOURS[look], hatch=("", "//")[look],
                    edgecolor="black", linewidth=0.6, label=word,
                )  # fmt: skip
                for y, v in known:
                    axes[1].annotate(
                        f"{100 * v:.3g} %",
                        (100 * v, y),
                        xytext=(4, 0),
                        textcoords="offset points",
                        va="center",
                        fontsize="small",
                    )
        style.rows(axes[1], names, labels=False)
        axes[1].set_xlim(0, 115)
        axes[1].set_xticks([0, 25, 50, 75, 100])
        style.label(axes[1], "share (%)", "")
    style.legend_below(figure, *axes[: 1 + shares])
    if followed:
        _over_epochs(axes[-1], followed)
    style.save(figure, path)


def _ranges(axes: Any, layers: Sequence[Signal], places: Any) -> None:
    q = np.asarray([one.quantiles for one in layers]).T
    axes.hlines(places, q[0], q[4], color=style.TRAIN, linewidth=1.5, label="5–95 %")
    axes.hlines(places, q[1], q[3], color=style.TRAIN, linewidth=6, alpha=0.6, label="25–75 %")
    axes.plot(q[2], places, "|", color="black", markersize=10, markeredgewidth=1.6, label="median")
    axes.plot([one.mean for one in layers], places, "D", color=style.VAL, markersize=4.5, label="mean")
    reach = np.max(np.abs(q), axis=0)
    usual = float(np.median(reach))
    far = float(np.max(reach))
    if 0 < FAR * usual < far < np.inf:  # real targets in their own unit: the others would be points
        linear = 10.0 ** np.floor(np.log10(usual))
        axes.set_xscale("symlog", linthresh=linear, linscale=max(1.0, math.log10(far / linear) / 4))
        axes.xaxis.get_major_locator().set_params(numticks=4)


def _over_epochs(axes: Any, records: Sequence[Mapping[str, Any]]) -> None:
    names = list(records[-1]["layers"])
    epochs = [record["epoch"] for record in records]
    for number, name in enumerate(names[: 2 * len(style.COLOURS)]):
        values = [record["layers"].get(name, {}).get("std") for record in records]
        axes.plot(
            epochs, [np.nan if v is None else v for v in values], **style.line(number), markersize=3.5, label=name
        )
    style.label(axes, "epoch", "standard deviation")
    if all(v > 0 for record in records for one in record["layers"].values() if (v := one.get("std")) is not None):
        style.decades(axes.yaxis)
    style.epochs(axes)
    axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def blank(value: float | None) -> float | str:
    """A value for a CSV file: an empty cell for none."""
    return "" if value is None else value
