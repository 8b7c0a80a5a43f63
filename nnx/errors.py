"""What nnx raises: each error says what was expected, what came, where, and what to do.

The types are few and each is also the built-in one that such a mistake has elsewhere, so ``except ValueError`` keeps
working. The sentence is made of four parts, any of which may be missing::

    layers.0 (Linear): expected x of shape (N, 64), got (32, 63). Pass 64 features, or build nnx.Linear(63, ...).
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Self

_LONGEST = 500  # characters of a part: a cell of a stranger's table may have many more


class NnxError(Exception):
    """The common base. ``where`` is filled in by the innermost layer that the error passes through.

    >>> print(
    ...     ShapeError(
    ...         expected="x of shape (N, 64)", got="(32, 63)", where="layers.0 (Linear)", fix="Pass 64 features."
    ...     )
    ... )
    layers.0 (Linear): expected x of shape (N, 64), got (32, 63). Pass 64 features.
    """

    def __init__(self, what: str = "", *, expected: str = "", got: str = "", where: str = "", fix: str = "") -> None:
        super().__init__(what, expected, got, where, fix)
        self.what, self.expected, self.got, self.where, self.fix = what, expected, got, where, fix

    def at(self, place: str) -> Self:
        """Itself, with a place where it has none; that of a function, such as nnx.namespace, gives way to a nearer one."""
        if not self.where or self.where.startswith("nnx."):
            self.where = place
        return self

    def __str__(self) -> str:
        what, expected, got, where, fix = map(_cut, (self.what, self.expected, self.got, self.where, self.fix))
        middle = ", ".join(part for part in (what, expected and f"expected {expected}", got and f"got {got}") if part)
        place = f"{where}: " if where else ""
        return f"{place}{middle}. {fix}".rstrip() if fix else f"{place}{middle}"


def _cut(part: str) -> str:
    """A part without its middle, if it is very long."""
    return part if len(part) <= _LONGEST else f"{part[: _LONGEST - 120]} … {part[-120:]}"


class ShapeError(NnxError, ValueError):
    """An array has a shape that the operation cannot take."""


class OutOfRangeError(ShapeError, IndexError):
    """An index or an axis is one that the array does not have."""


class DtypeError(NnxError, TypeError):
    """An array has a data type that the operation cannot take."""


class DataError(NnxError, ValueError):
    """A data set, a file, a label or a matrix is not what it should be."""


class ConfigError(NnxError, ValueError):
    """An argument, a flag or a configuration key is wrong."""


class StateError(NnxError, ValueError):
    """A state does not fit the model: a path is missing, unknown, or has another shape."""


class MixedArraysError(NnxError, TypeError):
    """Arrays of two libraries met inside one operation."""


class TracingError(NnxError, TypeError):
    """A traced array was used where only its value would do."""


class GradientError(NnxError, ArithmeticError):
    """A derivative disagrees with its numerical check."""


class BackendUnavailable(NnxError, RuntimeError):  # noqa: N818  it names the state of the machine
    """An array library or its device cannot be used here; the message says why and what would help."""


class DivergedError(NnxError, ArithmeticError):
    """Training met a loss, a gradient, a weight or data that are not finite numbers.

    ``report`` says where it began: kind, where, what, step, epoch, batch, the rows of the data; what diverged.json holds.
    """

    report: dict[str, Any]

    def __init__(self, what: str = "", **parts: str) -> None:
        super().__init__(what, **parts)
        self.report = {}


class OutOfMemoryError(NnxError, MemoryError):
    """A step needs more memory than there is; the message says how much, how much is free, and what fits."""


class UnknownAttributeError(NnxError, AttributeError):
    """An object has no attribute of this name; the message says which is near."""


def unknown(module: str, name: str, known: Iterable[str]) -> UnknownAttributeError:
    """The error of a name that a module does not have, with the nearest that it has, in whatever case, or in a part of it.

    >>> print(unknown("nnx", "Liner", ["Linear", "Conv2d", "optim.Adam"]))
    nnx: no attribute 'Liner'. Did you mean nnx.Linear?
    >>> print(unknown("nnx", "Adam", ["Linear", "random", "optim.Adam"]))
    nnx: no attribute 'Adam'. Did you mean nnx.optim.Adam?
    """
    names: dict[str, str] = {}
    for one in known:
        names.setdefault(one.rpartition(".")[2].lower(), one)
    near = get_close_matches(name.lower(), names, n=1)
    fix = f"Did you mean {module}.{names[near[0]]}?" if near else f"dir({module}) lists what there is."
    return UnknownAttributeError(f"no attribute {name!r}", where=module, fix=fix)
