"""Parquet files through pyarrow, which is imported when one is read: some columns at a time, texts kept once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnx.data.limits import claim, plausible
from nnx.data.table import check_names
from nnx.errors import BackendUnavailable, DataError, NnxError

OLDEST = 15
_READINGS = 50  # each looks at the names of all columns


def parquet_columns(path: Path) -> Iterator[tuple[str, Any]]:
    """Name and values of each column; sizes are judged before any is read."""
    parquet = _library(path)
    try:
        with parquet.ParquetFile(path) as file:
            schema, about = file.schema_arrow, file.metadata
            names, rows = list(schema.names), about.num_rows
            if not names or rows < 1:
                raise DataError("no rows", where=str(path), fix="Write it with at least one row.")
            check_names(names, str(path))
            declared = 8 * rows * len(names)
            plausible(declared, path.stat().st_size, str(path))
            claim(declared, str(path))
            texts = [field.name for field in schema if str(field.type) in ("string", "large_string", "string_view")]
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            step = -(-len(names) // _READINGS)
            for start in range(0, len(names), step):
                group = file.read(columns=names[start : start + step], use_threads=False)
                for name in names[start : start + step]:
                    yield name, group.column(name)
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
