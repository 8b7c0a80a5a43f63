"""Declarations of arrays: what shape they have, how they begin, and whether they are trained."""

from typing import Any

import numpy as np

from nnx import backends, init, random
from nnx.autodiff.tensor import value_of
from nnx.autodiff.transforms import is_array
from nnx.errors import ConfigError, DtypeError, ShapeError
from nnx.typing import Array


class Parameter:
    """An array that training changes.

    ``Parameter(shape, initializer)`` is drawn by ``initialize``; ``Parameter(array)`` begins with those values. The same
    declaration assigned in two places is one array: tied weights are stored, trained and counted once.

    Values keep the dtype of their array; numbers and lists of them are float32. Errors: ``ConfigError`` for a shape without
    an initializer, ``DtypeError`` for a parameter that is not of floating-point numbers.

    >>> Parameter((2, 3), init.he_normal())
    Parameter((2, 3), VarianceScaling(scale=2.0, fan='fan_in', distribution='normal', gain=1.0), 'float32')
    """

    trained = True

    def __init__(self, shape: Any, initializer: Any = None, dtype: str | None = None) -> None:
        kind = type(self).__name__
        if initializer is None and not isinstance(shape, tuple):
            array = _values(shape)
            shape, initializer, dtype = array.shape, _Given(array), dtype or array.dtype.name
        if not isinstance(shape, tuple) or not callable(initializer):
            raise ConfigError(
                expected="a tuple for the shape and an initializer, or an array",
                got=f"{kind}({shape!r}, {initializer!r})"[:80],
                where=kind,
                fix=f"Write for example nnx.{kind}((64, 10), nnx.init.zeros()).",
            )
        if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in shape):
            raise ConfigError(
                expected="a shape of whole numbers ≥ 0",
                got=f"{shape!r}",
                where=kind,
                fix=f"Write for example nnx.{kind}((64, 10), nnx.init.zeros()).",
            )
        self.shape = tuple(int(n) for n in shape)
        self.initializer = initializer
        self.dtype = backends.dtype_name(dtype or "float32")
        if self.trained and not self.dtype.startswith("float"):
            raise DtypeError(
                expected="floating-point values to train",
                got=self.dtype,
                where=kind,
                fix="Make it a Buffer, or cast it to float32.",
            )

    def draw(self, key: random.Key, dtype: Any = None) -> np.ndarray[Any, Any]:
        """Values on the host."""
        try:
            drawn = self.initializer(key, self.shape)
        except TypeError as error:
            raise ConfigError(
                expected="an initializer f(key, shape)",
                got=f"{self.initializer!r}: {error}"[:120],
                where=type(self).__name__,
                fix="Make one by calling it: nnx.init.he_normal().",
            ) from None
        wanted = floating(dtype, type(self).__name__) if dtype and self.dtype.startswith("float") else self.dtype
        try:
            return np.asarray(drawn, dtype=wanted)
        except TypeError as error:
            raise ConfigError(
                expected="a dtype such as float32 or float64",
                got=repr(wanted),
                where=type(self).__name__,
                fix='Write dtype="float32".',
            ) from error

    def checked(self, value: Array, where: str) -> Array:
        """``value``, if it has the declared shape."""
        if tuple(value.shape) != self.shape:
            raise ShapeError(
                expected=f"shape {self.shape}",
                got=f"{tuple(value.shape)}",
                where=where,
                fix="Give an array of that shape, or declare it anew with another.",
            )
        return value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape}, {self.initializer!r}, {self.dtype!r})"


class Buffer(Parameter):
    """An array that is kept with the model, moved and saved, but not trained: running statistics, constants.

    >>> Buffer((3,), init.zeros())
    Buffer((3,), Constant(value=0.0), 'float32')
    """

    trained = False


class _Given(init.Initializer):
    """The values that a declaration was given."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        return self.array.copy()

    def __repr__(self) -> str:
        return "given"


def floating(dtype: Any, where: str) -> str:
    """The dtype's name. ``DtypeError`` unless it is of floating-point numbers: as another, weights are cut to 0 and 1."""
    name = backends.dtype_name(dtype)
    if "float" not in name:
        raise DtypeError(
            expected="a floating-point dtype, such as float32", got=name, where=where, fix='Write dtype="float32".'
        )
    return name


def _values(x: Any) -> np.ndarray[Any, Any]:
    """A host copy; Python numbers are float32, as parameters are by default."""
    if is_array(x):
        return np.array(backends.of(value_of(x)).to_numpy(value_of(x)))
    host = np.array(x)
    return host.astype(np.float32) if host.dtype == np.float64 else host
