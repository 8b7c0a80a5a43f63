"""From what a file or an array calls its targets to labels 0…C−1 or real numbers, and the task that this makes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from nnx.data.schema import Schema, Task
from nnx.errors import ConfigError, DataError, DtypeError, ShapeError

_COMPARED = 80  # characters of a name: comparing takes the square of their number
FEW = 20  # distinct whole numbers up to which a target is taken for classes
MAYBE = "; pass task='classification' if they are classes"


@dataclass(frozen=True)
class Targets:
    """y as a Dataset holds it, with its task, its classes and what was decided on the way."""

    y: np.ndarray[Any, Any]
    task: Task
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def check_task(task: str) -> None:
    """ConfigError unless ``task`` is one of the three words."""
    words = ("auto", "classification", "regression")
    if task not in words:
        raise ConfigError(
            expected="task " + ", ".join(words), got=repr(task), where="task", fix=did_you_mean(task, words)
        )


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """A sentence with the nearest known name, or the known ones.

    >>> did_you_mean("digit", ["digits"])
    "Did you mean 'digits'?"
    """
    names = [str(k) for k in known]
    near = get_close_matches(str(name)[:_COMPARED], [known[:_COMPARED] for known in names[:1000]], n=1)
    if near:
        whole = next(known for known in names if known.startswith(near[0]))
        return f"Did you mean {whole!r}?"
    return f"Known: {listing(names)}." if names else ""


def listing(names: Iterable[str], most: int = 20) -> str:
    """Names one after another, cut when there are many."""
    names = list(names)
    return ", ".join(repr(n) for n in names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in label order: by value if all are numbers, else by text.

    >>> in_order({"10", "9"}), in_order({"b", "a", "10"})
    (('9', '10'), ('10', 'a', 'b'))
    """
    names = list(names)
    try:
        return tuple(sorted(names, key=lambda n: (float(n), n)))
    except ValueError:
        return tuple(sorted(names))


def targets(
    y: np.ndarray[Any, Any], task: str, where: str, classes: tuple[str, ...] | None = None, schema: Schema | None = None
) -> Targets:
    """Targets from an array: (N,) or (N, k) numbers, (N,) texts.

    Task "auto": texts, truth values, given classes, at most 20 distinct whole numbers, or whole numbers that are exactly
    0…C−1 with 10 rows a class are classification; all else is regression. A schema decides before all of these.

    Errors: DtypeError, ShapeError or DataError with the row.

    >>> import numpy as np
    >>> found = targets(np.asarray(["no", "yes", "no"]), "auto", "answers")
    >>> found.y, found.classes, found.notes
    (array([0, 1, 0]), ('no', 'yes'), ('task classification: y holds texts',))
    """
    y = _plain(y, where)
    chosen, why = _judge(y, classes, where) if task == "auto" and schema is None else (task, "")
    if schema is not None and schema.task is not None:
        chosen = schema.task
    notes = (f"task {chosen}: {why}",) if why else ()
    if chosen == "regression":
        return Targets(_reals(y, where, schema), "regression", None, notes)
    if y.ndim != 1:
        fix = (
            "Drop the last axis: y[:, 0]."
            if y.shape[1:] == (1,)
            else "Turn one-hot rows into labels: y.argmax(axis=1)."
        )
        raise ShapeError(expected=f"labels of shape ({y.shape[0]},)", got=f"y of shape {y.shape}", where=where, fix=fix)
    y = _whole(y, where)
    if schema is not None and schema.classes is not None:
        return Targets(_by_schema(y, classes, schema.classes, where), "classification", schema.classes, notes)
    labels, classes, note = _number(y, classes, where)
    if len(classes) < 2:
        raise one_class(classes[0], where)
    return Targets(labels, "classification", classes, notes + note)


def one_class(name: str, where: str) -> DataError:
    """The error of a target that never changes."""
    return DataError(
        expected="at least two classes",
        got=f"only {name!r}",
        where=where,
        fix="There is nothing to learn from one: is this the target you mean?",
    )


def look_up(names: Iterable[str], known: tuple[str, ...], place: Callable[[int], str]) -> np.ndarray[Any, Any]:
    """The label of each name; ``place(i)`` says where name i stands."""
    index: Mapping[str, int] = {name: label for label, name in enumerate(known)}
    labels = []
    for i, name in enumerate(names):
        if name not in index:
            raise DataError(
                expected="a class that the model knows",
                got=repr(name) if name else "an empty cell",
                where=place(i),
                fix=did_you_mean(name, known) + " Relabel the row, or train again with it."
                if name
                else "Fill it in or remove the row.",
            )
        labels.append(index[name])
    return np.asarray(labels, dtype=np.int64)


def _plain(y: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, Any]:
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind == "O" and y.size and all(isinstance(value, str) for value in y.flat):
        y = y.astype(str)
    if y.dtype.kind not in "Ubiuf" or (y.dtype.itemsize > 8 and y.dtype.kind == "f"):
        raise DtypeError(
            expected="labels, texts or real numbers as targets",
            got=f"y of {y.dtype}",
            where=where,
            fix="Convert it: y.astype(numpy.float32) for numbers, y.astype(str) for names.",
        )
    if y.ndim == 0 or y.size == 0:
        raise ShapeError(
            expected="targets of shape (N,) or (N, k)",
            got=f"y of shape {y.shape}",
            where=where,
            fix="Give one for each row of x.",
        )
    return y


def _judge(y: np.ndarray[Any, Any], classes: tuple[str, ...] | None, where: str) -> tuple[str, str]:
    if y.dtype.kind == "U":
        return "classification", "y holds texts"
    if classes is not None:
        return "classification", "the classes are named"
    if y.dtype.kind == "b":
        return "classification", "y holds truth values"
    if y.ndim > 1 and y.shape[1] > 1:
        if bool(np.all((y == 0) | (y == 1))) and bool(np.all(y.sum(axis=1) == 1)):
            raise ShapeError(
                expected="labels of shape (N,), or task='regression'",
                got=f"one-hot rows, y of shape {y.shape}",
                where=where,
                fix="Turn them into labels: y.argmax(axis=1).",
            )
        return "regression", f"y has {y.shape[1]} columns"
    if y.dtype.kind == "f":
        whole = bool(np.all(y == np.round(y))) and np.unique(y).size <= FEW
        return "regression", "y holds real numbers" + (MAYBE if whole else "")
    distinct = np.unique(y)
    found = f"{distinct.size} distinct whole numbers"
    if distinct.size <= FEW:
        return "classification", found
    if distinct[0] == 0 and distinct[-1] == distinct.size - 1 and y.shape[0] >= 10 * distinct.size:
        return "classification", f"whole numbers that are exactly 0…{distinct.size - 1}"
    return "regression", found + MAYBE


def _reals(y: np.ndarray[Any, Any], where: str, schema: Schema | None) -> np.ndarray[Any, Any]:
    if y.dtype.kind == "U":
        raise DtypeError(
            expected="numbers as targets of regression",
            got=f"texts such as {str(y.flat[0])!r}",
            where=f"{where}, y at row 0",
            fix="Pass task='classification', or another target.",
        )
    y = y.astype(np.float64 if y.dtype.kind == "f" and y.dtype.itemsize == 8 else np.float32)
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or (schema is not None and schema.outputs is not None and y.shape[1] != schema.outputs):
        k = "k" if schema is None or schema.outputs is None else schema.outputs
        raise ShapeError(
            expected=f"targets of shape (N, {k})",
            got=f"y of shape {y.shape}",
            where=where,
            fix="Reshape y: one row for each row of x.",
        )
    return y


def _whole(y: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, Any]:
    """Real numbers as whole ones, if they are."""
    if y.dtype.kind != "f":
        return y
    wrong = np.flatnonzero(~(np.isfinite(y) & (y == np.round(y)) & (np.abs(y) < 2.0**53)))
    if wrong.size:
        raise DataError(
            expected="whole numbers as class labels",
            got=str(y[wrong[0]]),
            where=f"{where}, y at row {wrong[0]}",
            fix="Pass task='regression', or bin the target with nnx.data.bin_target.",
        )
    return y.astype(np.int64)


def _number(
    y: np.ndarray[Any, Any], classes: tuple[str, ...] | None, where: str
) -> tuple[np.ndarray[Any, Any], tuple[str, ...], tuple[str, ...]]:
    if y.dtype.kind == "U":
        names = in_order({str(value) for value in np.unique(y)}) if classes is None else classes
        return look_up((str(value) for value in y), names, lambda row: f"{where}, y at row {row}"), names, ()
    if classes is not None:
        return _in_range(y, len(classes), where), classes, ()
    distinct, labels = np.unique(y, return_inverse=True)
    if y.dtype.kind == "b":
        return y.astype(np.int64), ("False", "True"), ()
    top = int(distinct[-1])
    if distinct[0] == 0 and top + 1 <= 2 * distinct.size:  # labels already: a class without rows keeps its number
        note = () if top + 1 == distinct.size else (f"{top + 1 - distinct.size} of {top + 1} classes have no rows",)
        return y.astype(np.int64), tuple(str(label) for label in range(top + 1)), note
    names = tuple(str(value) for value in distinct)
    return labels.astype(np.int64), names, (f"labels {listing(names, 5)} are numbered from 0 in this order",)


def _by_schema(
    y: np.ndarray[Any, Any], own: tuple[str, ...] | None, known: tuple[str, ...], where: str
) -> np.ndarray[Any, Any]:
    """Labels in the model's numbering: by name where there are names, else by the number itself."""
    if y.dtype.kind in "iu" and own is not None:
        y = np.asarray(own)[_in_range(y, len(own), where)]
    elif y.dtype.kind in "iu" and not all(name.lstrip("-").isdecimal() for name in known):
        return _in_range(y, len(known), where)
    return look_up((str(value) for value in y), known, lambda row: f"{where}, y at row {row}")


def _in_range(y: np.ndarray[Any, Any], count: int, where: str) -> np.ndarray[Any, Any]:
    wrong = np.flatnonzero((y < 0) | (y >= count))
    if wrong.size:
        raise DataError(
            expected=f"labels 0…{count - 1} of the {count} classes",
            got=str(y[wrong[0]]),
            where=f"{where}, y at row {wrong[0]}",
            fix="Relabel the row, or name all classes.",
        )
    return y.astype(np.int64)
