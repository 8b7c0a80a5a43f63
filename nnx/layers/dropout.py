"""Dropout."""

from nnx import backends, ops, random
from nnx.autodiff.tensor import value_of
from nnx.layers.checks import probability
from nnx.layers.module import Module
from nnx.layers.training import current_pass
from nnx.typing import Array


class Dropout(Module):
    """Inverted dropout: in training each value is kept with probability 1 − p and divided by 1 − p; else identity.

    The mask is drawn from (seed of the pass, path of the layer, step), so it is the same on every backend.
    Source: Srivastava et al., JMLR 15 (2014).
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability(p, "Dropout")

    def forward(self, x: Array) -> Array:
        """x∘mask/(1 − p) in training, x otherwise."""
        this = current_pass()
        if this is None or self.p == 0:
            return x
        backend = backends.of(value_of(x))
        keep = this.draw("dropout", self, random.bernoulli, 1 - self.p, tuple(x.shape), backend)
        return ops.dropout(x, keep, self.p)
