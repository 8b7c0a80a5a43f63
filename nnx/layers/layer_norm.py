"""Layer normalisation."""

from nnx import init, ops
from nnx.layers.checks import check_features, small
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.layers.parameter import Parameter
from nnx.typing import Array


class LayerNorm(Module):
    """y = γ (x − μ)/√(σ² + ε) + β, with mean μ and biased variance σ² of the features of each place alone.

    Shapes: x (…, features), y alike; γ and β (features,), left out with ``affine=False``. Training and inference are the
    same: there are no running statistics, and an example does not depend on its batch.

    Errors: ``ShapeError`` for another number of features, ``DtypeError`` for another dtype than the model's.
    Source: Ba, Kiros and Hinton (2016), arXiv:1607.06450.

    >>> import numpy as np
    >>> LayerNorm(2, affine=False, eps=1e-12)(np.asarray([[1.0, 3.0]]))
    array([[-1.,  1.]])
    """

    def __init__(self, features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        positive("features", features, "LayerNorm")
        self.features, self.eps = features, small(eps, "LayerNorm")
        self.gamma = Parameter((features,), init.ones()) if affine else None
        self.beta = Parameter((features,), init.zeros()) if affine else None

    def forward(self, x: Array) -> Array:
        """Normalise each place by its own features."""
        check_features(x, self.features, self.gamma)
        return ops.layer_norm(x, self.gamma, self.beta, self.eps)
