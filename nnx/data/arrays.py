"""A data set from arrays: types made plain, targets numbered, and, with a schema, fitted to a trained model."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from nnx.data.dataset import Dataset
from nnx.data.limits import claim
from nnx.data.rounding import coarse, extremes
from nnx.data.schema import Schema
from nnx.data.stream import Streamed
from nnx.data.targets import targets
from nnx.errors import DataError, DtypeError, ShapeError


def from_arrays(
    x: Any,
    y: Any = None,
    *,
    task: str = "auto",
    classes: tuple[str, ...] | None = None,
    schema: Schema | None = None,
    name: str = "arrays",
    image_shape: tuple[int, int, int] | None = None,
) -> Dataset:
    """A Dataset of inputs x (N, …) and targets y (N,) or (N, k), from anything NumPy can read on the host.

    float32 and float64 stay, integers and truth values become float32. Labels become int64, regression targets (N, k).

    >>> from_arrays([[1, 2], [3, 4]], [0, 1])
    Dataset(arrays: 2 rows of (2,) float32, 2 classes: 0, 1)
    """
    rows, notes = inputs(x, name)
    if y is None and schema is None:
        raise DataError("there are no targets", where=name, fix="Pass y, or schema= to prepare data for prediction.")
    if schema is not None and (y is None or schema.task is None):
        data = Dataset(rows, None, schema.task, schema.classes, name=name, image_shape=image_shape, notes=notes)
    else:
        found = targets(_host(y, "y", name), task, name, classes, schema)
        notes += found.notes
        if schema is None and isinstance(rows, np.ndarray) and image_shape is None:
            real = found.y if found.task == "regression" else np.empty(0)
            notes += coarse((*extremes("x", rows), *extremes("y", real)))
        data = Dataset(rows, found.y, found.task, found.classes, name=name, image_shape=image_shape, notes=notes)
    return data if schema is None else fitted(data, schema)


_ROUNDED = "x holds whole numbers above 2^24: float32 rounds them"


def inputs(x: Any, where: str) -> tuple[Any, tuple[str, ...]]:
    """x as native float32 or float64, and a note if that cost digits."""
    x = x if isinstance(x, Streamed) else _host(x, "x", where)
    if x.dtype.kind not in "fbiu" or x.dtype.itemsize > 8:
        raise DtypeError(
            expected="real numbers in x",
            got=str(x.dtype),
            where=where,
            fix="Turn texts into numbers first (a CSV file does it by itself); use float32 or float64.",
        )
    if isinstance(x, Streamed):
        wide = x.dtype.kind in "iu" and x.dtype.itemsize > 2
        notes = (_ROUNDED,) if wide and any(_large(block) for block in x.blocks()) else ()
        return (x if x.dtype.kind == "f" and x.dtype.itemsize >= 4 else x.astype(np.float32)), notes
    if x.dtype.kind == "f" and x.dtype.itemsize >= 4:
        return x.astype(x.dtype.newbyteorder("="), copy=False), ()
    claim(4 * x.size, where)
    return x.astype(np.float32), (_ROUNDED,) if _large(x) else ()


def _large(x: np.ndarray[Any, Any]) -> bool:
    return x.dtype.kind in "iu" and x.size > 0 and max(int(x.max()), -int(x.min())) > 2**24


def fitted(data: Dataset, schema: Schema) -> Dataset:
    """The data in the shape that a model was trained on, or the ShapeError that says what differs."""
    have, want = data.x.shape[1:], schema.shape
    if have == want:
        return data
    if math.prod(have) == math.prod(want) and 1 in (len(have), len(want)):  # flat rows against images
        return replace(data, x=data.x.reshape(-1, *want))
    raise ShapeError(
        expected=f"rows of shape {want}, as the model was trained on",
        got=f"{have}",
        where=data.name,
        fix="Use data with the same features, or train a model on these.",
    )


def _host(values: Any, role: str, where: str) -> np.ndarray[Any, Any]:
    if isinstance(values, np.ndarray) and np.any(getattr(values, "mask", False)):
        raise DataError(
            "masked values", where=f"{where}, {role}", fix="Fill them (x.filled(value)) or drop their rows."
        )
    try:
        return np.asarray(values)
    except Exception as error:  # each library refuses in its own way
        raise DtypeError(
            expected=f"{role} as an array on the host",
            got=f"{type(values).__name__} ({error})",
            where=where,
            fix="Use nnx.backends.of(x).to_numpy(x) for arrays on a device; rows of a list must have one length.",
        ) from error
