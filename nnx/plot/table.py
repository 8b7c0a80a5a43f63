"""The numbers of a picture: a table of columns, written as CSV beside it."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnx.errors import ConfigError
from nnx.plot.style import unwritable
from nnx.train.files.weights import write_whole

Host = np.ndarray[Any, Any]


class Numbers:
    """The abstract base of what the functions of ``nnx.plot`` give back: what is drawn, as numbers on the host."""

    def columns(self) -> Mapping[str, Sequence[Any] | Host]:
        """The columns by name, all of one length."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the columns as CSV; floating-point numbers so that they read back exactly.

        Errors: ``ConfigError`` for a place that cannot be written.
        """
        file = Path(path)
        if file.suffix.lower() != ".csv":
            raise ConfigError(expected="a name that ends in .csv", got=repr(str(path)), fix=f"Name it {file.stem}.csv.")
        try:
            write_whole(file, text(self.columns()).encode())
        except OSError as error:
            raise unwritable(file, error) from None
        return file


def text(columns: Mapping[str, Sequence[Any] | Host]) -> str:
    """Columns as CSV.

    >>> print(text({"epoch": [1, 2], "loss": np.asarray([0.5, 0.1])}), end="")
    epoch,loss
    1,0.5
    2,0.1
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    plain = [np.asarray(column).tolist() if isinstance(column, np.ndarray) else column for column in columns.values()]
    writer.writerows(zip(*plain, strict=True))
    return stream.getvalue()
