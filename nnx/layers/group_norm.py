"""Group normalisation."""

from nnx import init, ops
from nnx.errors import ConfigError, ShapeError
from nnx.layers.checks import check_features, small
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.layers.parameter import Parameter
from nnx.typing import Array


class GroupNorm(Module):
    """y = γ (x − μ)/√(σ² + ε) + β, with mean μ and biased variance σ² of each group of channels of each example.

    Shapes: x (N, C) or (N, …, C), y alike; γ and β (C,), left out with ``affine=False``. The C channels are ``groups``
    groups of neighbours; one group is layer norm over the whole image, C groups are instance norm. As it does not look at
    the batch it suits small ones.

    Errors: ``ConfigError`` for channels that do not divide into the groups; ``ShapeError`` for another number of channels
    or no places, ``DtypeError`` for another dtype than the model's. Source: Wu and He (2018), arXiv:1803.08494.

    >>> import numpy as np
    >>> GroupNorm(2, 4, affine=False, eps=1e-12)(np.asarray([[1.0, 3.0, 5.0, 9.0]]))
    array([[-1.,  1., -1.,  1.]])
    """

    def __init__(self, groups: int, features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        positive("groups", groups, "GroupNorm")
        positive("features", features, "GroupNorm")
        if features % groups:
            raise ConfigError(
                expected="features that divide into the groups",
                got=f"{features} features, {groups} groups",
                where="GroupNorm",
                fix=f"{_divisors(features)} groups would do.",
            )
        self.groups, self.features, self.eps = groups, features, small(eps, "GroupNorm")
        self.gamma = Parameter((features,), init.ones()) if affine else None
        self.beta = Parameter((features,), init.zeros()) if affine else None

    def forward(self, x: Array) -> Array:
        """Normalise each group of channels of each example."""
        check_features(x, self.features, self.gamma, "N, …", least=2)
        if 0 in x.shape[1:-1]:
            raise ShapeError(
                expected="at least one place to normalise over",
                got=f"{tuple(x.shape)}",
                fix="Pool less before this layer.",
            )
        return ops.group_norm(x, self.groups, self.gamma, self.beta, self.eps)


def _divisors(n: int) -> str:
    """The whole numbers that divide n, in words.

    >>> _divisors(6)
    '1, 2, 3 or 6'
    """
    found = [str(d) for d in range(1, n + 1) if n % d == 0]
    return f"{', '.join(found[:-1])} or {found[-1]}" if len(found) > 1 else found[0]
