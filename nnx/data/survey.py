"""The first reading of a table: which columns are numbers, which are texts, and what is wrong with them."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from nnx.data.csv import Row
from nnx.data.targets import FEW, did_you_mean, in_order
from nnx.errors import DataError

MISSING = frozenset(("", "nan", "NaN", "NAN", "#N/A", "#NA", "<NA>"))
MISSING_NUMBER = MISSING | {"NA", "N/A", "n/a", "na", "null", "NULL", "Null", "None", "none", "?", "-", "."}
DATES = "Turn it into numbers that mean something here, such as days since a date, month or hour; or leave it out with "
MOST = 1000  # distinct values that are remembered: more are no categories
_BLOCK = 2048
_WHOLE = re.compile(r"[+-]?\d{1,400}")  # Python reads no whole number of more than 4300 digits
_COMMAS = re.compile(r"[-+]?\d[\d.]*(,\d+)+(\.\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?|\d{1,2}[./]\d{1,2}[./](\d\d){1,2}")


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
        self.missing = self.missing or _first(missing, cells, rows)
        self.missing_number = self.missing_number or _first(missing_number, cells, rows)
        self.text = self.text or _first(rest - missing - missing_number, cells, rows)

    @property
    def numeric(self) -> bool:
        """Whether every cell is a number; DataError if the column is neither that nor texts."""
        if self.missing:
            raise self._error(self.missing, "a value" if self.text else "a number")
        if self.missing_number and not self.text:
            raise self._error(self.missing_number, "a number")
        if self.numbers == self.count:
            return True
        if self.text and self.numbers and (len(self.values) > FEW or 5 * len(self.values) > self.count):
            raise self._error(self.text, "a number, as in other rows of this column")
        if self.text and _COMMAS.fullmatch(self.text[1]):
            raise self._error(self.text, "a number with a decimal point")
        return False

    def categories(self, target: bool = False) -> tuple[str, ...]:
        """The distinct texts in order; DataError if they are too many to be categories (or, for a target, classes)."""
        if self.missing:
            raise self._error(self.missing, "a value")
        distinct = len(self.values)
        if distinct > MOST or (distinct > 50 and 2 * distinct > self.count):
            drop = f"It seems to name the rows: leave it out with drop=[{self.name!r}]."
            raise DataError(
                expected="few classes" if target else "a column of numbers, or of few texts",
                got=f"{'more than ' * (distinct > MOST)}{min(distinct, MOST)} different values in {self.count} rows",
                where=f"{self.where}, column {self.name!r}",
                fix="Take another target, or task='regression' if it is a number." if target else drop,
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
        return DataError(
            expected="a column of numbers, or of texts",
            got=f"dates such as {min(self.values)!r}",
            where=f"{self.where}, column {self.name!r}",
            fix=f"{DATES}drop=[{self.name!r}]. Dates that are names are categorical=[{self.name!r}].",
        )

    def not_number(self, what: str, instead: str = "") -> DataError:
        """The error of a column that must be numbers and is not; ``instead``: what to pass if it is to hold names."""
        return self._error(self.text or self.missing_number or self.missing or ("row 1", ""), what, instead)

    def _error(self, cell: tuple[str, str], expected: str, instead: str | None = None) -> DataError:
        place, text = cell
        at = f"{self.where}, {place}, column {self.name!r}"
        if text in MISSING_NUMBER:
            got, fix = f"a missing value ({text!r})" if text else "an empty cell", "Fill it in or remove the row."
            if (absent := self.count - self.numbers) > 1 and not self.text:
                got, fix = f"{got}, and {absent} such in all", "Fill them in, remove the rows or drop the column."
        else:
            got = repr(text)
            if _is_infinite(text):
                return DataError(
                    expected="a finite number", got=got, where=at, fix="Correct the cell or remove the row."
                )
            instead = f"categorical=[{self.name!r}]" if instead is None else instead
            names = f", or pass {instead} if the column holds names" if instead else ""
            commas = "Use decimal points, and no commas between thousands."
            fix = commas if _COMMAS.fullmatch(text) else f"Correct the cell{names}."
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
    return DataError(
        expected="a category that the model knows",
        got=repr(text),
        where=where,
        fix=did_you_mean(text, known) + " Correct the cell, or train again with such rows.",
    )
