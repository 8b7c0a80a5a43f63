"""RMSprop: a step per parameter, divided by a running root mean square of its gradients."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from nnx.optim import check
from nnx.optim.base import Optimizer, Rule, check_momentum, check_rate, value_at
from nnx.optim.schedules import Schedule
from nnx.typing import Array, Namespace

# In all four γ = 1 − ρ. The variance s − a² is ≥ 0 but for rounding; its absolute value keeps the root real.


def rmsprop(xp: Namespace, p: Array, g: Array, s: Array, α: float, ρ: float, γ: float, ε: float) -> tuple[Array, Array]:
    """s ← ρ s + γ g²;  w ← w − α g / (√s + ε)"""
    s = ρ * s + γ * (g * g)
    return p - α * g / (xp.sqrt(s) + ε), s


def centered(
    xp: Namespace, p: Array, g: Array, s: Array, a: Array, α: float, ρ: float, γ: float, ε: float
) -> tuple[Array, Array, Array]:
    """s ← ρ s + γ g²;  a ← ρ a + γ g;  w ← w − α g / (√(s − a²) + ε)"""
    s = ρ * s + γ * (g * g)
    a = ρ * a + γ * g
    return p - α * g / (xp.sqrt(xp.abs(s - a * a)) + ε), s, a


def with_momentum(
    xp: Namespace, p: Array, g: Array, s: Array, v: Array, α: float, ρ: float, γ: float, ε: float, μ: float
) -> tuple[Array, Array, Array]:
    """s ← ρ s + γ g²;  v ← μ v − α g / (√s + ε);  w ← w + v"""
    s = ρ * s + γ * (g * g)
    v = μ * v - α * g / (xp.sqrt(s) + ε)
    return p + v, s, v


def centered_with_momentum(
    xp: Namespace, p: Array, g: Array, s: Array, a: Array, v: Array, α: float, ρ: float, γ: float, ε: float, μ: float
) -> tuple[Array, Array, Array, Array]:
    """s ← ρ s + γ g²;  a ← ρ a + γ g;  v ← μ v − α g / (√(s − a²) + ε);  w ← w + v"""
    s = ρ * s + γ * (g * g)
    a = ρ * a + γ * g
    v = μ * v - α * g / (xp.sqrt(xp.abs(s - a * a)) + ε)
    return p + v, s, a, v


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Root mean square propagation::

        s ← ρ s + (1 − ρ) g²        w ← w − α g / (√s + ε)

    centered=True    a ← ρ a + (1 − ρ) g, and √(s − a²) in the place of √s
    momentum=μ       v ← μ v − α g / (√s + ε), w ← w + v

    (``cache += ρ cache + …`` in the notes is a slip: the running mean is assigned.) PyTorch's is the same, except that its
    defaults are α = 0.01, ρ = 0.99, and that under momentum it keeps −v / α, as its SGD does: the same while α is
    constant. Graves writes ε inside the root.

    Raises ``ConfigError`` for a value out of range.

    >>> import numpy as np
    >>> optimizer = RMSprop(0.1, rho=0.75)
    >>> params = {"w": np.asarray([1.0])}
    >>> params, state = optimizer.update({"w": np.asarray([4.0])}, optimizer.init(params), params)
    >>> round(float(params["w"][0]), 6), state["s"]["w"].tolist()
    (0.8, [4.0])

    Source: Tieleman and Hinton, lecture 6e, 2012; centred, with momentum: Graves, 2013, equations 38–45.
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    rho: float = 0.9
    eps: float = 1e-8
    centered: bool = False
    momentum: float | Schedule = 0.0
    name: ClassVar[str] = "rmsprop"

    def __post_init__(self) -> None:
        check_rate(self.learning_rate, "RMSprop")
        check.fraction(self.rho, name="rho", where="RMSprop")
        check.positive(self.eps, name="eps", where="RMSprop", example="1e-8")
        check.flag(self.centered, name="centered", where="RMSprop")
        check_momentum(self.momentum, "RMSprop")

    def _has_momentum(self) -> bool:
        return isinstance(self.momentum, Schedule) or self.momentum > 0

    def kept(self) -> tuple[str, ...]:
        return ("s",) + ("a",) * self.centered + ("v",) * self._has_momentum()

    def rule(self) -> Rule:
        if self._has_momentum():
            return centered_with_momentum if self.centered else with_momentum
        return centered if self.centered else rmsprop

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        plain = (rate, float(self.rho), 1 - float(self.rho), float(self.eps))
        return (*plain, value_at(self.momentum, step)) if self._has_momentum() else plain
