"""A data set: examples, targets, and the names that belong to them. It is checked once, when it is made."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnx.data.resident import Resident
from nnx.data.schema import Encoding, Schema, Task
from nnx.data.stream import Streamed, rows_at
from nnx.errors import DataError, DtypeError, ShapeError

_BLOCK = 1 << 20  # elements looked at together: a memory-mapped file is never drawn into memory whole


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Rows of input ``x`` and their targets ``y`` on the host, with what is known about them.

    ``x`` is a NumPy array, or what stands for one that is larger than memory (``nnx.data.stream.Streamed``) or lives on
    a device (``nnx.data.resident.Resident``).

    Shapes: x (N, …) real; y (N,) int64 labels 0…C−1 for classification, (N, k) real for regression, None if unknown.
    ``image_shape`` (H, W, C) says that the flat rows of x are images; ``as_images()`` gives them that shape.

    Errors: DataError, DtypeError or ShapeError when lengths differ, a value is not finite, or a label is out of range;
    each names the row and the column.

    >>> import numpy as np
    >>> data = Dataset(np.zeros((4, 2), dtype=np.float32), np.asarray([0, 1, 1, 0]), classes=("no", "yes"), name="toy")
    >>> data
    Dataset(toy: 4 rows of (2,) float32, 2 classes: no, yes)
    >>> len(data), data.outputs, data.take([1, 2]).y
    (4, 2, array([1, 1]))
    """

    x: Any
    y: np.ndarray[Any, Any] | None
    task: Task | None = "classification"
    classes: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None
    name: str = "data"
    image_shape: tuple[int, int, int] | None = None
    encoding: Encoding | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_inputs(self)
        if self.task not in ("classification", "regression", None):
            raise DataError(
                expected="task 'classification' or 'regression'",
                got=repr(self.task),
                where=self.name,
                fix="Choose one, or None without targets.",
            )
        if self.y is None:
            return
        if not isinstance(self.y, np.ndarray):
            raise DtypeError(
                expected="y as a NumPy array",
                got=type(self.y).__name__,
                where=self.name,
                fix="Use nnx.data.load((x, y)).",
            )
        if self.y.ndim == 0 or self.y.shape[0] != len(self):
            raise ShapeError(
                expected=f"as many targets as rows of x, {len(self)}",
                got=f"y of shape {self.y.shape}",
                where=self.name,
                fix="Pair x and y again: row i of one belongs to row i of the other.",
            )
        if self.task == "classification":
            _check_labels(self)
        elif self.task == "regression":
            _check_targets(self)
        else:
            raise DataError(
                "y is given but not the task", where=self.name, fix="Pass task='classification' or 'regression'."
            )

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def __repr__(self) -> str:
        rows = f"{self.name}: {len(self)} row{'s' * (len(self) != 1)} of {self.x.shape[1:]} {self.x.dtype}"
        if self.y is None:
            return f"Dataset({rows}, no targets)"
        if self.task == "regression":
            return f"Dataset({rows}, {self.y.shape[1]} target{'s' * (self.y.shape[1] != 1)})"
        classes = self.classes or ()
        shown = ", ".join(classes[:10]) + (", …" if len(classes) > 10 else "")
        return f"Dataset({rows}, {len(classes)} classes: {shown})"

    @property
    def outputs(self) -> int | None:
        """How many outputs a model needs: the number of classes, or of targets; None if neither is known."""
        if self.classes is not None:
            return len(self.classes)
        return None if self.y is None else int(self.y.shape[1])

    @property
    def schema(self) -> Schema:
        """What to save with a model so that ``load(source, schema=…)`` encodes other data in the same way."""
        return Schema(self.task, self.x.shape[1:], self.classes, self.outputs, self.target_name, self.encoding)

    def take(self, indices: Any) -> "Dataset":
        """The rows at ``indices`` (1-D, whole numbers), in that order."""
        index = np.asarray(indices)
        if index.ndim != 1 or (index.dtype.kind not in "iu" and index.size):
            raise ShapeError(
                expected="a 1-D array of row numbers",
                got=f"{index.dtype} of shape {index.shape}",
                where=self.name,
                fix="Turn a mask into numbers with numpy.flatnonzero.",
            )
        if index.size and not (index.min() >= 0 and index.max() < len(self)):
            raise DataError(
                expected=f"row numbers 0…{len(self) - 1}",
                got=f"{index.min()}…{index.max()}",
                where=self.name,
                fix="Count from 0.",
            )
        index = index.astype(np.int64)
        return replace(self, x=rows_at(self.x, index), y=None if self.y is None else self.y[index, ...])

    def as_images(self) -> "Dataset":
        """The same rows as images (N, H, W, C), for layers that want that shape."""
        if self.image_shape is None:
            raise ShapeError(
                expected="rows that are images",
                got=f"rows of shape {self.x.shape[1:]}",
                where=self.name,
                fix="Reshape x to (N, H, W, C) yourself, or set image_shape on the Dataset.",
            )
        return replace(self, x=self.x.reshape(-1, *self.image_shape))


def _check_inputs(data: Dataset) -> None:
    x = data.x
    if not isinstance(x, (np.ndarray, Streamed, Resident)):
        raise DtypeError(
            expected="x as a NumPy array", got=type(x).__name__, where=data.name, fix="Use nnx.data.load((x, y))."
        )
    if x.dtype.kind not in "fiu":
        raise DtypeError(
            expected="real numbers in x", got=str(x.dtype), where=data.name, fix="Convert it: x.astype(numpy.float32)."
        )
    if x.ndim < 2:
        raise ShapeError(
            expected="x of shape (N, features) or (N, …)",
            got=str(x.shape),
            where=data.name,
            fix="One feature a row is (N, 1): x[:, None].",
        )
    if x.size == 0:
        raise DataError(
            expected="at least one row and one feature",
            got=f"x of shape {x.shape}",
            where=data.name,
            fix="Give it data.",
        )
    if data.image_shape is not None and math.prod(data.image_shape) != math.prod(x.shape[1:]):
        raise ShapeError(
            expected=f"images of {data.image_shape}",
            got=f"rows of {x.shape[1:]}",
            where=data.name,
            fix="Correct image_shape, (height, width, channels).",
        )
    if data.feature_names is not None and len(data.feature_names) != math.prod(x.shape[1:]):
        raise ShapeError(
            expected=f"{len(data.feature_names)} features, as many as names",
            got=f"x of shape {x.shape}",
            where=data.name,
            fix="Give one name for each column of x.",
        )
    place = None if isinstance(x, (Streamed, Resident)) and x.finite else first_not_finite(x)
    if isinstance(x, Streamed):
        x.finite = place is None
    if place is not None:
        raise DataError(
            expected="finite inputs",
            got=str(x[place]),
            where=f"{data.name}, x at {_place(place, data.feature_names)}",
            fix="Drop the row, or fill the value with the training median.",
        )


def _check_labels(data: Dataset) -> None:
    y = data.y
    assert y is not None
    if y.dtype.kind not in "iu":
        raise DtypeError(
            expected="whole-number labels",
            got=f"y of {y.dtype}",
            where=data.name,
            fix="Use nnx.data.load((x, y), task='classification') to number classes, or task='regression'.",
        )
    if y.ndim != 1:
        fix = (
            "Drop the last axis: y[:, 0]."
            if y.shape[1:] == (1,)
            else "Turn one-hot rows into labels: y.argmax(axis=1)."
        )
        raise ShapeError(
            expected=f"labels of shape ({len(data)},)", got=f"y of shape {y.shape}", where=data.name, fix=fix
        )
    if data.classes is None:
        raise DataError(
            "the classes have no names",
            where=data.name,
            fix="Pass classes=('0', '1', …) in label order, or use nnx.data.load((x, y)).",
        )
    if not all(isinstance(name, str) for name in data.classes):
        raise DtypeError(
            expected="class names as texts",
            got=repr(data.classes)[:80],
            where=data.name,
            fix="Write classes=tuple(map(str, classes)).",
        )
    if len(set(data.classes)) != len(data.classes):
        raise DataError(
            expected="different class names",
            got=repr(data.classes)[:80],
            where=data.name,
            fix="Rename one, or give both the same label.",
        )
    wrong = np.flatnonzero((y < 0) | (y >= len(data.classes)))
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            expected=f"labels 0…{len(data.classes) - 1}",
            got=str(y[row]),
            where=f"{data.name}, y at row {row}",
            fix="Relabel the row, or name all classes.",
        )
    object.__setattr__(data, "y", y.astype(np.int64, copy=False))
    object.__setattr__(data, "classes", tuple(data.classes))


def _check_targets(data: Dataset) -> None:
    y = data.y
    assert y is not None
    if y.dtype.kind != "f":
        raise DtypeError(
            expected="real targets for regression",
            got=f"y of {y.dtype}",
            where=data.name,
            fix="Convert it (y.astype(numpy.float32)), or pass task='classification'.",
        )
    if y.ndim != 2 or y.shape[1] == 0:
        raise ShapeError(
            expected=f"targets of shape ({len(data)}, k)",
            got=f"y of shape {y.shape}",
            where=data.name,
            fix="One target a row is (N, 1): y[:, None].",
        )
    if data.classes is not None:
        raise DataError(
            expected="no classes for regression",
            got=repr(data.classes)[:80],
            where=data.name,
            fix="Leave classes out, or pass task='classification'.",
        )
    place = first_not_finite(y)
    if place is not None:
        raise DataError(
            expected="finite targets",
            got=str(y[place]),
            where=f"{data.name}, y at {_place(place, None)}",
            fix="Drop the row: a target cannot be filled in.",
        )


def first_not_finite(values: Any) -> tuple[int, ...] | None:
    """The index of the first NaN or infinity, or None; read in blocks of rows.

    >>> import numpy as np
    >>> first_not_finite(np.asarray([[1.0, 2.0], [3.0, np.nan]]))
    (1, 1)
    """
    if values.dtype.kind != "f" or not values.size:
        return None
    step = max(1, _BLOCK // max(1, math.prod(values.shape[1:])))
    for start in range(0, values.shape[0], step):
        finite = np.isfinite(values[start : start + step])
        if not finite.all():
            row, *rest = (int(i[0]) for i in np.nonzero(~finite))
            return (start + row, *rest)
    return None


def _place(place: tuple[int, ...], names: tuple[str, ...] | None) -> str:
    row, *rest = place
    if len(rest) != 1:
        return f"row {row}, position {tuple(rest)}"
    return f"row {row}, column {rest[0]}" + (f" ({names[rest[0]]})" if names else "")
