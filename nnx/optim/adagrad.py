"""Adagrad: a step per parameter that shrinks with all the squared gradients it has seen."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from nnx.optim import check
from nnx.optim.base import Optimizer, Rule, check_rate
from nnx.optim.schedules import Schedule
from nnx.typing import Array, Namespace


def adagrad(xp: Namespace, p: Array, g: Array, c: Array, α: float, ε: float) -> tuple[Array, Array]:
    """c ← c + g²;  w ← w − α g / (√c + ε)"""
    c = c + g * g
    return p - α * g / (xp.sqrt(c) + ε), c


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adaptive gradient::

        c ← c + g²        w ← w − α g / (√c + ε)

    The same as PyTorch's with its defaults (no learning-rate decay of its own: use a schedule; c starts at 0).

    Raises ``ConfigError`` for a value out of range.

    >>> import numpy as np
    >>> optimizer = Adagrad(0.5)
    >>> params = {"w": np.asarray([1.0])}
    >>> params, state = optimizer.update({"w": np.asarray([4.0])}, optimizer.init(params), params)
    >>> round(float(params["w"][0]), 6), state["c"]["w"].tolist()
    (0.5, [16.0])

    Source: Duchi, Hazan and Singer, 2011, section 1.3.
    """

    learning_rate: float | Schedule = 1e-2
    _: KW_ONLY
    eps: float = 1e-10
    name: ClassVar[str] = "adagrad"
    slots: ClassVar[tuple[str, ...]] = ("c",)

    def __post_init__(self) -> None:
        check_rate(self.learning_rate, "Adagrad")
        check.positive(self.eps, name="eps", where="Adagrad", example="1e-10")

    def rule(self) -> Rule:
        return adagrad

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        return rate, float(self.eps)
