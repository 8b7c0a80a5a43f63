"""Activations, element by element, one tape node each; with maxout, which takes the largest of k pieces.

Where the derivative jumps it is taken as the one from the left: ReLU and leaky ReLU at 0 have 0 and ``slope``. When a
value is itself traced (for second derivatives) the function calls itself there, so that this holds at every order.
"""

import math
from collections.abc import Callable
from typing import Any

from nnx import backends
from nnx.autodiff import Namespace as Traced
from nnx.autodiff import Primitive, namespace
from nnx.autodiff.hooks import erf, joined
from nnx.backends.portable.lengths import lengths
from nnx.errors import ConfigError, ShapeError
from nnx.typing import Array, Namespace


def _elementwise(forward: Callable[..., Any], derivative: Callable[..., Any]) -> Primitive:
    """A node from y, saved = forward(xp, x) and dy/dx = derivative(xp, saved)."""
    return Primitive(forward, lambda xp, needs, saved, g: (g * derivative(xp, saved),))


# relu: max(x, 0) ------------------------------------------------------------------------------------------------------
def _relu_forward(xp: Namespace, x: Array) -> tuple[Array, Array]:
    y = relu(x) if isinstance(xp, Traced) else backends.over(xp).relu(xp, x)
    return y, y


_relu = Primitive(_relu_forward, lambda xp, needs, y, g: (joined(xp, "relu_back")(xp, g, y),))


def relu(x: Array) -> Array:
    """max(x, 0); the derivative at 0 is 0.

    >>> import numpy as np
    >>> relu(np.asarray([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return _relu(x)


# leaky relu: x if x > 0 else slope x ----------------------------------------------------------------------------------
def _leaky_forward(xp: Namespace, x: Array, *, slope: float) -> tuple[Array, Any]:
    positive = x > 0
    factor = xp.where(positive, xp.ones_like(x), xp.full_like(x, slope))
    return x * factor, factor


_leaky_relu = _elementwise(_leaky_forward, lambda xp, factor: factor)


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """x where x > 0, else slope · x; the derivative at 0 is ``slope``.

    >>> import numpy as np
    >>> leaky_relu(np.asarray([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    return _leaky_relu(x, slope=slope)


# elu: x if x > 0 else α (eˣ − 1) --------------------------------------------------------------------------------------
def _elu_forward(xp: Namespace, x: Array, *, alpha: float) -> tuple[Array, Any]:
    positive = x > 0
    if isinstance(xp, Traced):
        y = elu(x, alpha)
    else:
        y = xp.where(positive, x, alpha * xp.expm1(xp.minimum(x, xp.zeros_like(x))))
    return y, xp.where(positive, xp.ones_like(x), y + alpha)


_elu = _elementwise(_elu_forward, lambda xp, factor: factor)


def elu(x: Array, alpha: float = 1.0) -> Array:
    """x where x > 0, else α (eˣ − 1). Source: Clevert et al. (2016), arXiv:1511.07289."""
    return _elu(x, alpha=alpha)


# sigmoid: 1 / (1 + e⁻ˣ) -----------------------------------------------------------------------------------------------
def _sigmoid_forward(xp: Namespace, x: Array) -> tuple[Array, Any]:
    if isinstance(xp, Traced):
        y = sigmoid(x)
        return y, y * sigmoid(-x)
    e = xp.exp(-xp.abs(x))
    y = xp.where(x >= 0, xp.ones_like(e), e) / (1 + e)
    return y, e / ((1 + e) * (1 + e))


_sigmoid = _elementwise(_sigmoid_forward, lambda xp, slope: slope)


def sigmoid(x: Array) -> Array:
    """σ(x) = 1/(1 + e⁻ˣ), without overflow and without losing small values at either end.

    >>> import numpy as np
    >>> sigmoid(np.asarray([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    return _sigmoid(x)


# tanh -----------------------------------------------------------------------------------------------------------------
def tanh(x: Array) -> Array:
    """tanh x = 2σ(2x) − 1."""
    return namespace(x).tanh(x)


# softplus: log(1 + eˣ) ------------------------------------------------------------------------------------------------
def _softplus_forward(xp: Namespace, x: Array) -> tuple[Array, Array]:
    if isinstance(xp, Traced):
        return softplus(x), x
    return xp.maximum(x, xp.zeros_like(x)) + xp.log1p(xp.exp(-xp.abs(x))), x


_softplus = Primitive(_softplus_forward, lambda xp, needs, x, g: (g * sigmoid(x),))


def softplus(x: Array) -> Array:
    """log(1 + eˣ), a smooth ReLU.

    >>> import numpy as np
    >>> softplus(np.asarray([-1e4, 1e4]))
    array([    0., 10000.])
    """
    return _softplus(x)


# silu: x σ(x) ---------------------------------------------------------------------------------------------------------
def _silu_forward(xp: Namespace, x: Array) -> tuple[Array, Array]:
    return x * sigmoid(x), x


def _silu_slope(xp: Namespace, x: Array) -> Array:
    s = sigmoid(x)
    return s * (1 + x * (1 - s))


_silu = _elementwise(_silu_forward, _silu_slope)


def silu(x: Array) -> Array:
    """x σ(x), also called swish."""
    return _silu(x)


# gelu: x Φ(x) ---------------------------------------------------------------------------------------------------------
def _gelu_forward(xp: Namespace, x: Array) -> tuple[Array, Array]:
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5))), x


def _gelu_slope(xp: Namespace, x: Array) -> Array:
    return 0.5 * (1 + erf(x * math.sqrt(0.5))) + x * xp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


_gelu = _elementwise(_gelu_forward, _gelu_slope)


def gelu(x: Array, approximate: bool = False) -> Array:
    """x Φ(x) with the normal distribution function Φ; ``approximate`` takes the tanh form, up to 4.7e-4 away.

    Source: Hendrycks and Gimpel (2016), arXiv:1606.08415.
    """
    if not approximate:
        return _gelu(x)
    xp = namespace(x)
    return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


# maxout ---------------------------------------------------------------------------------------------------------------
def maxout(x: Array, pieces: int) -> Array:
    """The largest of k pieces: y_j = max_i x_{j k + i}; equal pieces share the gradient.

    Shapes: x (…, n·k), y (…, n). Source: Goodfellow et al. (2013), arXiv:1302.4389.

    >>> import numpy as np
    >>> maxout(np.asarray([[1.0, 5.0, -2.0, -3.0]]), 2)
    array([[ 5., -2.]])
    """
    if pieces < 1:
        raise ConfigError(expected="pieces ≥ 1", got=f"{pieces}", fix="Two to five pieces are usual.")
    if x.ndim == 0 or x.shape[-1] % pieces:
        raise ShapeError(
            expected=f"a last axis that {pieces} pieces divide",
            got=f"shape {tuple(x.shape)}",
            fix="Give the layer before it units × pieces outputs.",
        )
    xp = namespace(x)
    return xp.max(xp.reshape(x, (*lengths(x.shape[:-1]), x.shape[-1] // pieces, pieces)), axis=-1)
