"""Normalisation by the root of the mean square."""

from nnx import init, ops
from nnx.layers.checks import check_features, small
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.layers.parameter import Parameter
from nnx.typing import Array


class RMSNorm(Module):
    """y = γ x/√(mean x² + ε), with the mean over the features of each place alone; nothing is subtracted.

    Shapes: x (…, features), y alike; γ (features,), left out with ``affine=False``. About as good as :class:`LayerNorm` in
    practice, and cheaper.

    Errors: ``ShapeError`` for another number of features, ``DtypeError`` for another dtype than the model's.
    Source: Zhang and Sennrich (2019), arXiv:1910.07467.

    >>> import numpy as np
    >>> RMSNorm(2, affine=False, eps=1e-12)(np.asarray([[1.0, 7.0]]))
    array([[0.2, 1.4]])
    """

    def __init__(self, features: int, *, eps: float = 1e-6, affine: bool = True) -> None:
        positive("features", features, "RMSNorm")
        self.features, self.eps = features, small(eps, "RMSNorm")
        self.gamma = Parameter((features,), init.ones()) if affine else None

    def forward(self, x: Array) -> Array:
        """Divide each place by the root of its mean square."""
        check_features(x, self.features, self.gamma)
        return ops.rms_norm(x, self.gamma, self.eps)
