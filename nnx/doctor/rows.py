"""The user's data as the doctor takes them: on the host, with nothing refused that a check is to find."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnx import backends
from nnx.autodiff.transforms import is_array
from nnx.data import Dataset
from nnx.data.stream import Streamed
from nnx.errors import ConfigError, DataError, DtypeError, ShapeError


@dataclass(frozen=True)
class Rows:
    """Inputs x (N, …) and targets y on the host. Unlike ``Dataset`` it may hold NaN, labels out of range and wrong shapes."""

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    task: str
    classes: int | None
    feature_names: tuple[str, ...] | None
    name: str
    class_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return int(self.x.shape[0])

    @property
    def labels(self) -> np.ndarray[Any, Any] | None:
        """Whole-number labels (N,), if that is what the targets are."""
        return self.y if self.task == "classification" and self.y.ndim == 1 and self.y.dtype.kind in "iu" else None

    @property
    def flat(self) -> np.ndarray[Any, Any]:
        """The inputs as a table (N, features)."""
        return self.x.reshape(len(self), -1)

    def column(self, index: int) -> str:
        """What to call a column of the table."""
        return f"column {index}" + (f" ({self.feature_names[index]})" if self.feature_names else "")

    def label(self, index: int) -> str:
        """What to call a class: its name in the table, where it has one."""
        names = self.class_names or ()
        return f"class {names[index] if index < len(names) else index}"

    def take(self, index: Any) -> "Rows":
        """Some of the rows."""
        return replace(self, x=self.x[index], y=self.y[index])


_FEWEST, _BYTES = (
    1024,
    64 << 20,
)  # rows of data larger than memory that are looked at: evenly spaced, as many as make 64 MiB


def rows_of(data: Any, name: str) -> Rows:
    """Rows from a ``Dataset`` (of data larger than memory some, evenly spaced) or from a pair (x, y) of arrays of any
    library, host or device.

    Errors: ``ConfigError`` for anything else, ``DtypeError`` for what is not numbers, ``ShapeError`` or ``DataError``
    when x and y are not rows that belong together.
    """
    if isinstance(data, Dataset):
        if data.y is None:
            raise DataError(f"{name} has no targets", where="doctor", fix="Give data with their targets.")
        classes = None if data.classes is None else len(data.classes)
        if isinstance(data.x, Streamed):
            most = max(_FEWEST, _BYTES // max(1, data.x.nbytes // len(data)))
            data = data.take(np.linspace(0, len(data) - 1, min(most, len(data))).astype(np.int64))
            data = replace(data, x=np.asarray(data.x))
        return Rows(data.x, data.y, str(data.task), classes, data.feature_names, name, data.classes)
    if not (isinstance(data, (tuple, list)) and len(data) == 2 and all(map(is_array, data))):
        raise ConfigError(
            expected=f"{name} as a Dataset or a pair of arrays (x, y)",
            got=f"{type(data).__name__}",
            where="doctor",
            fix="Use nnx.data.load(...), or pass (x, y).",
        )
    x, y = (backends.of(array).to_numpy(array) for array in data)
    for what, array in (("x", x), ("y", y)):
        if array.dtype.kind not in "fiub" or (what == "x" and array.dtype.kind == "b"):
            raise DtypeError(
                expected=f"real numbers in {what} of {name}",
                got=str(array.dtype),
                where="doctor",
                fix="Encode it as numbers.",
            )
    if x.ndim < 2 or y.ndim < 1 or x.shape[0] != y.shape[0]:
        raise ShapeError(
            expected=f"x of shape (N, …) and y with as many rows in {name}",
            got=f"{x.shape} and {y.shape}",
            where="doctor",
            fix="Row i of x belongs to row i of y.",
        )
    if x.size == 0:
        raise DataError(
            expected=f"rows and features in {name}", got=f"x of shape {x.shape}", where="doctor", fix="Give it data."
        )
    whole = y.dtype.kind in "iub"
    y = y.astype(np.int64) if whole else y
    classes = int(y.max()) + 1 if whole else None
    return Rows(x, y, "classification" if whole else "regression", classes, None, name)
