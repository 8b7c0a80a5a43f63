"""Initialisers: how the first values of parameters are drawn.

An initialiser is called with a key and a shape and gives a float64 host array; the parameter casts it. The draw depends
on the key alone, so a seed gives the same weights on every backend.

Weights have shape (…, fan_in, fan_out): for ``(in, out)`` fan_in = in; for a convolution ``(kh, kw, in, out)`` the
window counts too, fan_in = kh·kw·in. Which to take: He before ReLU and its kin, Glorot or LeCun before tanh, sigmoid
and linear outputs. The notes that this library grew from call 1/fan_in "Xavier"; here that is ``lecun``, after LeCun
et al. (1998), and ``glorot`` (with its other name ``xavier``) is 2/(fan_in + fan_out), after Glorot and Bengio (2010).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from typing import Any

import numpy as np

from nnx import random
from nnx.errors import ConfigError, ShapeError

Draws = np.ndarray[Any, Any]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight.

    >>> fans((64, 10)), fans((3, 3, 16, 32))
    ((64, 10), (144, 288))
    """
    if len(shape) < 2:
        raise ShapeError(
            expected="a weight with at least two axes (…, in, out)",
            got=f"shape {shape}",
            where="nnx.init",
            fix="Use nnx.init.zeros(), constant() or normal() for vectors.",
        )
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class Initializer:
    """The common base: a frozen record, called with a key and a shape."""

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> Draws:
        """The values, float64, on the host."""
        raise TypeError(f"{type(self).__name__} must define __call__(key, shape)")


@dataclass(frozen=True)
class Constant(Initializer):
    """Every value the same. As weights it leaves all units of a layer alike: they never come apart."""

    value: float = 0.0

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> Draws:
        return np.full(shape, float(self.value))


@dataclass(frozen=True)
class Normal(Initializer):
    """N(0, std²), cut at two standard deviations with ``truncated`` (then widened back to ``std``)."""

    std: float = 0.01
    truncated: bool = False

    def __post_init__(self) -> None:
        _not_negative(self.std, "std")

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> Draws:
        return _normal(key, shape, self.std, self.truncated)


@dataclass(frozen=True)
class Uniform(Initializer):
    """U(−limit, limit)."""

    limit: float = 0.05

    def __post_init__(self) -> None:
        _not_negative(self.limit, "limit")

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> Draws:
        return random.uniform(key, shape, -self.limit, self.limit)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Var(w) = gain² · scale / fan, with fan = fan_in, fan_out or their mean ("average"); normal or uniform.

    A layer whose input has variance v then has pre-activations of variance gain² · scale · v where fan = fan_in.
    """

    scale: float
    fan: str = "fan_in"
    distribution: str = "normal"
    gain: float = 1.0

    def __post_init__(self) -> None:
        _not_negative(self.scale, "scale")
        _not_negative(self.gain, "gain")
        _one_of(self.fan, ("fan_in", "fan_out", "average"), "fan")
        _one_of(self.distribution, ("normal", "uniform", "truncated_normal"), "distribution")

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> Draws:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "average": (fan_in + fan_out) / 2}[self.fan]
        std = self.gain * math.sqrt(self.scale / max(fan, 1))
        if self.distribution == "uniform":
            limit = math.sqrt(3) * std
            return random.uniform(key, shape, -limit, limit)
        return _normal(key, shape, std, self.distribution == "truncated_normal")


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """A random matrix with orthonormal rows or columns, times ``gain``: it keeps lengths, however deep the network.

    QR of a normal matrix with the signs of R's diagonal moved into Q. Source: Saxe et al. (2014), arXiv:1312.6120.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        _not_negative(self.gain, "gain")

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> Draws:
        fans(shape)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(random.normal(key, (max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return np.asarray(self.gain * (q if rows >= columns else q.T).reshape(shape))


@dataclass(frozen=True)
class Identity(Initializer):
    """``scale`` times the identity matrix: 0.9 makes a deep linear network vanish, 1.3 explode."""

    scale: float = 1.0

    def __call__(self, key: random.Key, shape: tuple[int, ...]) -> Draws:
        if len(shape) != 2:
            raise ShapeError(expected="a matrix shape (in, out)", got=f"{shape}", fix="Use nnx.init.orthogonal().")
        return self.scale * np.eye(*shape)


# names ----------------------------------------------------------------------------------------------------------------
def zeros() -> Constant:
    """All 0: for biases. As weights, symmetry never breaks and nothing is learnt."""
    return Constant(0.0)


def ones() -> Constant:
    """All 1: for scales."""
    return Constant(1.0)


def constant(value: float) -> Constant:
    """All ``value``."""
    return Constant(value)


def normal(std: float = 0.01) -> Normal:
    """N(0, std²); the small normal of the notes has std 0.01."""
    return Normal(std)


def truncated_normal(std: float = 0.01) -> Normal:
    """N(0, std²) cut at two standard deviations, with standard deviation ``std`` after the cut."""
    return Normal(std, truncated=True)


def uniform(limit: float = 0.05) -> Uniform:
    """U(−limit, limit)."""
    return Uniform(limit)


def lecun_normal(gain: float = 1.0) -> VarianceScaling:
    """Var = 1/fan_in. Source: LeCun et al., Efficient BackProp (1998); "Xavier" in the notes."""
    return VarianceScaling(1.0, "fan_in", "normal", gain)


def lecun_uniform(gain: float = 1.0) -> VarianceScaling:
    """Var = 1/fan_in, uniform."""
    return VarianceScaling(1.0, "fan_in", "uniform", gain)


def glorot_normal(gain: float = 1.0) -> VarianceScaling:
    """Var = 2/(fan_in + fan_out). Source: Glorot and Bengio, AISTATS 2010."""
    return VarianceScaling(1.0, "average", "normal", gain)


def glorot_uniform(gain: float = 1.0) -> VarianceScaling:
    """Var = 2/(fan_in + fan_out), uniform."""
    return VarianceScaling(1.0, "average", "uniform", gain)


xavier_normal = glorot_normal
xavier_uniform = glorot_uniform


def he_normal(gain: float = 1.0) -> VarianceScaling:
    """Var = 2/fan_in: keeps the scale through ReLU. Source: He et al. (2015), arXiv:1502.01852."""
    return VarianceScaling(2.0, "fan_in", "normal", gain)


def he_uniform(gain: float = 1.0) -> VarianceScaling:
    """Var = 2/fan_in, uniform."""
    return VarianceScaling(2.0, "fan_in", "uniform", gain)


def orthogonal(gain: float = 1.0) -> Orthogonal:
    """A random orthogonal matrix times ``gain``."""
    return Orthogonal(gain)


def identity(scale: float = 1.0) -> Identity:
    """``scale`` times the identity matrix."""
    return Identity(scale)


GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}


def gain(activation: str, slope: float = 0.01) -> float:
    """The factor that keeps the variance through an activation; ``slope`` is that of ``leaky_relu``.

    >>> gain("relu") == 2**0.5
    True
    """
    if activation == "leaky_relu":
        return math.sqrt(2 / (1 + slope**2))
    _one_of(activation, (*GAINS, "leaky_relu"), "activation")
    return GAINS[activation]


REGISTRY: dict[str, Callable[..., Initializer]] = {
    cls.__name__: cls for cls in (Constant, Identity, Normal, Orthogonal, Uniform, VarianceScaling)
}
"""The records by name: what a model file may ask for."""


def _normal(key: random.Key, shape: tuple[int, ...], std: float, truncated: bool) -> Draws:
    if truncated:
        return std / 0.8796256610342398 * random.truncated_normal(key, shape)
    return std * random.normal(key, shape)


def is_real(value: Any) -> bool:
    """Whether it is a number, of Python or NumPy."""
    return isinstance(value, Real)


def _not_negative(value: float, name: str) -> None:
    if not is_real(value) or not value >= 0 or math.isinf(value):
        raise ConfigError(
            expected=f"{name} ≥ 0 and finite", got=repr(value), where="nnx.init", fix=f"Pass a non-negative {name}."
        )


def _one_of(value: str, known: tuple[str, ...], name: str) -> None:
    if value not in known:
        near = get_close_matches(str(value), known, n=1)
        raise ConfigError(
            expected=f"{name} one of {', '.join(known)}",
            got=repr(value),
            where="nnx.init",
            fix=f"Did you mean {near[0]!r}?" if near else "Choose one of those.",
        )
