"""The gradient of each parameter: how long, and how its entries are spread."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx.autodiff import value_and_grad
from nnx.data import Dataset
from nnx.errors import DataError
from nnx.layers import Module, training
from nnx.plot import style
from nnx.plot.landscape import some
from nnx.plot.table import Host, Numbers
from nnx.train.callbacks.signals import QUANTILES, together
from nnx.train.callbacks.snapshots import Snapshot
from nnx.train.evaluation import backend_of, dtype_of, input_dtype_of, targets
from nnx.train.given import check_data, check_model
from nnx.train.objective import objective
from nnx.typing import Array


@dataclass(frozen=True)
class Gradients(Numbers):
    """For each parameter: ‖g‖ and ‖w‖, the quantiles of |g| (5, 25, 50, 75, 95 %), and the share of entries that are 0.

    ``course`` (epochs, parameters) has ‖g‖ at snapshots after ``epochs``; both are empty without snapshots.
    """

    paths: tuple[str, ...]
    norm: Host
    weight: Host
    quantiles: Host
    zero: Host
    epochs: Host
    course: Host

    def columns(self) -> dict[str, Any]:
        """A row for each parameter."""
        spread = {f"abs_q{round(100 * q):02d}": self.quantiles[:, i] for i, q in enumerate(QUANTILES)}
        course = {f"norm_epoch_{epoch}": norms for epoch, norms in zip(self.epochs, self.course)}
        whole = {"path": list(self.paths), "norm": self.norm, "weight_norm": self.weight}
        return whole | spread | {"zero": self.zero} | course


def gradients(
    model: Module,
    data: Dataset,
    path: str | os.PathLike[str] | None = None,
    *,
    loss: str | Callable[..., Array] | None = None,
    rows: int = 256,
    seed: int = 0,
    snapshots: Sequence[Snapshot] = (),
    title: str = "",
) -> Gradients:
    """The gradient of the loss with respect to each parameter, over depth, for one batch of up to ``rows`` rows, as in training.

    Dropout draws with ``seed`` and batch norm uses the batch, as in a step; the model is left as it was. Drawn are the
    norms, and the ranges of |g| over the entries on a log scale; zeros are counted in the numbers. With ``snapshots``
    (``nnx.train.Snapshots``) the norms for the same batch over the training are drawn too. Without ``path`` nothing is
    drawn.

    Errors: ``DataError`` for data without targets, ``PlotUnavailable`` without matplotlib.
    """
    style.ready(path)
    check_model(model, "gradients")
    check_data(data, "gradients")
    if data.y is None:
        raise DataError("there are no targets", where="gradients", fix="Give data with their targets.")
    data = some(data, rows)
    paths, table = _measured(model, data, loss, seed)
    course = [_measured(_with(model, one), data, loss, seed)[1][:, 0] for one in snapshots]
    found = Gradients(
        paths, table[:, 0], table[:, 1], table[:, 2:-1], table[:, -1],
        np.asarray([one.epoch for one in snapshots], dtype=np.int64), np.asarray(course).reshape(len(course), len(paths)),
    )  # fmt: skip
    if path is not None:
        _draw(found, [w.ndim for w in model.parameters().values()], path, title)
    return found


def _with(model: Module, one: Snapshot) -> Module:
    """A copy of the model with the weights of a snapshot, on its backend."""
    backend = backend_of(model)
    return model.map_arrays(lambda path, w: backend.asarray(one.weights[path]) if path in one.weights else w)


def _measured(model: Module, data: Dataset, loss: Any, seed: int) -> tuple[tuple[str, ...], Host]:
    """The paths, and for each its figures: measured on the model's backend, brought to the host at once."""
    backend, dtype = backend_of(model), dtype_of(model)
    loss_of, xp = objective(model, loss, data.task), backend.xp
    with backend.use(), np.errstate(all="ignore"):
        x, y = backend.asarray(data.x, dtype=input_dtype_of(model)), targets(data, slice(None), backend, dtype)
        with training(seed=seed, step=0, write_back=False):
            _, grads = value_and_grad(lambda m: loss_of(m(x), y))(model)
        weights, figures = model.parameters(), []
        for path, g in grads.items():
            size = xp.sort(xp.reshape(xp.abs(g), (-1,)))
            figures += [xp.sqrt(xp.sum(g * g)), xp.sqrt(xp.sum(weights[path] ** 2))]
            figures += [size[round(q * (size.shape[0] - 1))] for q in QUANTILES]
            figures.append(xp.mean(xp.astype(g == 0, g.dtype)))
    return tuple(grads), together(figures).reshape(len(grads), -1)


def _draw(found: Gradients, axes_of: Sequence[int], path: Any, title: str) -> None:
    places = np.arange(len(found.paths))
    followed = len(found.epochs) > 1
    height = max(2.8, 0.26 * len(places) + 1.5)
    figure, panels = style.figure(1, 2 + followed, width=4.4, height=height, title=title)
    left, right = panels[:2]
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
    if followed:
        _over_epochs(panels[2], found, [i for i, axes in enumerate(axes_of) if axes >= 2] or list(range(len(axes_of))))
    style.save(figure, path)


def _over_epochs(axes: Any, found: Gradients, weights: list[int]) -> None:
    """The norm of the whole gradient, and of up to six weights evenly spaced over depth."""
    whole = np.sqrt(np.sum(found.course**2, axis=1))
    few = [weights[i] for i in np.linspace(0, len(weights) - 1, min(len(weights), 6)).astype(int)]
    for number, (name, values) in enumerate(
        [*((found.paths[i], found.course[:, i]) for i in few), ("all together", whole)]
    ):
        look = style.line(number) if name != "all together" else style.line(len(style.COLOURS) - 1)
        axes.plot(found.epochs, np.where(values > 0, values, np.nan), **look, markersize=3.5, label=name)
    style.label(axes, "epoch", "‖g‖ for the same rows")
    style.decades(axes.yaxis)
    style.epochs(axes)
    axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
