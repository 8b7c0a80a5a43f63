"""Activations as layers: each calls the function of the same name in ``nnx.ops``."""

from nnx import ops
from nnx.layers.checks import number
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.typing import Array


class ReLU(Module):
    """max(x, 0); the derivative at 0 is 0.

    >>> import numpy as np
    >>> ReLU()(np.asarray([-1.0, 2.0]))
    array([0., 2.])
    """

    def forward(self, x: Array) -> Array:
        """max(x, 0)."""
        return ops.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else slope · x.

    >>> import numpy as np
    >>> LeakyReLU(0.1)(np.asarray([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = number("slope", slope, "LeakyReLU")

    def forward(self, x: Array) -> Array:
        """x where x > 0, else slope · x."""
        return ops.leaky_relu(x, self.slope)


class ELU(Module):
    """x where x > 0, else α (eˣ − 1).

    >>> import numpy as np
    >>> ELU()(np.asarray([-1e3, 2.0]))
    array([-1.,  2.])

    Source: Clevert et al. (2016), arXiv:1511.07289.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = number("alpha", alpha, "ELU")

    def forward(self, x: Array) -> Array:
        """x where x > 0, else α (eˣ − 1)."""
        return ops.elu(x, self.alpha)


class Sigmoid(Module):
    """1/(1 + e⁻ˣ).

    >>> import numpy as np
    >>> Sigmoid()(np.asarray([-1e3, 0.0, 1e3]))
    array([0. , 0.5, 1. ])
    """

    def forward(self, x: Array) -> Array:
        """1/(1 + e⁻ˣ)."""
        return ops.sigmoid(x)


class Tanh(Module):
    """tanh x = 2σ(2x) − 1.

    >>> import numpy as np
    >>> Tanh()(np.asarray([-1e3, 0.0, 1e3]))
    array([-1.,  0.,  1.])
    """

    def forward(self, x: Array) -> Array:
        """tanh x."""
        return ops.tanh(x)


class Softplus(Module):
    """log(1 + eˣ), a smooth ReLU.

    >>> import numpy as np
    >>> Softplus()(np.asarray([-1e4, 1e4]))
    array([    0., 10000.])
    """

    def forward(self, x: Array) -> Array:
        """log(1 + eˣ)."""
        return ops.softplus(x)


class SiLU(Module):
    """x σ(x), also called swish.

    >>> import numpy as np
    >>> SiLU()(np.asarray([-1e4, 0.0, 1e4]))
    array([   -0.,     0., 10000.])
    """

    def forward(self, x: Array) -> Array:
        """x σ(x)."""
        return ops.silu(x)


class GELU(Module):
    """x Φ(x) with the normal distribution function Φ; ``approximate`` takes the tanh form, up to 4.7e-4 away.

    >>> import numpy as np
    >>> GELU()(np.asarray([0.0, 1.0])).round(4)
    array([0.    , 0.8413])

    Source: Hendrycks and Gimpel (2016), arXiv:1606.08415.
    """

    def __init__(self, approximate: bool = False) -> None:
        self.approximate = bool(approximate)

    def forward(self, x: Array) -> Array:
        """x Φ(x)."""
        return ops.gelu(x, self.approximate)


class Maxout(Module):
    """The largest of ``pieces`` neighbours in the last axis: (…, n·k) → (…, n). Put a ``Linear(in, n·k)`` before it.

    Errors: ``ShapeError`` for an axis that does not divide into the pieces.

    >>> import numpy as np
    >>> Maxout(2)(np.asarray([1.0, 3.0, -2.0, -5.0]))
    array([ 3., -2.])

    Source: Goodfellow et al. (2013), arXiv:1302.4389.
    """

    def __init__(self, pieces: int = 2) -> None:
        positive("pieces", pieces, "Maxout")
        self.pieces = pieces

    def forward(self, x: Array) -> Array:
        """max over each group of pieces."""
        return ops.maxout(x, self.pieces)


class Softmax(Module):
    """eˣ/Σeˣ over the last axis. Not before ``cross_entropy``: that takes logits.

    >>> import numpy as np
    >>> Softmax()(np.asarray([1e4, 1e4]))
    array([0.5, 0.5])
    """

    def forward(self, x: Array) -> Array:
        """eˣ/Σeˣ."""
        return ops.softmax(x)
