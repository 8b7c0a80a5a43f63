"""Parquet files through pyarrow, which is imported when one is read: column by column, texts kept once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnx.data.limits import claim, plausible
from nnx.errors import BackendUnavailable, DataError, NnxError

OLDEST = 15


def parquet_columns(path: Path) -> Iterator[tuple[str, Any]]:
    """Name and values of each column; sizes are judged before any is read."""
    parquet = _library(path)
    try:
        with parquet.ParquetFile(path) as file:
            schema, about = file.schema_arrow, file.metadata
            names, rows = list(schema.names), about.num_rows
            if not names or rows < 1:
                raise DataError("no rows", where=str(path), fix="Write it with at least one row.")
            declared = 8 * rows * len(names)
            plausible(declared, path.stat().st_size, str(path))
            claim(declared, str(path))
            texts = [field.name for field in schema if str(field.type) in ("string", "large_string", "string_view")]
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            for i, name in enumerate(names):
                if names.index(name) != i:
                    raise DataError(f"two columns named {name!r}", where=str(path), fix="Rename one of them.")
                column = file.read(columns=[name], use_threads=False)
                if column.num_columns != 1 or column.num_rows != rows:
                    raise DataError(f"{column.num_rows} of {rows} rows in column {name!r}", where=str(path), fix=_FIX)
                yield name, column.column(0)
    except NnxError:
        raise
    except (
        Exception
    ) as error:  # pyarrow's own, OSError, ValueError, UnicodeDecodeError, …: whatever a damaged file leads to
        raise DataError(expected="a whole Parquet file", got=f"{error}"[:200], where=str(path), fix=_FIX) from error


_FIX = "Copy it again, or write it with frame.to_parquet(path)."


def _library(path: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        version = 0
    else:
        version = int(pyarrow.__version__.partition(".")[0])
    if version < OLDEST:
        raise BackendUnavailable(
            f"Parquet needs pyarrow {OLDEST} or later",
            got=f"pyarrow {version}" if version else "none",
            where=str(path),
            fix='Install it: pip install "nnx-array[parquet]".',
        )
    return parquet
