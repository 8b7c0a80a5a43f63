"""y = x W + b, one tape node.

Derivative: with g = ∂L/∂y, ∂L/∂x = g Wᵀ, ∂L/∂W = xᵀ g, ∂L/∂b = Σ g over the batch.
"""

from typing import Any

from nnx import backends
from nnx.autodiff import Namespace as Traced
from nnx.autodiff import Primitive
from nnx.errors import DtypeError, ShapeError
from nnx.typing import Array, Namespace


def _forward(xp: Namespace, x: Array, weight: Array, bias: Array | None) -> tuple[Array, Any]:
    if x.ndim == 0 or x.shape[-1] != weight.shape[0]:
        raise ShapeError(
            expected=f"x of shape (…, {weight.shape[0]})",
            got=f"{tuple(x.shape)}",
            fix=f"Pass {weight.shape[0]} features in the last axis, or build a layer with that many inputs.",
        )
    if x.dtype != weight.dtype:
        raise DtypeError(
            expected=f"x of dtype {weight.dtype}, as the weights",
            got=f"{x.dtype}",
            fix="Cast x with xp.astype, or the model with model.to(backend, dtype=...).",
        )
    y = _product(xp, x, weight)
    if bias is not None and bias.dtype == y.dtype:
        y += bias  # in place where the library can: y was made here
    elif bias is not None:
        y = y + bias
    return y, (x, weight)


def _backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> Any:
    x, weight = saved
    rows = g if g.ndim == 2 else xp.reshape(g, (-1, weight.shape[1]))
    inputs = x if x.ndim == 2 else xp.reshape(x, (-1, weight.shape[0]))
    return (
        _product(xp, g, weight.T) if needs[0] else None,
        _product(xp, inputs.T, rows) if needs[1] else None,
        xp.sum(rows, axis=0) if needs[2] else None,
    )


def _product(xp: Namespace, a: Array, b: Array) -> Array:
    return a @ b if isinstance(xp, Traced) else backends.over(xp).product(xp, a, b)


_linear = Primitive(_forward, _backward)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """y = x W + b.

    Shapes: x (…, in), weight (in, out), bias (out,) or ``None``; y (…, out).
    Errors: ``ShapeError`` if the last axis of x is not ``in``; ``DtypeError`` if the dtypes differ.

    >>> import numpy as np
    >>> linear(np.asarray([[1.0, 2.0]]), np.eye(2), np.asarray([0.5, 0.5]))
    array([[1.5, 2.5]])
    """
    return _linear(x, weight, bias)
