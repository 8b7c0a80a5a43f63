"""One door to data: by name, by path, or from arrays."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nnx.data.arrays import fitted, from_arrays
from nnx.data.dataset import Dataset
from nnx.data.digits import digits
from nnx.data.frame import is_frame
from nnx.data.idx import NAME as IDX_NAME
from nnx.data.idx import read_idx
from nnx.data.npy import read_npy
from nnx.data.npz import read_npz
from nnx.data.schema import Schema
from nnx.data.stream import ArrayRows, Streamed
from nnx.data.table import Name, read_csv
from nnx.data.targets import check_task, did_you_mean
from nnx.data.typed import from_frame, read_parquet
from nnx.errors import ConfigError, DataError

TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
FORMS = "'digits', a .csv or .tsv file (also .gz), a .parquet file, an .npz or .npy file, an IDX images file or a folder with MNIST's files"


def load(
    source: Any,
    target: Name | None = None,
    task: str = "auto",
    *,
    schema: Schema | None = None,
    inputs: str | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    drop: Sequence[Name] = (),
    categorical: Sequence[Name] = (),
    stream: bool | None = None,
) -> Dataset:
    """The data set that ``source`` names, holds or is.

    ==================  ============================================================  ================================
    source              what it is                                                    options
    ==================  ============================================================  ================================
    ``"digits"``        the bundled handwritten digits
    ``….csv``, ``.tsv``  a table, also ``.gz``; ``target`` is a column (default: last)  target, header, delimiter, drop,
                                                                                      categorical
    ``….parquet``       a table with types (extra ``parquet``)                        target, drop, categorical
    a DataFrame         of pandas or polars, or a pyarrow Table                       target, drop, categorical
    ``….npz``           arrays x and y (or X, Y), perhaps classes                     target, inputs: keys; stream
    ``….npy``           inputs; the targets in another (``x.npy`` finds ``y.npy``)    target: that file; stream
    ``…-idx3-ubyte``    MNIST's images, labels beside them, also ``.gz``; or a folder   stream
    ``(x, y)``          arrays on the host, also memory maps                          stream
    a Dataset           itself
    ==================  ============================================================  ================================

    ``task`` is "auto", "classification" or "regression"; what was decided stands in ``notes``. ``schema`` (the
    ``schema`` of the training data) encodes other data for that model: same columns, categories and classes; targets
    may be absent.

    Inputs that would take more than half of the free memory stay in their file, and rows are read when they are needed,
    if they lie there one after another: NPY, NPZ written by ``numpy.savez``, IDX. ``stream=True`` asks for that,
    ``stream=False`` refuses it. Tables and compressed files do not stream: save them as NPY once.

    Errors: ConfigError for an unknown source or option, DataError, DtypeError or ShapeError for what is in it.

    >>> load("digits")
    Dataset(digits: 1797 rows of (64,) float32, 10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    >>> load(([[0.0], [1.0], [2.0]], [1.5, 2.5, 3.5]))
    Dataset(arrays: 3 rows of (1,) float64, 1 target)
    """
    check_task(task)
    options = {
        "target": target, "inputs": inputs, "header": header, "delimiter": delimiter,
        "drop": drop or None, "categorical": categorical or None, "stream": stream,
    }  # fmt: skip
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    for option in ("drop", "categorical"):
        if isinstance(given.get(option), (str, int)):
            raise ConfigError(
                expected="a list of columns",
                got=repr(given[option]),
                where=option,
                fix=f"Write {option}=[{given[option]!r}].",
            )
    if isinstance(source, Dataset):
        _only(given, (), "a Dataset")
        return source if schema is None else _under(source, schema)
    if isinstance(source, tuple):
        _only(given, ("stream",), "a pair of arrays")
        if len(source) != 2:
            raise ConfigError(
                expected="a pair (x, y)",
                got=f"{len(source)} things",
                where="source",
                fix="Pass inputs and targets: (x, y).",
            )
        if stream and isinstance(source[0], np.ndarray):
            source = (Streamed(ArrayRows(source[0])), source[1])
        return from_arrays(*source, task=task, schema=schema)
    if is_frame(source):
        _only(given, ("target", "drop", "categorical"), "a DataFrame")
        return from_frame(source, task=task, schema=schema, **given)
    if not isinstance(source, (str, os.PathLike)):
        raise ConfigError(
            expected=FORMS + ", or a pair of arrays (x, y)",
            got=type(source).__name__,
            where="source",
            fix="Pass (x, y).",
        )
    if source == "digits":
        _only(given, (), "digits")
        _not_regression(task, "digits")
        return digits() if schema is None else _under(digits(), schema)
    return _read(Path(source), given, task, schema)


def _read(path: Path, given: dict[str, Any], task: str, schema: Schema | None) -> Dataset:
    name = path.name.lower()
    if not path.exists():
        raise _unknown(path)
    if not (path.is_file() or path.is_dir()):
        raise DataError("neither a file nor a folder", where=str(path), fix=f"Give {FORMS}.")
    try:
        if path.is_dir() or IDX_NAME.search(name):
            _only(given, ("stream",), "IDX files")
            return read_idx(path, task=task, schema=schema, **given)
        if name.endswith(".npz"):
            _only(given, ("target", "inputs", "stream"), "an NPZ file")
            return read_npz(path, task=task, schema=schema, **given)
        if name.endswith(".npy"):
            _only(given, ("target", "stream"), "an NPY file")
            return read_npy(path, task=task, schema=schema, **given)
        if name.endswith((".parquet", ".pq")):
            _only(given, ("target", "drop", "categorical"), "a Parquet file")
            return read_parquet(path, task=task, schema=schema, **given)
        if name.endswith(TABLES):
            _only(given, ("target", "header", "delimiter", "drop", "categorical"), "a table")
            return read_csv(path, task=task, schema=schema, **given)
    except OSError as error:
        raise DataError(
            f"the file cannot be read ({error.strerror or error})",
            where=str(path),
            fix="Check the path and its permissions.",
        ) from error
    raise ConfigError(expected=FORMS, got=repr(str(path)), where="source", fix="Rename or convert the file.")


def _unknown(path: Path) -> ConfigError:
    """Nothing of that name: look for a near one beside it."""
    near = ["digits"] if path.parent == Path() else []
    if path.parent.is_dir():
        near += [entry.name for entry in sorted(path.parent.iterdir())[:1000]]
    fix = did_you_mean(path.name, near)
    return ConfigError(
        expected=FORMS,
        got=f"{str(path)!r}, which does not exist",
        where="source",
        fix=fix if fix.startswith("Did") else "Check the path.",
    )


def _only(given: dict[str, Any], allowed: tuple[str, ...], what: str) -> None:
    for option in given:
        if option not in allowed:
            known = f"It takes {', '.join(allowed)}." if allowed else "Leave it out."
            raise ConfigError(f"{what} takes no {option}=", got=repr(given[option]), where=option, fix=known)


def _not_regression(task: str, name: str) -> None:
    if task == "regression":
        raise ConfigError(
            f"{name} is a classification", got="task='regression'", where="task", fix="Leave the task out."
        )


def _under(data: Dataset, schema: Schema) -> Dataset:
    """A data set for a model trained on another: its shape and classes must be the model's."""
    if data.y is not None and (schema.task, schema.classes) != (data.task, data.classes):
        found = from_arrays(
            data.x, data.y, classes=data.classes, schema=schema, name=data.name, image_shape=data.image_shape
        )
        return replace(found, target_name=data.target_name, notes=data.notes + found.notes)
    return fitted(data, schema)
