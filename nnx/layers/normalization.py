"""Batch normalisation."""

from math import prod

from nnx import init, ops
from nnx.autodiff import namespace
from nnx.autodiff.tensor import value_of
from nnx.errors import ConfigError, DtypeError, ShapeError
from nnx.init import is_real
from nnx.layers.checks import small
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.layers.parameter import Buffer, Parameter
from nnx.layers.training import Pass, current_pass
from nnx.typing import Array


class BatchNorm(Module):
    """y = γ (x − μ)/√(σ² + ε) + β, per feature of (N, F) or per channel of (N, …, C).

    In training μ and σ² are the mean and the biased variance of the batch, and the running statistics move:
    running ← momentum · running + (1 − momentum) · batch. What is stored is the *unbiased* variance n/(n − 1) σ², an
    estimate for single examples; so ``momentum=0.9`` here is PyTorch's ``momentum=0.1``. At inference the running
    statistics are used. The layer before needs no bias.

    A layer that is called twice in a pass moves its statistics twice.

    Errors: ``ShapeError`` for another number of channels, or for one value per channel in training (no variance);
    ``DtypeError`` for another dtype than the model's.
    Source: Ioffe and Szegedy (2015), arXiv:1502.03167.

    >>> import numpy as np, nnx
    >>> layer, x = BatchNorm(1, eps=1e-12), np.asarray([[1.0], [3.0]], dtype="float32")
    >>> with nnx.training():
    ...     layer(x).tolist()
    [[-1.0], [1.0]]
    >>> layer.running_mean.round(3), layer.running_variance.round(3)  # 0.9 · (0, 1) + 0.1 · (2, 2)
    (array([0.2], dtype=float32), array([1.1], dtype=float32))
    """

    def __init__(self, features: int, *, momentum: float = 0.9, eps: float = 1e-5, affine: bool = True) -> None:
        positive("features", features, "BatchNorm")
        if not is_real(momentum) or not 0 <= momentum <= 1:
            raise ConfigError(expected="momentum in [0, 1]", got=repr(momentum), where="BatchNorm", fix="0.9 is usual.")
        self.features, self.momentum, self.eps = features, float(momentum), small(eps, "BatchNorm")
        self.gamma = Parameter((features,), init.ones()) if affine else None
        self.beta = Parameter((features,), init.zeros()) if affine else None
        self.running_mean = Buffer((features,), init.zeros())
        self.running_variance = Buffer((features,), init.ones())

    def forward(self, x: Array) -> Array:
        """Normalise by the batch in training, by the running statistics otherwise."""
        if x.ndim < 2 or x.shape[-1] != self.features:
            raise ShapeError(
                expected=f"x of shape (N, …, {self.features})",
                got=f"{tuple(x.shape)}",
                fix="Channels come last; build BatchNorm with as many features as the layer before gives.",
            )
        namespace(x, self.running_mean)
        if x.dtype != self.running_mean.dtype:
            raise DtypeError(
                expected=f"x of dtype {self.running_mean.dtype}, as the model",
                got=f"{x.dtype}",
                fix="Cast x with xp.astype, or the model with model.to(backend, dtype=...).",
            )
        this = current_pass()
        if this is None:
            return ops.normalize(x, self.running_mean, self.running_variance, self.gamma, self.beta, self.eps)
        n = prod(x.shape[:-1])
        if n < 2:
            raise ShapeError(
                expected="at least 2 values per channel in training",
                got=f"x of shape {tuple(x.shape)}",
                fix="Use a larger batch (drop the last short one with drop_last=True): one value has no variance.",
            )
        return ops.batch_norm(
            x, self.gamma, self.beta, self.eps, lambda mean, variance: self._move(this, mean, variance * (n / (n - 1)))
        )

    def _move(self, this: Pass, mean: Array, variance: Array) -> None:
        m = self.momentum
        for name, batch in (("running_mean", mean), ("running_variance", variance)):
            this.update(self, name, m * this.buffer(self, name) + (1 - m) * value_of(batch))
