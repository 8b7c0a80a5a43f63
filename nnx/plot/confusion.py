"""The confusion matrix: which class was taken for which."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx.data import Dataset
from nnx.errors import DataError
from nnx.layers import Module
from nnx.plot import style
from nnx.plot.table import Host, Numbers
from nnx.train import predict
from nnx.train.given import check_data, check_model

TEXTS = 26
"""Classes up to which every cell has its count."""


@dataclass(frozen=True)
class Confusion(Numbers):
    """``counts`` (C, C): rows of true class i that were taken for class j."""

    counts: Host
    classes: tuple[str, ...]

    @property
    def shares(self) -> Host:
        """Each count over the rows of its true class; 0 for a class without rows."""
        return np.asarray(self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1))

    @property
    def accuracy(self) -> float:
        """The share of rows on the diagonal."""
        return float(np.trace(self.counts) / max(int(self.counts.sum()), 1))

    def columns(self) -> dict[str, Any]:
        """A row for each pair of classes."""
        c = len(self.classes)
        return {
            "true": [self.classes[i // c] for i in range(c * c)],
            "predicted": [self.classes[i % c] for i in range(c * c)],
            "rows": self.counts.reshape(-1),
            "share": self.shares.reshape(-1),
        }


def confusion(
    model: Module, data: Dataset, path: str | os.PathLike[str] | None = None, *, title: str = ""
) -> Confusion:
    """How often each true class was taken for each: counts, and shares of the rows of the true class.

    Errors: ``DataError`` for data without classes and where the model takes a row for none of them, ``PlotUnavailable``
    without matplotlib.
    """
    style.ready(path)
    check_model(model, "confusion")
    check_data(data, "confusion")
    if data.task != "classification" or data.y is None or data.classes is None:
        raise DataError(
            expected="rows with classes",
            got=f"{data.task} data" if data.y is not None else "rows without targets",
            where="confusion",
            fix="A model of real targets has no confusion; look at its curves.",
        )
    said, c = taken(np.asarray(predict(model, data.x)), data.classes, "confusion"), len(data.classes)
    counts = np.bincount(data.y * c + said, minlength=c * c).reshape(c, c)
    found = Confusion(counts, data.classes)
    if path is not None:
        _draw(found, path, title)
    return found


def taken(outputs: Host, classes: tuple[str, ...] | None, where: str) -> Host:
    """The class of each row of outputs (N, C): the highest. ``DataError`` for one that has no name."""
    said = np.argmax(outputs, axis=1)
    if classes is not None and np.any(said >= len(classes)):
        raise DataError(
            expected=f"one output for each of the {len(classes)} classes",
            got=f"{outputs.shape[1]} outputs, of which number {said.max()} is the highest in a row",
            where=where,
            fix="Give data of the model's classes, or the model as many outputs.",
        )
    return np.asarray(said)


def _draw(found: Confusion, path: Any, title: str) -> None:
    c, names = len(found.classes), style.shortened(found.classes, 16)
    longest = max(map(len, names))
    side = min(max(3.2, 0.5 * c + 1.0), 14.0) + (0.07 * longest if longest > 3 else 0.0)
    figure, (axes,) = style.figure(1, 1, width=side + 1.0, height=side, title=title)
    image = axes.imshow(100 * found.shares, cmap=style.GREYS, vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="share of the true class's rows (%)", shrink=0.8)
    for i, j in np.ndindex(c, c) if c <= TEXTS else ():
        count, share = int(found.counts[i, j]), float(found.shares[i, j])
        if count:
            text = f"{count}\n{100 * share:.0f} %" if c <= 12 else str(count)
            axes.text(j, i, text, ha="center", va="center", fontsize=7, color="black" if share > 0.5 else "white")
    axes.set_xticks(range(c), names, rotation=90 if longest > 3 else 0)
    axes.set_yticks(range(c), names)
    style.label(axes, "predicted class", "true class", grid=False)
    style.save(figure, path)
