"""Rows of a delimited text file (RFC 4180): one line at a time, so that no file takes more memory than its longest line."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from nnx.data.limits import plausible
from nnx.errors import ConfigError, DataError

DELIMITERS = ("\t", ";", ",")  # in a tie the comma loses: it may be a decimal comma
_LINE = 16 << 20  # bytes
_COLUMNS = 100_000
_UNQUESTIONED = 4 << 20  # bytes of unpacked text that are read whatever they were packed into: parsing takes time
_SAMPLE = 32  # rows that decide the delimiter


class Row(NamedTuple):
    """One record: its cells without surrounding blanks, its number as a spreadsheet shows it (the first row is 1), its line."""

    number: int
    line: int
    cells: list[str]

    @property
    def place(self) -> str:
        """Where a reader of the file finds it."""
        return f"row {self.number}" + (f" (line {self.line})" if self.line != self.number else "")


def rows(path: Path, delimiter: str | None = None) -> Iterator[Row]:
    """The rows of a file; blank lines are left out, a byte-order mark too. All have as many cells as the first.

    The delimiter is a comma, a semicolon or a tab: the one under which the first rows have the same number of cells.

    Errors: DataError with the row for text that is not UTF-8, an open quote, a ragged row, an overlong line.
    """
    if path.suffix.lower() == ".gz":
        _check_growth(path)
    if delimiter is None:
        delimiter = detect(path)
    elif delimiter not in DELIMITERS:
        raise ConfigError(
            expected="delimiter ',', ';' or a tab", got=repr(delimiter), where="delimiter", fix="Choose one of those."
        )
    width = None
    for read, row in enumerate(_parse(_lines(path), delimiter, path)):
        if width is None:
            width = len(row.cells)
            if width > _COLUMNS:
                raise DataError(
                    expected=f"at most {_COLUMNS} columns",
                    got=str(width),
                    where=f"{path}, {row.place}",
                    fix="Save such data as NPZ: numpy.savez(path, x=x, y=y).",
                )
        if len(row.cells) != width:
            fix = f'Add or remove cells; put a cell that contains {delimiter!r} in "quotes".'
            if read == 1 and len(row.cells) == width + 1:
                fix += f" If the rows begin with names, as R's write.table writes them, begin the header with {delimiter!r}."
            raise DataError(
                expected=f"{width} cell{'s' * (width != 1)} as in the first row",
                got=str(len(row.cells)),
                where=f"{path}, {row.place}",
                fix=fix,
            )
        yield row


def detect(path: Path) -> str:
    """The delimiter of a file, judged from its first rows."""
    best, widest = ",", 1
    for candidate in DELIMITERS:
        try:
            widths = {len(row.cells) for row in islice(_parse(_lines(path), candidate, path), _SAMPLE)}
        except DataError:
            continue  # not under this one; under the right one the reading itself will tell
        if len(widths) == 1 and max(widths) > widest:
            best, widest = candidate, max(widths)
    if widest > 1:
        return best
    head = next(_lines(path), "")  # ragged or of one column: the header decides
    return max(reversed(DELIMITERS), key=head.count)


def _parse(lines: Iterator[str], delimiter: str, path: Path) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    number, line = 1, 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if len(stripped) > 1 or any(stripped):
                yield Row(number, line, stripped)
            number, line = number + 1, reader.line_num + 1
    except csv.Error as error:
        where = f"{path}, {Row(number, line, []).place}"
        if str(error).startswith("new-line character"):
            fix = "Save the file with the line ends of Unix or Windows."
            raise DataError("a carriage return without a line feed", where=where, fix=fix) from error
        raise DataError(
            f"{error}",
            where=where,
            fix='Look for a quote that is not closed; inside a quoted cell a quote is written twice: "".',
        ) from error


def _check_growth(path: Path) -> None:
    """Refuse a bomb before its text is parsed: unpacking alone is many times faster."""
    stored, read = path.stat().st_size, 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(1 << 20):
                read += len(piece)
                plausible(read, stored, str(path), _UNQUESTIONED)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged_gzip(path, error) from error


def _damaged_gzip(path: Path, error: Exception) -> DataError:
    return DataError(f"damaged gzip file: {error}", where=str(path), fix="Copy it again.")


def _lines(path: Path) -> Iterator[str]:
    """Decoded lines, each checked before the parser sees it."""
    zipped, read, number = path.suffix.lower() == ".gz", 0, 0
    stored = path.stat().st_size
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            while raw := file.readline(_LINE):
                number += 1
                read += len(raw)
                if len(raw) == _LINE:
                    raise DataError(f"a line longer than {_LINE} bytes", where=f"{path}, line {number}", fix=_NOT_TEXT)
                if zipped:
                    plausible(read, stored, str(path), _UNQUESTIONED)
                yield _decode(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, path, number)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged_gzip(path, error) from error


_NOT_TEXT = "Save the file as text, UTF-8 (in a spreadsheet: CSV UTF-8)."


def _decode(raw: bytes, path: Path, number: int) -> str:
    if b"\0" in raw:
        raise DataError("a zero byte: this is no text, or UTF-16", where=f"{path}, line {number}", fix=_NOT_TEXT)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            expected="UTF-8", got=f"byte 0x{raw[error.start]:02x}", where=f"{path}, line {number}", fix=_NOT_TEXT
        ) from error


def first_rows(path: Path, delimiter: str | None = None) -> tuple[Row, Iterator[Row]]:
    """The first row, and all rows again from the first on."""
    every = rows(path, delimiter)
    first = next(every, None)
    if first is None:
        raise DataError("the file is empty", where=str(path), fix="Write a header line and at least one row.")
    return first, chain([first], every)
