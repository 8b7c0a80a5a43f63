"""What is checked on the host once, before the first step, so that no backend meets it."""

from pathlib import Path
from typing import Any

import numpy as np

from nnx import backends
from nnx.data import Dataset
from nnx.errors import ConfigError, DataError, ShapeError
from nnx.layers import Module, Preparation, Sequential
from nnx.train.evaluation import outputs_in_batches


def check_settings(epochs: int, batch_size: int, train: Any, val: Any) -> None:
    """``ConfigError`` unless the numbers make sense and the data are data sets with targets."""
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise ConfigError(expected=f"{name} a whole number ≥ 1", got=repr(value), where="fit")
    for name, data in (("train", train), ("val", val)):
        if data is None and name == "val":
            continue
        if not isinstance(data, Dataset):
            raise ConfigError(
                expected=f"{name} as a Dataset",
                got=type(data).__name__,
                where="fit",
                fix="Use nnx.data.load((x, y)) for arrays, or nnx.data.load(path).",
            )
        if data.y is None or len(data) == 0:
            raise DataError(expected=f"{name} with rows and targets", got=repr(data), where="fit")


def claim(directory: Path) -> None:
    """Make the directory; ``ConfigError`` if it already holds a run, which is never written over."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("metrics.jsonl", "model.safetensors"):
        if (directory / name).exists():
            raise ConfigError(
                expected="a directory without a run in it",
                got=f"{directory / name}",
                where="fit",
                fix="Choose another directory, or move the old run away.",
            )


def prepare(model: Module, train: Dataset, seed: int) -> None:
    """Draw the parameters if nobody has, and fit preparation layers at the front that nobody has fitted."""
    if not model.initialized:
        model.initialize(seed)
    x: Any = train.x
    for layer in model.layers if isinstance(model, Sequential) else ():
        if not isinstance(layer, Preparation):
            break
        if not layer.is_fitted:
            layer.fit(x)
        x = np.concatenate([_on_host(layer, out) for _, out in outputs_in_batches(layer, x, 4096)])


def _on_host(layer: Module, out: Any) -> Any:
    return backends.of(out).to_numpy(out)


def check_fit(model: Module, train: Dataset, loss: Any) -> None:
    """The model's outputs fit the targets: as many classes as labels need, or the shape of the targets."""
    _, out = next(outputs_in_batches(model, train.x[:2], 2))
    n = min(2, len(train))
    y = train.y
    assert y is not None
    if train.task == "classification":
        classes = max(len(train.classes or ()), int(y.max()) + 1)
        if out.ndim != 2 or out.shape[1] < classes:
            raise ShapeError(
                expected=f"outputs of shape (N, {classes}), one for each class",
                got=f"{('N', *out.shape[1:])}".replace("'", ""),
                where="fit",
                fix=f"Give the last layer {classes} outputs.",
            )
    elif tuple(out.shape) != (n, *y.shape[1:]):
        raise ShapeError(
            expected=f"outputs of shape (N, {', '.join(map(str, y.shape[1:]))}), like the targets",
            got=f"{('N', *out.shape[1:])}".replace("'", ""),
            where="fit",
            fix=f"Give the last layer {y.shape[-1]} outputs.",
        )
