"""Declarations of arrays: what shape they have, how they begin, and whether they are trained."""

from typing import Any

import numpy as np

from nnx import backends, init, random
from nnx.autodiff.transforms import is_array
from nnx.errors import ShapeError
from nnx.typing import Array


class Parameter:
    """An array that training changes.

    ``Parameter(shape, initializer)`` is drawn by ``initialize``; ``Parameter(array)`` begins with those values. The same
    declaration assigned in two places is one array: tied weights are stored, trained and counted once.

    >>> Parameter((2, 3), init.he_normal())
    Parameter((2, 3), VarianceScaling(scale=2.0, fan='fan_in', distribution='normal', gain=1.0), 'float32')
    """

    trained = True

    def __init__(self, shape: Any, initializer: Any = None, dtype: str | None = None) -> None:
        if is_array(shape) or initializer is None:
            array = backends.of(shape).to_numpy(shape) if is_array(shape) else np.asarray(shape)
            shape, initializer, dtype = array.shape, _Given(array), dtype or _default(array)
        self.shape = tuple(int(n) for n in shape)
        self.initializer = initializer
        self.dtype = dtype or "float32"

    def draw(self, key: random.Key, dtype: Any = None) -> np.ndarray[Any, Any]:
        """Values on the host."""
        drawn = self.initializer(key, self.shape)
        return np.asarray(drawn, dtype=dtype if dtype and self.dtype.startswith("float") else self.dtype)

    def checked(self, value: Array, where: str) -> Array:
        """``value``, if it has the declared shape."""
        if tuple(value.shape) != self.shape:
            raise ShapeError(
                expected=f"shape {self.shape}",
                got=f"{tuple(value.shape)}",
                where=where,
                fix="Give an array of that shape, or declare the parameter anew.",
            )
        return value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape}, {self.initializer!r}, {self.dtype!r})"


class Buffer(Parameter):
    """An array that is kept with the model, moved and saved, but not trained: running statistics, constants."""

    trained = False


class _Given(init.Initializer):
    """The values that a declaration was given."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        return self.array

    def __repr__(self) -> str:
        return "given"


def _default(array: np.ndarray[Any, Any]) -> str:
    return str(array.dtype)
