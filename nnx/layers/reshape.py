"""Reshape."""

from math import prod

import numpy as np

from nnx.autodiff import namespace
from nnx.backends.portable.lengths import lengths
from nnx.errors import ConfigError, ShapeError
from nnx.layers.module import Module
from nnx.typing import Array


class Reshape(Module):
    """(N, …) → (N, *shape), row-major: flat rows become images of (height, width, channels).

    Errors: ``ConfigError`` for a shape that cannot be, ``ShapeError`` for rows with another number of values.

    >>> import numpy as np
    >>> Reshape((8, 8, 1))(np.zeros((5, 64))).shape
    (5, 8, 8, 1)
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        if not isinstance(shape, tuple | list) or not all(
            isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in shape
        ):
            raise ConfigError(
                expected="a shape of whole numbers ≥ 1, without the batch axis",
                got=repr(shape),
                where="Reshape",
                fix="Write for example nnx.Reshape((8, 8, 1)).",
            )
        self.shape = tuple(map(int, shape))

    def forward(self, x: Array) -> Array:
        """x in another shape, value by value."""
        if x.ndim == 0 or prod(x.shape[1:]) != prod(self.shape):
            raise ShapeError(
                expected=f"{prod(self.shape)} values in each row, for {self.shape}",
                got=f"x of shape {tuple(x.shape)}",
                fix="Pass rows of that many values, or another shape.",
            )
        return namespace(x).reshape(x, (*lengths(x.shape[:1]), *self.shape))
