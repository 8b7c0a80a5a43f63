"""Positions: what tells a layer that treats all places alike where in a sequence a place stands."""

import numpy as np

from nnx import init, random
from nnx.errors import ConfigError, ShapeError
from nnx.layers.checks import check_features
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.layers.parameter import Buffer, Parameter
from nnx.typing import Array


class Positions(Module):
    """The common base: y[n, t, :] = x[n, t, :] + P[t, :], for sequences of at most ``length`` places."""

    def _settle_table(self, kind: type[Parameter], length: int, features: int, draw: init.Initializer) -> None:
        positive("length", length, type(self).__name__)
        positive("features", features, type(self).__name__)
        self.length, self.features = length, features
        self.table: Array = kind((length, features), draw)

    def forward(self, x: Array) -> Array:
        """x + P."""
        check_features(x, self.features, self.table, "…, T", least=2)
        if x.shape[-2] > self.length:
            raise ShapeError(
                expected=f"sequences of at most {self.length} places",
                got=f"{x.shape[-2]} in x of shape {tuple(x.shape)}",
                fix=f"Cut the sequence, or build {type(self).__name__} with a greater length.",
            )
        return x + self.table[: x.shape[-2], :]


class LearnedPositions(Positions):
    """x + P with a trained row for each place.

    Shapes: x (…, T, features) with T ≤ length, P (length, features) drawn from N(0, 0.02²) unless ``init`` says otherwise.
    Errors: ``ShapeError`` for a longer sequence or other features, ``DtypeError`` for another dtype than the model's.
    Source: Gehring et al. (2017), arXiv:1705.03122.

    >>> import numpy as np
    >>> LearnedPositions(10, 4)(np.zeros((2, 7, 4), dtype="float32")).shape
    (2, 7, 4)
    """

    def __init__(self, length: int, features: int, *, init: init.Initializer | None = None) -> None:
        self._settle_table(Parameter, length, features, _SMALL if init is None else init)


class SinusoidalPositions(Positions):
    """x + P with P[t, 2i] = sin(t ωᵢ), P[t, 2i + 1] = cos(t ωᵢ), ωᵢ = 10000^(−2i/features): nothing to train.

    Shapes: x (…, T, features) with T ≤ length and an even number of features; P (length, features) is a buffer.
    Errors: ``ConfigError`` for an odd number of features; ``ShapeError`` for a longer sequence or other features.
    Source: Vaswani et al. (2017), arXiv:1706.03762.

    >>> import numpy as np
    >>> SinusoidalPositions(3, 2)(np.zeros((3, 2), dtype="float32"))[0]
    array([0., 1.], dtype=float32)
    """

    def __init__(self, length: int, features: int) -> None:
        self._settle_table(Buffer, length, features, _Waves())
        if features % 2:
            raise ConfigError(
                expected="an even number of features",
                got=repr(features),
                where="SinusoidalPositions",
                fix=f"Sines and cosines come in pairs: take {features + 1}.",
            )


class _Waves(init.Initializer):
    """Sines and cosines of falling frequency."""

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> init.Draws:
        angle = np.arange(shape[0])[:, None] * 10000.0 ** (-np.arange(0, shape[1], 2) / shape[1])
        return np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(shape)

    def __repr__(self) -> str:
        return "sinusoids"


_SMALL = init.normal(0.02)
