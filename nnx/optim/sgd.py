"""Gradient descent: plain, with momentum in its two forms, with Nesterov's look-ahead, with decoupled weight decay.

Batch, stochastic and mini-batch descent are one rule: they differ in what the gradient was taken of.
"""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from nnx.errors import ConfigError
from nnx.optim import check
from nnx.optim.base import Optimizer, Rule, check_momentum, check_rate, value_at
from nnx.optim.schedules import Schedule
from nnx.regularizers import Selection, check_selection, selects
from nnx.typing import Array, Namespace


def descent(xp: Namespace, p: Array, g: Array, α: float) -> tuple[Array]:
    """w ← w − α g"""
    return (p - α * g,)


def momentum(xp: Namespace, p: Array, g: Array, v: Array, α: float, μ: float) -> tuple[Array, Array]:
    """v ← μ v − α g;  w ← w + v"""
    v = μ * v - α * g
    return p + v, v


def nesterov(xp: Namespace, p: Array, g: Array, v: Array, α: float, μ: float) -> tuple[Array, Array]:
    """v ← μ v − α g;  w ← w + μ v − α g"""
    step = α * g
    v = μ * v - step
    return p + μ * v - step, v


def averaged(xp: Namespace, p: Array, g: Array, V: Array, α: float, β: float, γ: float) -> tuple[Array, Array]:
    """V ← β V + γ g, γ = 1 − β;  w ← w − α V"""
    V = β * V + γ * g
    return p - α * V, V


def momentum_decayed(xp: Namespace, p: Array, g: Array, v: Array, α: float, μ: float, δ: float) -> tuple[Array, Array]:
    """v ← μ v − α g;  w ← δ w + v, δ = 1 − α λ"""
    v = μ * v - α * g
    return δ * p + v, v


def nesterov_decayed(xp: Namespace, p: Array, g: Array, v: Array, α: float, μ: float, δ: float) -> tuple[Array, Array]:
    """v ← μ v − α g;  w ← δ w + μ v − α g, δ = 1 − α λ"""
    step = α * g
    v = μ * v - step
    return δ * p + μ * v - step, v


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent ``w ← w − α g``, or with a momentum μ > 0 one of three forms::

        momentum=μ                  v ← μ v − α g        w ← w + v             the physical form: v is a velocity
        momentum=μ, nesterov=True   v ← μ v − α g        w ← w + μ v − α g     the same, g taken at the point looked ahead to
        momentum=β, averaged=True   V ← β V + (1 − β) g  w ← w − α V           V is an exponentially weighted mean of gradients

    The averaged form takes steps (1 − β) times as long as the physical one at equal α. In Nesterov's form the parameters
    kept are those of the look-ahead point w + μ v, where the gradient is asked for. ``momentum`` may follow a schedule, for
    example ``Linear(0.5, end=0.99, length=20)``.

    PyTorch's SGD keeps b = −v / α and multiplies by the learning rate of the day: the same while α is constant; when α
    changes, our velocity keeps the speed that it has, PyTorch's is rescaled at once. Its ``dampening`` is the averaged form
    except that its first V is g, ours (1 − β) g.

    Raises ``ConfigError`` for a learning rate ≤ 0, a momentum outside [0, 1), or two forms at once.

    >>> import numpy as np
    >>> optimizer = SGD(0.1, momentum=0.9)
    >>> params = {"w": np.asarray([1.0])}
    >>> state = optimizer.init(params)
    >>> params, state = optimizer.update({"w": np.asarray([2.0])}, state, params)
    >>> params["w"].tolist(), state["step"], state["v"]["w"].tolist()
    ([0.8], 1, [-0.2])

    Source: Polyak, 1964; Nesterov, 1983, in the form of Sutskever and others, 2013; cs231n notes on neural networks, part 3.
    """

    learning_rate: float | Schedule
    _: KW_ONLY
    momentum: float | Schedule = 0.0
    nesterov: bool = False
    averaged: bool = False
    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        check_rate(self.learning_rate, "SGD")
        check_momentum(self.momentum, "SGD")
        check.flag(self.nesterov, name="nesterov", where="SGD")
        check.flag(self.averaged, name="averaged", where="SGD")
        if self.nesterov and self.averaged:
            raise ConfigError(
                expected="one form of momentum",
                got="nesterov and averaged",
                where="SGD",
                fix="Leave out averaged: Nesterov's form is physical.",
            )
        if (self.nesterov or self.averaged) and not self._has_momentum():
            raise ConfigError(
                expected="a momentum > 0 for this form", got="momentum=0.0", where="SGD", fix="Pass momentum=0.9."
            )

    def _has_momentum(self) -> bool:
        return isinstance(self.momentum, Schedule) or self.momentum > 0

    def kept(self) -> tuple[str, ...]:
        return ("v",) if self._has_momentum() else ()

    def rule(self) -> Rule:
        if not self._has_momentum():
            return descent
        return nesterov if self.nesterov else averaged if self.averaged else momentum

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        if not self._has_momentum():
            return (rate,)
        μ = value_at(self.momentum, step)
        return (rate, μ, 1 - μ) if self.averaged else (rate, μ)


@dataclass(frozen=True)
class SGDW(Optimizer):
    """Gradient descent with momentum and decoupled weight decay λ::

        v ← μ v − α g        w ← (1 − α λ) w + v        (nesterov: w ← (1 − α λ) w + μ v − α g)

    The decay does not pass through the velocity, as it would if λ w were added to the gradient (PyTorch's ``weight_decay``, or
    ``nnx.regularizers.L2`` in the loss); with momentum 0 the two are the same. PyTorch has no SGDW. The paper decays by η λ w,
    with a multiplier η apart from α; here, as in PyTorch's AdamW, by α λ w. Biases and batch-norm scales are not decayed unless
    ``applies_to`` says so (see ``nnx.regularizers``).

    Raises ``ConfigError`` for a value out of range.

    >>> import numpy as np
    >>> optimizer = SGDW(0.1, momentum=0.0, weight_decay=0.5)
    >>> params = {"w": np.ones((1, 1)), "b": np.ones(1)}
    >>> params, _ = optimizer.update({"w": np.zeros((1, 1)), "b": np.zeros(1)}, optimizer.init(params), params)
    >>> params["w"].tolist(), params["b"].tolist()
    ([[0.95]], [1.0])

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, Algorithm 1.
    """

    learning_rate: float | Schedule
    _: KW_ONLY
    momentum: float | Schedule = 0.9
    nesterov: bool = False
    weight_decay: float = 0.01
    applies_to: Selection = "weights"
    name: ClassVar[str] = "sgdw"
    slots: ClassVar[tuple[str, ...]] = ("v",)

    def __post_init__(self) -> None:
        check_rate(self.learning_rate, "SGDW")
        check_momentum(self.momentum, "SGDW")
        check.flag(self.nesterov, name="nesterov", where="SGDW")
        check.not_negative(self.weight_decay, name="weight_decay", where="SGDW")
        check_selection(self.applies_to, "SGDW")

    def decays(self, path: str, p: Array) -> bool:
        return selects(self.applies_to, path, p)

    def rule(self) -> Rule:
        return nesterov_decayed if self.nesterov else momentum_decayed

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        return rate, value_at(self.momentum, step), 1 - rate * float(self.weight_decay) if decays else 1.0
