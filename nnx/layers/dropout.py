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
    Errors: ``ConfigError`` for a p outside [0, 1). Source: Srivastava et al., JMLR 15 (2014).

    >>> import numpy as np, nnx
    >>> layer, x = Dropout(0.5), np.ones((1, 8))
    >>> with nnx.training(seed=0, step=0):
    ...     np.unique(layer(x))
    array([0., 2.])
    >>> bool((layer(x) == x).all())
    True
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
