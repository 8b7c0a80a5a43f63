"""Flatten."""

from nnx.autodiff import namespace
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
        features = 1
        for length in x.shape[1:]:
            features *= length
        return namespace(x).reshape(x, (-1, features))
