"""The first reading of a table: which columns are numbers, which are texts, and what is wrong with them."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from nnx.data.csv import Row
from nnx.data.targets import FEW, did_you_mean, in_order, listing
from nnx.errors import DataError

MISSING = frozenset(("", "nan", "NaN", "NAN", "#N/A", "#NA", "<NA>"))
UNSAID = frozenset(("NA", "N/A", "n/a", "na", "null", "NULL", "Null", "?"))
"""What may mean a missing value, among texts too."""
MISSING_NUMBER = MISSING | UNSAID | {"None", "none", "-", "."}
MEANING = "Turn it into numbers that mean something here, such as days since a date, month or hour; or "
DATES = f"{MEANING}leave it out with "
MOST = 1000  # distinct values that are remembered: more are no categories
_FEW_ROWS = 10  # up to which texts may all differ and still be categories
_BLOCK = 2048
_WHOLE = re.compile(r"[+-]?\d{1,400}")  # Python reads no whole number of more than 4300 digits
_COMMAS = re.compile(r"[-+]?\d[\d.]*(,\d+)+(\.\d+)?([eE][-+]?\d+)?")
_SIGNED = re.compile(r"[$€£¥] ?[-+]?\d[\d.,]*|[-+]?\d[\d.,]* ?[$€£¥%]")
_DATE = re.compile(r"\d{4}([-/.])\d\d?\1\d\d?([T ]\d\d:\d\d.*)?|\d{1,2}[./]\d{1,2}[./](\d\d){1,2}")


@dataclass
class Seen:
    """What one column holds. Places are as ``Row.place`` says them."""

    name: str
    where: str
    count: int = 0
    numbers: int = 0
    low: float = math.inf  # of the numbers
    high: float = -math.inf
    whole: bool = True
    values: set[str] = field(default_factory=set)
    missing: tuple[str, str] | None = None  # the first missing cell: place and text
    missing_number: tuple[str, str] | None = None
    text: tuple[str, str] | None = None  # the first cell that is no number
    absent: int = 0  # missing cells
    target: bool = False

    def add(self, cells: tuple[str, ...], rows: list[Row]) -> None:
        """Look at a block of cells."""
        self.count += len(cells)
        distinct = set(cells)
        if len(self.values) <= MOST:
            self.values |= set(islice(distinct, 2 * MOST))
        numbers = {cell for cell in distinct if is_number(cell)}
        self.whole = self.whole and all(is_whole(cell) for cell in numbers)
        values = [float(cell) for cell in numbers]
        self.low, self.high = min((self.low, *values)), max((self.high, *values))
        if len(numbers) == len(distinct):
            self.numbers += len(cells)
            return
        self.numbers += sum(cell in numbers for cell in cells) if numbers else 0
        rest = distinct - numbers
        missing = {cell for cell in rest if cell in MISSING or _is_infinite(cell)}
        missing_number = (rest & MISSING_NUMBER) - missing
        self.absent += sum(cell in missing for cell in cells) if missing else 0
        self.missing = self.missing or _first(missing, cells, rows)
        self.missing_number = self.missing_number or _first(missing_number, cells, rows)
        self.text = self.text or _first(rest - missing - missing_number, cells, rows)

    def numeric(self, names: bool = False) -> bool:
        """Whether every cell is a number; DataError if the column is neither that nor texts, unless it was said to hold names."""
        if self.numbers == self.count:
            return True
        if self.text and self.numbers and not names and (len(self.values) > FEW or 5 * len(self.values) > self.count):
            raise self._error(self.text, "a number, as in other rows of this column")
        if self.text and not names and _COMMAS.fullmatch(self.text[1]):
            raise self._error(self.text, "a number with a decimal point")
        if self.text and not names and _SIGNED.fullmatch(self.text[1]):
            raise self._error(self.text, "a number alone")
        return False

    def lacks(self, names: bool = False) -> bool:
        """Whether a value is missing; among ``names`` NA is one of them."""
        return self.missing is not None or bool(self.missing_number and not self.text and not names)

    def missing_value(self, names: bool, others: Sequence[str]) -> DataError:
        """The error of a column that lacks a value; ``others`` lack some, too."""
        cell = self.missing or self.missing_number or ("", "")
        error = self._error(cell, "a value" if self.text or names else "a number")
        if others:
            error.fix += f" Values are missing in {listing(others, 5)}, too."
        return error

    @property
    def names_rows(self) -> bool:
        """Whether the texts are too many to be categories: more than remembered, or nearly one for each row."""
        distinct = len(self.values)
        if distinct > MOST:
            return True
        if distinct > 50:
            return 2 * distinct > self.count
        return self.text is not None and distinct == self.count > _FEW_ROWS

    def categories(self) -> tuple[str, ...]:
        """The distinct texts in order; DataError if they are too many to be categories (or, for a target, classes)."""
        if self.names_rows:
            distinct = len(self.values)
            leave = "take another column with target=" if self.target else f"leave it out with drop=[{self.name!r}]"
            numbers = self.target and self.numbers == self.count
            raise DataError(
                expected="few classes" if self.target else "a column of numbers, or of few texts",
                got=f"{'more than ' * (distinct > MOST)}{min(distinct, MOST)} different values in {self.count} rows",
                where=f"{self.where}, column {self.name!r}",
                fix="Pass task='regression'." if numbers else f"It seems to name the rows: {leave}.",
            )
        return in_order(self.values)

    @property
    def dates(self) -> bool:
        """Whether every cell is a date, which is neither a number nor a name."""
        return bool(self.values) and all(_DATE.fullmatch(value) for value in self.values)

    @property
    def empty(self) -> bool:
        """Whether no cell says anything."""
        return self.missing is not None and self.values <= MISSING

    def check_whole(self) -> None:
        """DataError for a column of real numbers that should hold classes; 1.0 is a whole one."""
        if real := sorted(value for value in self.values if not float(value).is_integer()):
            raise DataError(
                expected="whole numbers or names as classes",
                got=repr(real[0]),
                where=f"{self.where}, column {self.name!r}",
                fix="Pass task='regression', or give the classes names.",
            )

    def not_category(self) -> DataError:
        """The error of a column of dates."""
        leave, names = f"drop=[{self.name!r}]", f"categorical=[{self.name!r}]"
        if self.target:
            leave, names = "take another column with target=", "task='classification'"
        named = "" if self.names_rows else f" Dates that are names are {names}."
        return DataError(
            expected="a column of numbers, or of texts",
            got=f"dates such as {min(self.values)!r}",
            where=f"{self.where}, column {self.name!r}",
            fix=f"{DATES if not self.target else MEANING}{leave}.{named}",
        )

    def not_number(self, what: str, instead: str = "") -> DataError:
        """The error of a column that must be numbers and is not; ``instead``: what else could be done."""
        return self._error(self.text or self.missing_number or self.missing or ("row 1", ""), what, instead)

    def _error(self, cell: tuple[str, str], expected: str, instead: str | None = None) -> DataError:
        place, text = cell
        at = f"{self.where}, {place}, column {self.name!r}"
        if text in MISSING_NUMBER:
            got, fix = f"a missing value ({text!r})" if text else "an empty cell", "Fill it in or remove the row."
            if (absent := self.absent if self.text else self.count - self.numbers) > 1:
                leave = f", remove the rows or leave the column out with drop=[{self.name!r}]"
                got = f"{got}, and {absent} such in all"
                fix = f"Fill them in{' or remove the rows' if self.target or instead is not None else leave}."
        elif _is_infinite(text):
            expected, got, fix = "a finite number", repr(text), "Correct the cell or remove the row."
        elif _COMMAS.fullmatch(text):
            got, fix = repr(text), "Use decimal points, and no commas between thousands."
        else:
            if instead is None:
                named = "task='classification'" if self.target else f"categorical=[{self.name!r}]"
                instead = f"pass {named} if the column holds names"
            correct = "Leave out what is no number" if _SIGNED.fullmatch(text) else "Correct the cell"
            got, fix = repr(text), f"{correct}{f', or {instead}' if instead else ''}."
        return DataError(expected=expected, got=got, where=at, fix=fix)


def survey(every: Iterable[Row], names: tuple[str, ...], where: str) -> list[Seen]:
    """One ``Seen`` for each column, from all rows of data."""
    seen = [Seen(name, where) for name in names]
    for block in blocks(every):
        for column, cells in zip(seen, zip(*(row.cells for row in block), strict=True), strict=True):
            column.add(cells, block)
    return seen


def blocks(every: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows by the thousand."""
    rows = iter(every)
    while block := list(islice(rows, _BLOCK)):
        yield block


def _first(wanted: set[str], cells: tuple[str, ...], rows: list[Row]) -> tuple[str, str] | None:
    """Place and text of the first of the cells that are wanted."""
    return (
        next(((row.place, cell) for cell, row in zip(cells, rows, strict=True) if cell in wanted), None)
        if wanted
        else None
    )


def is_number(cell: str) -> bool:
    """Whether a cell is one finite decimal number.

    >>> [is_number(cell) for cell in ("1", "-2.5e3", "", "nan", "1_000", "1,5")]
    [True, True, False, False, False, False]
    """
    try:
        return math.isfinite(float(cell)) and "_" not in cell
    except ValueError:
        return False


def _is_infinite(cell: str) -> bool:
    try:
        return math.isinf(float(cell))
    except ValueError:
        return False


def is_whole(cell: str) -> bool:
    return _WHOLE.fullmatch(cell) is not None


def unknown_category(text: str, known: tuple[str, ...], where: str) -> DataError:
    """The error of a text that the training data did not have."""
    correct = did_you_mean(text, known) + " Correct the cell, or train again with such rows."
    return DataError(
        expected="a category that the model knows",
        got=repr(text) if text else "an empty cell",
        where=where,
        fix=correct if text else "Fill it in or remove the row.",
    )
