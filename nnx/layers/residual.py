"""The residual connection."""

from typing import Any

from nnx.errors import ConfigError, ShapeError
from nnx.layers.module import Module
from nnx.typing import Array


class Residual(Module):
    """y = x + f(x): what the module adds to its input. Its gradient has a way round f, so deep stacks of them train.

    Shapes: f keeps the shape of x. Errors: ``ConfigError`` for what is no module, ``ShapeError`` if f changes the shape.
    Source: He et al. (2016), arXiv:1512.03385.

    >>> import numpy as np, nnx
    >>> Residual(nnx.ReLU())(np.asarray([-1.0, 2.0]))
    array([-1.,  4.])
    """

    def __init__(self, inner: Module) -> None:
        if not isinstance(inner, Module):
            raise ConfigError(
                expected="a module",
                got=type(inner).__name__,
                where="Residual",
                fix="Several layers are one module in nnx.Sequential(...).",
            )
        self.inner = inner

    @property
    def _arguments(self) -> tuple[tuple[Module], dict[str, Any]]:  # the module as it is now
        return (self.inner,), {}

    def forward(self, x: Array) -> Array:
        """x + f(x)."""
        y = self.inner(x)
        if tuple(y.shape) != tuple(x.shape):
            raise ShapeError(
                expected=f"{type(self.inner).__name__} to keep the shape {tuple(x.shape)}",
                got=f"{tuple(y.shape)}",
                fix="End the inner module with a layer of as many features as its input has.",
            )
        return x + y
