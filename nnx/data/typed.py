"""A table whose columns have types as a data set, by the rules of a CSV file: one place decides for both what a column becomes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnx.data.arrays import fitted
from nnx.data.dataset import Dataset
from nnx.data.frame import Cells, cells_of, read_parquet_cells
from nnx.data.limits import claim
from nnx.data.schema import Column, Encoding, Schema
from nnx.data.survey import unknown_category
from nnx.data.table import Name, Plan, decide, follow
from nnx.data.targets import look_up
from nnx.errors import DataError


def from_frame(
    frame: Any,
    target: Name | None = None,
    task: str = "auto",
    *,
    schema: Schema | None = None,
    drop: Sequence[Name] = (),
    categorical: Sequence[Name] = (),
    name: str = "frame",
) -> Dataset:
    """A DataFrame of pandas or polars, or a pyarrow Table, as x (N, features) float32, as ``load`` of a CSV file would give it.

    Columns of numbers are features; texts, truth values and categories are one-hot. The target is a column by name or
    place, by default the last: texts, truth values and at most 20 distinct whole numbers, if each has two rows or more on
    average, are classes, floats are not.
    An index is no column. Rows count from 0.

    Errors: DataError with row and column for a missing value; DtypeError for dates and other kinds.
    """
    return _data_set(cells_of(frame, name), name, Path(name), target, task, schema, drop, categorical)


def read_parquet(
    path: Path,
    target: Name | None = None,
    task: str = "auto",
    *,
    schema: Schema | None = None,
    drop: Sequence[Name] = (),
    categorical: Sequence[Name] = (),
) -> Dataset:
    """A Parquet file, by the same rules. Errors also: BackendUnavailable without pyarrow."""
    return _data_set(read_parquet_cells(path), path.name, path, target, task, schema, drop, categorical)


def _data_set(
    columns: list[Cells],
    name: str,
    path: Path,
    target: Name | None,
    task: str,
    schema: Schema | None,
    drop: Sequence[Name],
    categorical: Sequence[Name],
) -> Dataset:
    seen = [column.seen(str(path)) for column in columns]
    names = tuple(column.name for column in columns)
    if schema is None:
        plan = decide(seen, target, task, drop, categorical, path)
    else:
        plan = follow(schema, names, seen, True, path)
    rows = len(columns[0])
    claim(4 * rows * sum(column.width for column in plan.columns), str(path))
    x = np.zeros((rows, sum(column.width for column in plan.columns)), dtype=np.float32)
    at = 0
    for column, i in zip(plan.columns, plan.places, strict=True):
        _fill(x[:, at : at + column.width], column, columns[i], path)
        at += column.width
    own = Encoding(plan.columns, True, -1 if plan.target is None else plan.target)
    data = Dataset(
        x,
        None if plan.target is None else _targets(columns[plan.target], plan, path),
        task=plan.task,
        classes=plan.classes,
        feature_names=tuple(feature for column in plan.columns for feature in column.features),
        target_name=schema.target_name if schema is not None else None if plan.target is None else names[plan.target],
        name=name,
        encoding=own if schema is None else schema.encoding,
        notes=plan.notes,
    )
    return data if schema is None else fitted(data, schema)


def _fill(part: np.ndarray[Any, Any], column: Column, cells: Cells, path: Path) -> None:
    if column.categories is None:
        part[:, 0] = _float32(cells, path)
        return
    codes, texts = cells.named()
    index = {category: k for k, category in enumerate(column.categories)}
    places = np.asarray([index.get(text, -1) for text in texts] + [-1], dtype=np.int64)[codes]
    wrong = np.flatnonzero(places < 0)
    if wrong.size:
        text = "" if codes[wrong[0]] < 0 else texts[codes[wrong[0]]]
        raise unknown_category(text, column.categories, f"{path}, row {wrong[0]}, column {column.name!r}")
    part[np.arange(len(places)), places] = 1.0


def _targets(cells: Cells, plan: Plan, path: Path) -> np.ndarray[Any, Any]:
    if plan.task == "regression":
        return _float32(cells, path)[:, None]
    assert plan.classes is not None
    codes, texts = cells.named()
    first = {int(code): int(row) for code, row in zip(*np.unique(codes, return_index=True))}
    if -1 in first:
        raise DataError(
            "a missing value", where=f"{path}, row {first[-1]}, target", fix="Fill it in or remove the row."
        )
    labels = look_up(texts, plan.classes, lambda i: f"{path}, row {first.get(i, 0)}, target")
    return np.take(labels, codes)


def _float32(cells: Cells, path: Path) -> np.ndarray[Any, Any]:
    assert cells.numbers is not None
    large = np.flatnonzero(np.abs(cells.numbers) > np.finfo(np.float32).max)
    if large.size:
        raise DataError(
            expected="a number that float32 holds, below 3.4e38",
            got=str(cells.numbers[large[0]]),
            where=f"{path}, row {large[0]}, column {cells.name!r}",
            fix="Change the unit of the column.",
        )
    return cells.numbers.astype(np.float32)
