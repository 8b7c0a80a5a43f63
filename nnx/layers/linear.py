"""The dense layer."""

import numpy as np

from nnx import init, ops
from nnx.errors import ConfigError
from nnx.layers.module import Module
from nnx.layers.parameter import Parameter
from nnx.typing import Array


class Linear(Module):
    """y = x W + b.

    Shapes: x (N, in) or (…, in), W (in, out), b (out,); y (…, out). By default W is drawn by He's rule, which suits the
    ReLU that usually follows (Glorot's for tanh, sigmoid and outputs: ``init=nnx.init.glorot_normal()``), and b is 0.
    Leave the bias out before a batch norm, which has its own.

    Errors: ``ShapeError`` for another number of features, ``DtypeError`` for another dtype than the weights'.

    >>> import numpy as np
    >>> layer = Linear(3, 2).initialize(seed=0)
    >>> layer(np.zeros((4, 3), dtype="float32")).shape
    (4, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = True, init: init.Initializer | None = None
    ) -> None:
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            positive(name, value, "Linear")
        self.weight = Parameter((in_features, out_features), _DEFAULT if init is None else init)
        self.bias = Parameter((out_features,), _ZEROS) if bias else None

    def forward(self, x: Array) -> Array:
        """x W + b."""
        return ops.linear(x, self.weight, self.bias)


def positive(name: str, value: int, where: str) -> None:
    """``ConfigError`` unless ``value`` is a whole number of at least 1."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ConfigError(
            expected=f"{name} a whole number ≥ 1",
            got=repr(value),
            where=where,
            fix=f"Pass the number of {name}, such as 64.",
        )


_DEFAULT = init.he_normal()
_ZEROS = init.zeros()
