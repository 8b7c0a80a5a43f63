"""Activations as layers: each calls the function of the same name in ``nnx.ops``."""

from nnx import ops
from nnx.layers.checks import number
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.typing import Array


class ReLU(Module):
    """max(x, 0); the derivative at 0 is 0."""

    def forward(self, x: Array) -> Array:
        """max(x, 0)."""
        return ops.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else slope · x."""

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = number("slope", slope, "LeakyReLU")

    def forward(self, x: Array) -> Array:
        """x where x > 0, else slope · x."""
        return ops.leaky_relu(x, self.slope)


class ELU(Module):
    """x where x > 0, else α (eˣ − 1)."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = number("alpha", alpha, "ELU")

    def forward(self, x: Array) -> Array:
        """x where x > 0, else α (eˣ − 1)."""
        return ops.elu(x, self.alpha)


class Sigmoid(Module):
    """1/(1 + e⁻ˣ)."""

    def forward(self, x: Array) -> Array:
        """1/(1 + e⁻ˣ)."""
        return ops.sigmoid(x)


class Tanh(Module):
    """tanh x = 2σ(2x) − 1."""

    def forward(self, x: Array) -> Array:
        """tanh x."""
        return ops.tanh(x)


class Softplus(Module):
    """log(1 + eˣ)."""

    def forward(self, x: Array) -> Array:
        """log(1 + eˣ)."""
        return ops.softplus(x)


class SiLU(Module):
    """x σ(x)."""

    def forward(self, x: Array) -> Array:
        """x σ(x)."""
        return ops.silu(x)


class GELU(Module):
    """x Φ(x), exact or, with ``approximate``, by tanh."""

    def __init__(self, approximate: bool = False) -> None:
        self.approximate = bool(approximate)

    def forward(self, x: Array) -> Array:
        """x Φ(x)."""
        return ops.gelu(x, self.approximate)


class Maxout(Module):
    """The largest of ``pieces`` neighbours in the last axis: (…, n·k) → (…, n). Put a ``Linear(in, n·k)`` before it."""

    def __init__(self, pieces: int = 2) -> None:
        positive("pieces", pieces, "Maxout")
        self.pieces = pieces

    def forward(self, x: Array) -> Array:
        """max over each group of pieces."""
        return ops.maxout(x, self.pieces)


class Softmax(Module):
    """eˣ/Σeˣ over the last axis. Not before ``cross_entropy``: that takes logits."""

    def forward(self, x: Array) -> Array:
        """eˣ/Σeˣ."""
        return ops.softmax(x)
