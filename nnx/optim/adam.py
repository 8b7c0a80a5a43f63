"""Adam."""

from dataclasses import dataclass
from typing import ClassVar

from nnx.optim import check
from nnx.optim.base import Optimizer, Rule
from nnx.optim.schedules import Schedule
from nnx.typing import Array, Namespace


def adam(
    xp: Namespace, p: Array, g: Array, m: Array, v: Array, α: float, β1: float, γ1: float, β2: float, γ2: float, c2: float, ε: float
) -> tuple[Array, Array, Array]:
    m = β1 * m + γ1 * g
    v = β2 * v + γ2 * (g * g)
    return p - α * m / (xp.sqrt(v / c2) + ε), m, v


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adaptive moments."""

    learning_rate: float | Schedule = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    name: ClassVar[str] = "adam"
    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rate, Schedule):
            check.positive(self.learning_rate, name="learning_rate", where="Adam")

    def rule(self) -> Rule:
        return adam

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        t, β1, β2 = step + 1, self.beta1, self.beta2
        return rate / (1 - β1**t), β1, 1 - β1, β2, 1 - β2, 1 - β2**t, self.eps
