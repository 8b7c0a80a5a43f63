"""What is checked on the host once, before the first step, so that no backend meets it."""

import inspect
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from nnx import backends, losses, optim
from nnx.data import Dataset
from nnx.data.resident import Resident
from nnx.data.stream import Streamed
from nnx.errors import ConfigError, DataError, ShapeError
from nnx.layers import Flatten, Module, Preparation, Reshape, Sequential, training
from nnx.train.callbacks.base import Callback
from nnx.train.evaluation import backend_of, input_dtype_of, outputs_in_batches
from nnx.train.files.checkpoint import CHECKPOINTS
from nnx.train.objective import unit_of
from nnx.train.run import METRICS, MODEL


def check_settings(
    epochs: int,
    batch_size: int,
    train: Any,
    val: Any,
    optimizer: Any = None,
    finish: Any = None,
    finish_epochs: int = 1,
) -> None:
    """``ConfigError`` unless the numbers make sense and the data are data sets with targets."""
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("finish_epochs", finish_epochs)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise ConfigError(
                expected=f"{name} a whole number ≥ 1",
                got=repr(value),
                where="fit",
                fix=f"Write for example {name}={64 if name == 'batch_size' else 20}.",
            )
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
            raise DataError(
                expected=f"{name} with rows and targets",
                got=repr(data),
                where="fit",
                fix="Load inputs together with their targets: nnx.data.load((x, y)).",
            )
    if val is not None:
        _check_alike(train, val)
    if optimizer is not None and not isinstance(optimizer, (optim.Optimizer, optim.LBFGS)):
        raise ConfigError(
            expected="an optimizer", got=repr(optimizer), where="fit", fix="Write optimizer=nnx.optim.Adam(1e-3)."
        )
    if finish is not None and not isinstance(finish, optim.LBFGS):
        raise ConfigError(
            expected="L-BFGS to finish with",
            got=repr(finish),
            where="fit",
            fix="Write finish=nnx.optim.LBFGS(), or call fit again on the same model with another optimizer.",
        )


def check_loss(loss: Any, task: str | None) -> None:
    """``ConfigError`` unless the loss is known, takes outputs and targets, and is one for the task."""
    function = losses.get(loss)
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise ConfigError(
            expected="a loss f(outputs, targets)",
            got=f"one that takes other arguments: {error}",
            where="loss",
            fix="Give the rest by functools.partial.",
        ) from None
    except ValueError:  # a function that does not tell
        return
    own = next((name for name, known in losses.LOSSES.items() if known is function), None)
    suits = SUITABLE[task or "regression"]
    if own is not None and own not in suits:
        raise ConfigError(
            expected=f"a loss for {task}: {', '.join(suits)}",
            got=own,
            where="loss",
            fix="Choose one of those, or load the data with another task=.",
        )


SUITABLE = {
    "classification": ("cross_entropy", "hinge"),
    "regression": ("mse", "l1", "huber", "binary_cross_entropy"),
}
"""The losses for each task."""


def check_seed(seed: Any) -> None:
    """``ConfigError`` unless it is a whole number from 0."""
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(
            expected="seed a whole number ≥ 0", got=repr(seed), where="fit", fix="Write for example seed=0."
        )


def checked_directory(directory: Any) -> str | os.PathLike[str]:
    """The directory of a run, if it is a path."""
    if not isinstance(directory, (str, os.PathLike)):
        raise ConfigError(
            expected="a path",
            got=repr(directory)[:60],
            where="directory",
            fix='Write for example directory="runs/mine".',
        )
    return directory


def check_callbacks(callbacks: Any) -> None:
    """``ConfigError`` unless these are callbacks, each made."""
    if not isinstance(callbacks, Iterable) or isinstance(callbacks, (str, bytes)):
        raise ConfigError(
            expected="a list of callbacks",
            got=type(callbacks).__name__,
            where="callbacks",
            fix="Write callbacks=[…], also for one.",
        )
    for number, one in enumerate(callbacks if isinstance(callbacks, (list, tuple)) else ()):
        made = not isinstance(one, type)
        if not made or not (callable(one) or isinstance(one, (Callback, optim.ReduceOnPlateau))):
            raise ConfigError(
                expected="callbacks, or functions f(run, record)",
                got=f"the class {one.__name__}" if not made else repr(one)[:60],
                where=f"callbacks[{number}]",
                fix=f"Make one of it: {one.__name__}()." if not made else "See nnx.train.Callback.",
            )


def _check_alike(train: Dataset, val: Dataset) -> None:
    def kind(data: Dataset) -> str:
        return f"rows of {data.x.shape[1:]} for {data.task} with {data.outputs} outputs"

    if kind(val) != kind(train) or val.classes != train.classes:
        raise DataError(
            expected=f"validation data like the training data: {kind(train)}",
            got=kind(val) if kind(val) != kind(train) else f"the classes {val.classes}, not {train.classes}",
            where="fit",
            fix="Split one data set with nnx.data.split, or load the other with schema=train.schema.",
        )
    if val.task == "regression" and len(val) < 2:
        raise DataError(expected="two validation rows or more, for R²", got="one", where="fit", fix="Hold out more.")


def claim(directory: Path) -> None:
    """Make the directory and its metrics.jsonl; ``ConfigError`` if it already holds a run: of two, one gets it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if (directory / MODEL).exists():
            raise FileExistsError(None, None, str(directory / MODEL))
        open(directory / METRICS, "x").close()
    except FileExistsError as error:
        raise ConfigError(
            expected="a directory without a run in it",
            got=str(error.filename),
            where="fit",
            fix="Go on with nnx.resume(directory, train, val), or choose another directory."
            if (directory / CHECKPOINTS).exists()
            else "Choose another directory, or move the old run away.",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the directory cannot be written ({error.strerror or error})",
            where=str(directory),
            fix="Check its place and permissions.",
        ) from None


def prepare(model: Module, train: Dataset, seed: int) -> None:
    """Draw the parameters if nobody has; fit what nobody has fitted: preparation at the front, ``Unstandardize`` at the end."""
    if not model.initialized:
        model._fill(seed)  # and not initialize, which would undo a preparation that was fitted by hand
    unit = unit_of(model)
    if unit and not unit.is_fitted and train.task == "regression":
        unit.fit(train.y)
    passed: list[Module] = []
    for layer in model.layers if isinstance(model, Sequential) else ():
        if not isinstance(layer, (Preparation, Flatten, Reshape)):
            break
        if isinstance(layer, Preparation) and not layer.is_fitted:
            layer.fit(_through(passed, train.x))
        passed.append(layer)


def _through(layers: list[Module], x: Any) -> Any:
    """Inputs after these layers: on the host those that are there, on their device those that live on one."""
    if not layers:
        return x
    chain = Sequential(*layers)
    if isinstance(x, Streamed):
        return Streamed(_Passed(chain, x))
    if isinstance(x, Resident):
        with x.backend.use():
            return Resident(x.backend.xp.concat([chain(piece) for piece in x.pieces()], axis=0))
    return np.concatenate([backends.of(out).to_numpy(out) for _, out in outputs_in_batches(chain, x, 4096)])


class _Passed:
    """Rows behind some layers, read and computed when they are asked for."""

    def __init__(self, chain: Sequential, x: Streamed) -> None:
        self.chain, self.x = chain, x
        first = self.rows(0, 1)
        self.shape, self.dtype = (len(x), *first.shape[1:]), first.dtype

    def rows(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """The rows start ≤ i < stop."""
        return np.asarray(_through(list(self.chain.layers), self.x[start:stop]))


def check_outputs(model: Module, train: Dataset) -> None:
    """There is something to train, and its outputs fit the targets: as many classes as labels need, or the targets' shape."""
    if not model.parameters():
        frozen = bool(model.parameters(frozen=True))
        raise ConfigError(
            expected="parameters to train",
            got="a model with all of them frozen" if frozen else "a model that has none",
            where="fit",
            fix="Call model.unfreeze() first." if frozen else "Add a layer with weights, such as nnx.Linear.",
        )
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
            fix=f"Give the last layer {y.shape[-1]} outputs; for a loss that takes others write the loop by hand: README.md, As a library.",
        )


def check_batches(model: Module, train: Dataset, batch_size: int) -> None:
    """No batch is too short: batch norm has no variance of one row; better said now than at the end of the first epoch."""
    if len(train) > 1 and batch_size > 1:
        return
    x = backend_of(model).asarray(train.x[:1], dtype=input_dtype_of(model))
    try:
        with training(write_back=False):
            model(x)
    except ShapeError as error:
        fix = "Use batch_size=32." if len(train) > 1 else "Give it more rows."
        raise ConfigError(expected=error.expected, got="a batch of one row", where=error.where, fix=fix) from None
