"""The gradient of each parameter: how long, and how its entries are spread."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx import losses
from nnx.autodiff import value_and_grad
from nnx.data import Dataset
from nnx.errors import DataError
from nnx.layers import Module, training
from nnx.plot import style
from nnx.plot.landscape import some
from nnx.plot.table import Host, Numbers
from nnx.train.evaluation import backend_of, default_loss, dtype_of, targets
from nnx.train.signals import QUANTILES, together
from nnx.typing import Array


@dataclass(frozen=True)
class Gradients(Numbers):
    """For each parameter: ‖g‖ and ‖w‖, the quantiles of |g| (5, 25, 50, 75, 95 %), and the share of entries that are 0."""

    paths: tuple[str, ...]
    norm: Host
    weight: Host
    quantiles: Host
    zero: Host

    def columns(self) -> dict[str, Any]:
        """A row for each parameter."""
        spread = {f"abs_q{round(100 * q):02d}": self.quantiles[:, i] for i, q in enumerate(QUANTILES)}
        return {"path": list(self.paths), "norm": self.norm, "weight_norm": self.weight, **spread, "zero": self.zero}


def gradients(
    model: Module,
    data: Dataset,
    path: str | os.PathLike[str] | None = None,
    *,
    loss: str | Callable[..., Array] | None = None,
    rows: int = 256,
    seed: int = 0,
    title: str = "",
) -> Gradients:
    """The gradient of the loss with respect to each parameter, over depth, for one batch of up to ``rows`` rows, as in training.

    Dropout draws with ``seed`` and batch norm uses the batch, as in a step; the model is left as it was. Drawn are the norms,
    and the ranges of |g| over the entries on a log scale; zeros are counted in the numbers. Without ``path`` nothing is drawn.

    Errors: ``DataError`` for data without targets, ``PlotUnavailable`` without matplotlib.
    """
    style.ready(path)
    found = measure_gradients(model, data, loss=loss, rows=rows, seed=seed)
    if path is not None:
        _draw(found, path, title)
    return found


def measure_gradients(
    model: Module, data: Dataset, *, loss: str | Callable[..., Array] | None = None, rows: int = 256, seed: int = 0
) -> Gradients:
    """The numbers of :func:`gradients`: measured on the model's backend, brought to the host at once."""
    if data.y is None:
        raise DataError("there are no targets", where="gradients", fix="Give data with their targets.")
    data, backend, dtype = some(data, rows), backend_of(model), dtype_of(model)
    loss_of, xp = losses.get(loss or default_loss(data.task)), backend.xp
    with backend.use(), np.errstate(all="ignore"):
        x, y = backend.asarray(data.x, dtype=dtype), targets(data, slice(None), backend, dtype)
        with training(seed=seed, step=0, write_back=False):
            _, grads = value_and_grad(lambda m: loss_of(m(x), y))(model)
        weights, figures = model.parameters(), []
        for path, g in grads.items():
            size = xp.sort(xp.reshape(xp.abs(g), (-1,)))
            figures += [xp.sqrt(xp.sum(g * g)), xp.sqrt(xp.sum(weights[path] ** 2))]
            figures += [size[round(q * (size.shape[0] - 1))] for q in QUANTILES]
            figures.append(xp.mean(xp.astype(g == 0, g.dtype)))
        table = together(figures).reshape(len(grads), -1)
    return Gradients(tuple(grads), table[:, 0], table[:, 1], table[:, 2:-1], table[:, -1])


def _draw(found: Gradients, path: Any, title: str) -> None:
    places = np.arange(len(found.paths))
    figure, (left, right) = style.figure(1, 2, width=4.4, height=max(2.8, 0.26 * len(places) + 1.5), title=title)
    positive = np.where(found.norm > 0, found.norm, np.nan)
    left.plot(positive, places, "o", color=style.VAL, markersize=6)
    q = np.where(found.quantiles > 0, found.quantiles, np.nan).T
    least = np.nanmin(q, initial=np.inf, axis=0)
    right.hlines(
        places,
        np.where(np.isfinite(q[0]), q[0], least),
        q[4],
        color=style.TRAIN,
        linewidth=1.5,
        label="5–95 % of the entries",
    )
    right.hlines(
        places,
        np.where(np.isfinite(q[1]), q[1], least),
        q[3],
        color=style.TRAIN,
        linewidth=6,
        alpha=0.6,
        label="25–75 %",
    )
    right.plot(q[2], places, "|", color="black", markersize=10, markeredgewidth=1.6, label="median")
    style.rows(left, found.paths)
    style.rows(right, found.paths, labels=False)
    for axes in (left, right):
        style.decades(axes.xaxis)
    style.label(left, "‖g‖, norm of the gradient", "parameter")
    style.label(right, "|g|, size of its entries", "")
    style.legend_below(figure, right)
    style.save(figure, path)
