"""Gradient descent: plain, with momentum (two forms), with Nesterov's look-ahead."""

from dataclasses import dataclass
from typing import ClassVar

from nnx.optim import check
from nnx.optim.base import Optimizer, Rule, _at
from nnx.optim.schedules import Schedule
from nnx.typing import Array, Namespace


def descent(xp: Namespace, p: Array, g: Array, α: float) -> tuple[Array]:
    """p ← p − α g"""
    return (p - α * g,)


def momentum(xp: Namespace, p: Array, g: Array, v: Array, α: float, μ: float) -> tuple[Array, Array]:
    """v ← μ v − α g,  p ← p + v"""
    v = μ * v - α * g
    return p + v, v


def nesterov(xp: Namespace, p: Array, g: Array, v: Array, α: float, μ: float) -> tuple[Array, Array]:
    """v ← μ v − α g,  p ← p + μ v − α g"""
    s = α * g
    v = μ * v - s
    return p + μ * v - s, v


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent."""

    learning_rate: float | Schedule
    momentum: float | Schedule = 0.0
    nesterov: bool = False
    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rate, Schedule):
            check.positive(self.learning_rate, name="learning_rate", where="SGD", example="0.1")

    def kept(self) -> tuple[str, ...]:
        return ("v",) if self.momentum else ()

    def rule(self) -> Rule:
        if not self.momentum:
            return descent
        return nesterov if self.nesterov else momentum

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        return (rate, _at(self.momentum, step)) if self.momentum else (rate,)
