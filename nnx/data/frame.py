"""DataFrames of pandas, polars and pyarrow, and Parquet files: tables whose columns have types. None of them is imported here.

A column is asked for what all three can give: its dtype by name, ``to_numpy()``, and its values as a list.
"""

from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from nnx.data.survey import DATES, MOST, Seen
from nnx.data.table import check_names
from nnx.errors import ConfigError, DataError, DtypeError

_CATEGORIES = ("category", "Categorical", "Enum", "dictionary<")
_TEXTS = ("string", "large_string", "string_view")


@dataclass(frozen=True)
class Cells:
    """One column: numbers (N,) float64 with NaN for what is missing; or texts, and which of them each row has, −1 for none."""

    name: str
    numbers: np.ndarray[Any, Any] | None = None
    whole: bool = False
    codes: np.ndarray[Any, Any] | None = None
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        values = self.codes if self.numbers is None else self.numbers
        return 0 if values is None else len(values)

    def seen(self, where: str) -> Seen:
        """The column as the survey of a table would have found it."""
        found = Seen(self.name, where, count=len(self), whole=self.whole)
        if self.numbers is not None:
            wrong = np.flatnonzero(~np.isfinite(self.numbers))
            found.numbers = len(self) - len(wrong)
            if wrong.size:
                value = self.numbers[wrong[0]]
                found.missing = (f"row {wrong[0]}", "" if np.isnan(value) else str(value))
            distinct = np.unique(self.numbers[np.isfinite(self.numbers)])[: MOST + 1]
            found.values = {_text_of(value) for value in distinct.tolist()} | ({""} if wrong.size else set())
            if found.numbers:
                found.low, found.high = float(self.numbers.min()), float(self.numbers.max())
            return found
        assert self.codes is not None
        absent = np.flatnonzero(self.codes < 0)
        found.missing, found.absent = (f"row {absent[0]}", "") if absent.size else None, len(absent)
        found.values = set(self.texts[: MOST + 1]) | ({""} if absent.size else set())
        there = np.flatnonzero(self.codes >= 0)
        found.text = (f"row {there[0]}", self.texts[self.codes[there[0]]]) if there.size else None
        return found

    def named(self) -> tuple[np.ndarray[Any, Any], tuple[str, ...]]:
        """Codes and texts, also of numbers."""
        if self.numbers is None:
            assert self.codes is not None
            return self.codes, self.texts
        distinct, codes = np.unique(self.numbers, return_inverse=True)
        return codes.reshape(-1), tuple(_text_of(value) for value in distinct.tolist())


def is_frame(source: Any) -> bool:
    """Whether it has named columns, as the tables of pandas, polars and pyarrow have."""
    if hasattr(source, "collect"):  # one that is computed when it is collected: asked for its columns it would begin
        return True
    return hasattr(source, "column_names") or (hasattr(source, "columns") and hasattr(source, "shape"))


def cells_of(frame: Any, where: str) -> list[Cells]:
    """The columns of a frame. Errors: DtypeError for dates, lists and what else is neither number nor text."""
    if not hasattr(frame, "shape"):
        raise ConfigError(
            expected="a table", got=type(frame).__name__, where=where, fix="Collect it first: frame.collect()."
        )
    names = [str(name) for name in (frame.column_names if hasattr(frame, "column_names") else frame.columns)]
    if not names or not frame.shape[0]:
        raise DataError(
            expected="rows and columns", got=f"shape {tuple(frame.shape)}", where=where, fix="Give it data."
        )
    check_names(names, where)
    return [cells(name, _column(frame, i), where) for i, name in enumerate(names)]


def _column(frame: Any, i: int) -> Any:
    if hasattr(frame, "iloc"):
        return frame.iloc[:, i]
    return frame.column(i) if hasattr(frame, "column") else frame.to_series(i)


def cells(name: str, column: Any, where: str) -> Cells:
    """One column of a frame."""
    kind = str(getattr(column, "dtype", getattr(column, "type", "")))
    if hasattr(column, "dictionary_encode") and (kind in _TEXTS or kind.startswith("dictionary<")):
        return _of_dictionary(name, column, where)
    if kind.startswith(_CATEGORIES):
        return _of_objects(name, _objects(column), where, category=True)
    values = np.asarray(column.to_numpy())
    if values.ndim != 1:
        return _of_objects(name, _objects(column), where)
    if values.dtype.kind in "iuf":
        return Cells(name, values.astype(np.float64), values.dtype.kind in "iu")
    if values.dtype.kind == "b":
        return Cells(name, codes=values.astype(np.int64), texts=("False", "True"))
    if values.dtype.kind in "mM" or "date" in kind or "time" in kind.lower() or "duration" in kind.lower():
        raise _date(name, kind, where)
    return _of_objects(name, _objects(column), where)


def _objects(column: Any) -> list[Any]:
    for way in ("to_pylist", "to_list", "tolist"):
        if hasattr(column, way):
            return list(getattr(column, way)())
    return list(column)


def _of_dictionary(name: str, column: Any, where: str) -> Cells:
    """A column of pyarrow whose texts are kept once: it may hold far fewer than rows, and a file may say so of very long ones."""
    encoded = column.dictionary_encode().unify_dictionaries().combine_chunks()
    for chunk in getattr(encoded, "chunks", [encoded]):
        found = _of_objects(name, chunk.dictionary.to_pylist(), where, category=True)
        assert found.codes is not None
        codes = np.asarray(chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
        codes = np.append(found.codes, -1)[codes]  # what is missing has code −1: the last
        used = np.unique(codes[codes >= 0])
        place = np.full(len(found.texts) + 1, -1, dtype=np.int64)
        place[used] = np.arange(len(used))
        return Cells(name, codes=place[codes], texts=tuple(found.texts[i] for i in used))
    raise DataError("an empty column", where=f"{where}, column {name!r}", fix="Give it data.")


def _of_objects(name: str, objects: list[Any], where: str, category: bool = False) -> Cells:
    """A column of Python objects: all numbers, or all texts and truth values."""
    kinds = {type(one) for one in objects if not _missing(one)}
    if (
        not category
        and kinds
        and all(issubclass(kind, (Real, Decimal)) and not issubclass(kind, (bool, np.bool_)) for kind in kinds)
    ):
        numbers = [np.nan if _missing(one) else _float(one) for one in objects]
        return Cells(
            name, np.asarray(numbers, dtype=np.float64), all(issubclass(kind, (int, np.integer)) for kind in kinds)
        )
    if any(issubclass(kind, (date, time, timedelta, np.datetime64, np.timedelta64)) for kind in kinds):
        raise _date(name, "dates", where)
    allowed = (str, bool, np.bool_, Real, Decimal) if category else (str, bool, np.bool_)
    for row, one in enumerate(objects):
        if not (_missing(one) or isinstance(one, allowed)):
            raise DtypeError(
                expected="a column of numbers, or of texts",
                got=f"{type(one).__name__} in row {row}",
                where=f"{where}, column {name!r}",
                fix="Make all of them texts or all of them numbers, or leave the column out with drop=.",
            )
    index: dict[str, int] = {}
    codes = [-1 if _missing(one) else index.setdefault(_text_of(one), len(index)) for one in objects]
    return Cells(name, codes=np.asarray(codes, dtype=np.int64), texts=tuple(index))


def _float(one: Any) -> float:
    try:
        return float(one)
    except OverflowError:
        return np.inf


def _missing(one: Any) -> bool:
    return (
        one is None or type(one).__name__ in ("NAType", "NaTType") or (isinstance(one, (Real, Decimal)) and one != one)
    )


def _text_of(one: Any) -> str:
    """The name of a value: of 3.0 and 3 the same."""
    if isinstance(one, (bool, np.bool_)) or not isinstance(one, (Real, Decimal)):
        return str(one).strip()
    value = float(one)
    return str(int(value)) if value.is_integer() else repr(value)


def _date(name: str, kind: str, where: str) -> DtypeError:
    return DtypeError(
        expected="a column of numbers, or of texts",
        got=kind,
        where=f"{where}, column {name!r}",
        fix=f"{DATES}drop=.",
    )


def read_parquet_cells(path: Path) -> list[Cells]:
    """The columns of a Parquet file, one after another. It is read by pyarrow, which must be 15 or later: 14.0.0 and
    before ran code from files (CVE-2023-47248).

    Errors: DataError for a damaged file or one that declares more than memory has.
    """
    from nnx.data.parquet import parquet_columns

    return [cells(name, column, str(path)) for name, column in parquet_columns(path)]
