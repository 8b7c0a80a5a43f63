"""What a model must remember of its training data so that other data is encoded the same way. It is plain JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from nnx.errors import DataError

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Column:
    """One column of a table that is used as input: a number, or (with ``categories``) a text that is one-hot encoded."""

    name: str
    categories: tuple[str, ...] | None = None

    @property
    def width(self) -> int:
        """How many features the column becomes."""
        return 1 if self.categories is None else len(self.categories)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of those features.

        >>> Column("colour", ("blue", "red")).features
        ('colour=blue', 'colour=red')
        """
        return (self.name,) if self.categories is None else tuple(f"{self.name}={value}" for value in self.categories)


@dataclass(frozen=True)
class Encoding:
    """How a table becomes numbers: its input columns in order, and whether their names stood in the file.

    ``target_index`` is the place of the target among all columns of a file without header: there no name tells it.
    """

    columns: tuple[Column, ...]
    header: bool = True
    target_index: int = -1


@dataclass(frozen=True)
class Schema:
    """What prediction data must look like: the shape of a row, the columns of a table, the classes in label order.

    Without a task targets are not read, whatever they hold.

    >>> schema = Schema(task="classification", shape=(64,), classes=("cat", "dog"))
    >>> Schema.from_dict(schema.to_dict()) == schema
    True
    """

    task: Task | None
    shape: tuple[int, ...]
    classes: tuple[str, ...] | None = None
    outputs: int | None = None
    target_name: str | None = None
    encoding: Encoding | None = None

    def to_dict(self) -> dict[str, Any]:
        """Dictionaries, lists, texts and numbers: ready for ``json.dump``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Schema":
        """The inverse of ``to_dict``, also after a round trip through JSON. A damaged record is a DataError."""
        try:
            encoding = stored["encoding"]
            return cls(
                task=cast("Task | None", _one_of(stored["task"], ("classification", "regression", None))),
                shape=tuple(_count(size) for size in stored["shape"]),
                classes=_texts(stored["classes"]),
                outputs=None if stored["outputs"] is None else _count(stored["outputs"]),
                target_name=None if stored["target_name"] is None else _text(stored["target_name"]),
                encoding=None
                if encoding is None
                else Encoding(
                    columns=tuple(Column(_text(c["name"]), _texts(c["categories"])) for c in encoding["columns"]),
                    header=_one_of(encoding["header"], (True, False)),
                    target_index=int(encoding["target_index"]),
                ),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                expected="a data schema as nnx saves it",
                got=f"{type(error).__name__}: {error}",
                where="schema",
                fix="The record is damaged or was edited: train again, or restore the run's files.",
            ) from error


def _one_of(value: Any, allowed: tuple[Any, ...]) -> Any:
    if not any(value is option or (isinstance(option, str) and value == option) for option in allowed):
        raise ValueError(f"{value!r} is none of {allowed}")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no size")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(values: Any) -> tuple[str, ...] | None:
    if values is None:
        return None
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"{values!r} is no list of texts")
    return tuple(_text(value) for value in values)
