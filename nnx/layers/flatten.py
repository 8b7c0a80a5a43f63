"""Flatten."""

from math import prod

from nnx.autodiff import namespace
from nnx.backends.portable.lengths import lengths
from nnx.layers.module import Module
from nnx.typing import Array


class Flatten(Module):
    """(N, a, b, …) → (N, a·b·…), row-major.

    >>> import numpy as np
    >>> Flatten()(np.zeros((5, 8, 8, 4))).shape
    (5, 256)
    """

    def forward(self, x: Array) -> Array:
        """All axes after the first made one."""
        return namespace(x).reshape(x, (*lengths(x.shape[:1]), prod(x.shape[1:])))
