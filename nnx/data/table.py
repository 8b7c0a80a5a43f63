"""A CSV file as a data set: numbers as they are, texts one-hot, and the encoding kept for the data to come."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnx.data.arrays import fitted
from nnx.data.csv import Row, first_rows
from nnx.data.dataset import Dataset
from nnx.data.limits import claim
from nnx.data.rounding import coarse
from nnx.data.schema import Column, Encoding, Schema, Task
from nnx.data.survey import UNSAID, Seen, blocks, is_number, is_whole, survey, unknown_category
from nnx.data.targets import FEW, MAYBE, did_you_mean, in_order, listing, look_up, one_class
from nnx.errors import ConfigError, DataError

AMOUNTS = "; pass task='regression' if they are amounts"
SHOWN = 10
"""Columns of texts that a note names, at most."""

Name = str | int
"""A column by its name, or by its place (0 is the first, −1 the last)."""


@dataclass(frozen=True)
class Plan:
    """Where each input column and the target stand in the file, and how the target is read."""

    columns: tuple[Column, ...]
    places: tuple[int, ...]
    target: int | None
    task: Task | None
    classes: tuple[str, ...] | None
    notes: tuple[str, ...] = ()


def read_csv(
    path: Path,
    target: Name | None = None,
    task: str = "auto",
    *,
    schema: Schema | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    drop: Sequence[Name] = (),
    categorical: Sequence[Name] = (),
) -> Dataset:
    """A table as x (N, features) float32: each column of numbers is one feature, each text column one for each text.

    The target is a column by name or place, by default the last. Task "auto" takes texts for classes, and at most 20
    distinct whole numbers if each has two rows or more on average. ``header=False`` names columns column_0, column_1, …;
    ``header=True`` takes even numbers for names.
    With a ``schema`` columns are found by name in any order, others are left out, and the target may be absent.

    Errors: DataError with row and column for missing or wrong cells (rows count as in a spreadsheet: the header is row 1),
    and for a column of dates that ``categorical`` does not name.
    """
    first, every = first_rows(path, delimiter)
    if header is None and schema is not None and schema.encoding is not None:
        header = schema.encoding.header
    names = _names(first, header, path, trained=schema is not None)
    if header is not False:
        next(every)
    seen = survey(every, names, str(path))
    if seen[0].count == 0:
        told = "Add rows." if schema is not None else "Add rows, or pass header=False if row 1 is data."
        raise DataError("a header and no rows", where=str(path), fix=told)
    if schema is None:
        plan = decide(seen, target, task, drop, categorical, path)
    else:
        plan = follow(schema, names, seen, header is not False, path)
    _, again = first_rows(path, delimiter)
    if header is not False:
        next(again)
    x, y = _encode(again, plan, seen[0].count, path)
    target_name = None if plan.target is None else names[plan.target]
    data = Dataset(
        x,
        y,
        task=plan.task,
        classes=plan.classes,
        feature_names=tuple(feature for column in plan.columns for feature in column.features),
        target_name=target_name if schema is None else schema.target_name,
        name=path.name,
        encoding=Encoding(plan.columns, header is not False, -1 if plan.target is None else plan.target)
        if schema is None
        else schema.encoding,
        notes=plan.notes,
    )
    return data if schema is None else fitted(data, schema)


def _names(first: Row, header: bool | None, path: Path, trained: bool) -> tuple[str, ...]:
    """The names of the columns, from the first row or made up."""
    if header is False:
        return tuple(f"column_{i}" for i in range(len(first.cells)))
    if header is None and all(is_number(cell) for cell in first.cells):
        raise DataError(
            expected="a header with the names of the columns",
            got=f"numbers: {listing(first.cells, 3)}",
            where=f"{path}, {first.place}",
            fix="Write the names of the columns into a row above."
            if trained  # the commands that take a model have no such flags
            else "Pass header=False if the first row is data, header=True if these are names.",
        )
    for i, name in enumerate(first.cells):
        if i and not name:  # the first may hold names of rows, as pandas and R write them
            raise DataError(
                f"column {i} has no name", where=f"{path}, {first.place}", fix="Name it, or remove the column."
            )
    check_names(first.cells, f"{path}, {first.place}")
    return tuple(first.cells)


def check_names(names: Sequence[str], where: str) -> None:
    """DataError for a name that stands twice."""
    if len(set(names)) != len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise DataError(f"two columns named {twice!r}", where=where, fix="Rename one of them.")


def _place(column: Name, names: tuple[str, ...], path: Path, option: str) -> int:
    """Where a column stands; a name goes before a place, so that "3" may be either."""
    if isinstance(column, str):
        if column in names:
            return names.index(column)
        if not column.lstrip("-").isdecimal():
            raise ConfigError(f"no column {column!r}", where=f"{path}, {option}", fix=did_you_mean(column, names))
        column = int(column)
    if isinstance(column, bool) or not isinstance(column, int) or not -len(names) <= column < len(names):
        raise ConfigError(
            expected=f"a column name, or a place {-len(names)}…{len(names) - 1}",
            got=repr(column),
            where=f"{path}, {option}",
            fix=did_you_mean(column, names),
        )
    return column % len(names)


def decide(
    seen: list[Seen], target: Name | None, task: str, drop: Sequence[Name], categorical: Sequence[Name], path: Path
) -> Plan:
    """The plan of training data: what its columns are is read off their cells."""
    names = tuple(column.name for column in seen)
    left_out = {_place(name, names, path, "drop") for name in drop}
    texts = {_place(name, names, path, "categorical") for name in categorical}
    at = _place(-1 if target is None else target, names, path, "target")
    index = at != 0 and not names[0]
    places = tuple(i for i in range(index, len(names)) if i != at and i not in left_out)
    if not places or at in left_out:
        what = (
            f"the target {names[at]!r} is dropped" if at in left_out else f"no column besides the target {names[at]!r}"
        )
        between = " In a text file commas, semicolons or tabs stand between columns." if len(names) == 1 else ""
        raise DataError(what, where=str(path), fix=f"Leave at least one input column and the target.{between}")
    seen[at].target = True
    if lacking := [i for i in (*places, at) if seen[i].lacks(names=i in texts)]:
        raise seen[lacking[0]].missing_value(lacking[0] in texts, others=[names[i] for i in lacking[1:]])
    chosen, classes, notes = _task(seen[at], task, at in texts)
    if index:
        notes = ("the first column has no name: taken for names of the rows and left out", *notes)
    if target is None:
        notes = (f"target: the last column, {names[at]!r}", *notes)
    columns = []
    for i in places:
        is_text = i in texts or not seen[i].numeric()
        if is_text and i not in texts and seen[i].dates:
            raise seen[i].not_category()
        columns.append(Column(names[i], seen[i].categories() if is_text else None))
        if is_text and i not in texts and seen[i].numbers:
            notes += (f"column {names[i]!r} holds numbers and texts: taken as categories",)
    named = [f"{column.name!r} ({column.width})" for column in columns if column.categories is not None]
    if named:
        more = f", … ({len(named)} columns)" if len(named) > SHOWN else ""
        notes += (f"one feature for each text of {', '.join(named[:SHOWN])}{more}",)
    holding = [i for i, column in zip(places, columns, strict=True) if column.categories] + [at] * (classes is not None)
    if unsaid := set[str]().union(*(seen[i].values & UNSAID for i in holding)):
        where = (names[i] for i in holding if seen[i].values & UNSAID)
        notes += (f"{listing(sorted(unsaid))}: a text as any other in {listing(where, 5)}",)
    numbers = [i for i, column in zip(places, columns, strict=True) if column.categories is None]
    numbers += [at] if chosen == "regression" else []
    notes += coarse((names[i], seen[i].low, seen[i].high) for i in numbers)
    return Plan(tuple(columns), places, at, chosen, classes, notes)


def few(distinct: int, rows: int) -> bool:
    """Whether a column of so many distinct whole numbers is taken for classes: two are, and up to 20 of two rows each on average.

    >>> few(2, 3), few(15, 300), few(15, 15), few(21, 300)
    (True, True, False, False)
    """
    return distinct <= 2 or (distinct <= FEW and 2 * distinct <= rows)


def _task(seen: Seen, task: str, is_text: bool) -> tuple[Task, tuple[str, ...] | None, tuple[str, ...]]:
    """The task, the classes, and why."""
    if task == "regression":
        if not seen.numeric():
            another = "take another column with target="
            names = another if seen.names_rows else "pass task='classification' if the column holds names"
            raise seen.not_number("a number as target of regression", names)
        return "regression", None, ()
    numeric = seen.numeric(names=is_text or task == "classification")
    distinct = len({float(value) for value in seen.values}) if numeric else len(seen.values)
    if task == "auto" and numeric and not is_text and not (seen.whole and few(distinct, seen.count)):
        if not seen.whole:
            kind = "real numbers"
        elif distinct > FEW:
            kind = f"more than {FEW} distinct numbers"
        else:
            kind = f"{distinct} distinct whole numbers in {seen.count} rows"
        maybe = MAYBE if distinct <= FEW and all(float(value).is_integer() for value in seen.values) else ""
        return "regression", None, (f"task regression: {seen.name!r} holds {kind}{maybe}",)
    if numeric and not seen.whole:
        seen.check_whole()
    if task == "auto" and not is_text and seen.dates:
        raise seen.not_category()
    classes = in_order({_class_name(cell, numeric) for cell in seen.categories()})
    if len(classes) < 2:
        error = one_class(classes[0], f"{seen.where}, column {seen.name!r}")
        error.fix = "There is nothing to learn from one: take another column with target=."
        raise error
    why = f"{len(classes)} distinct whole numbers{AMOUNTS * (len(classes) > 2)}" if numeric else "texts"
    return "classification", classes, (f"task classification: {seen.name!r} holds {why}",) if task == "auto" else ()


def follow(schema: Schema, names: tuple[str, ...], seen: list[Seen], header: bool, path: Path) -> Plan:
    """The plan of data for a trained model: the columns are the model's."""
    encoding = schema.encoding
    at = names.index(schema.target_name) if schema.target_name in names else None
    if encoding is None:  # trained on arrays: all columns but the target are features, in order
        places = tuple(i for i in range(len(names)) if i != at and names[i])
        columns = tuple(Column(names[i]) for i in places)
    elif not header:
        with_target = len(names) == len(encoding.columns) + 1
        at = encoding.target_index if with_target else None
        columns, places = encoding.columns, tuple(i for i in range(len(names)) if i != at)
        if len(places) != len(columns):
            raise DataError(
                expected=f"{len(columns)} columns, or {len(columns) + 1} with the target",
                got=str(len(names)),
                where=str(path),
                fix="Write the same columns in the same order as in training.",
            )
    else:
        columns = encoding.columns
        place_of = {name: i for i, name in enumerate(names)}
        if absent := [column.name for column in columns if column.name not in place_of]:
            strange = [name for name in names if name not in {column.name for column in columns}]
            near = did_you_mean(absent[0], strange)
            raise DataError(
                f"no column {listing(absent, 5)}, which the model was trained on",
                where=f"{path}, row 1",
                fix=near
                if near.startswith("Did")
                else f"Add {'it' if len(absent) == 1 else 'them'}; the table has {listing(name for name in names if name)}.",
            )
        places = tuple(place_of[column.name] for column in columns)
    for column, i in zip(columns, places, strict=True):
        if column.categories is None and seen[i].numbers != seen[i].count:
            raise seen[i].not_number("a number, as in training")
    if at is not None and (schema.task is None or seen[at].empty):  # prediction data often keeps it and leaves it blank
        at = None
    if at is not None and schema.task == "regression" and seen[at].numbers != seen[at].count:
        raise seen[at].not_number("a number as target of regression")
    used = {*places, at}
    extra = [name for i, name in enumerate(names) if i not in used and name and name != schema.target_name]
    notes = (f"left out, as the model does not know them: {listing(extra)}",) if extra else ()
    return Plan(columns, places, at, schema.task, schema.classes, notes)


def _class_name(cell: str, numeric: bool) -> str:
    """One name for one whole number: "1", "01", "+1" and "1.0" are the same class."""
    if not numeric or is_whole(cell):
        return str(int(cell)) if numeric else cell
    return str(int(float(cell))) if is_number(cell) and float(cell).is_integer() else cell


def _encode(
    every: Iterator[Row], plan: Plan, n: int, path: Path
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """x (N, features) float32 and y: the second reading."""
    width = sum(column.width for column in plan.columns)
    claim(4 * n * width, str(path))
    x = np.zeros((n, width), dtype=np.float32)
    y: np.ndarray[Any, Any] | None = None
    if plan.target is not None:
        y = np.empty(n, dtype=np.int64) if plan.task == "classification" else np.empty((n, 1), dtype=np.float32)
    start = 0
    for block in blocks(every):
        part = x[start : start + len(block)]
        if len(part) != len(block):
            break
        cells = list(zip(*(row.cells for row in block), strict=True))
        at = 0
        for column, i in zip(plan.columns, plan.places, strict=True):
            _fill(part[:, at : at + column.width], column, cells[i], block, path)
            at += column.width
        if y is not None and plan.target is not None:
            _fill_target(y[start : start + len(block)], plan, cells[plan.target], block, path)
        start += len(block)
    if start != n:
        raise DataError("the file changed while it was read", where=str(path), fix="Load it again when it is complete.")
    return x, y


def _fill(part: np.ndarray[Any, Any], column: Column, cells: tuple[str, ...], block: list[Row], path: Path) -> None:
    if column.categories is None:
        part[:, 0] = _numbers(column.name, cells, block, path)
        return
    index = {category: k for k, category in enumerate(column.categories)}
    for i, cell in enumerate(cells):
        if cell not in index:
            raise unknown_category(cell, column.categories, f"{path}, {block[i].place}, column {column.name!r}")
        part[i, index[cell]] = 1.0


def _fill_target(part: np.ndarray[Any, Any], plan: Plan, cells: tuple[str, ...], block: list[Row], path: Path) -> None:
    if plan.task == "regression":
        part[:, 0] = _numbers("target", cells, block, path)
        return
    assert plan.classes is not None
    numeric = all(name.lstrip("-").isdecimal() for name in plan.classes)
    names = [_class_name(cell, numeric) for cell in cells]
    part[:] = look_up(names, plan.classes, lambda i: f"{path}, {block[i].place}, target")


def _numbers(name: str, cells: tuple[str, ...], block: list[Row], path: Path) -> np.ndarray[Any, Any]:
    values = np.asarray([float(cell) for cell in cells], dtype=np.float64)
    large = np.flatnonzero(np.abs(values) > np.finfo(np.float32).max)
    if large.size:
        raise DataError(
            expected="a number that float32 holds, below 3.4e38",
            got=cells[large[0]],
            where=f"{path}, {block[large[0]].place}, column {name!r}",
            fix="Change the unit of the column.",
        )
    return values
