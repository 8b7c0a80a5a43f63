"""Adam: running means of the gradient and of its square, corrected for having started at zero; AMSGrad; AdamW."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from nnx.optim import check
from nnx.optim.base import Optimizer, Rule, check_rate
from nnx.optim.schedules import Schedule
from nnx.regularizers import Selection, check_selection, selects
from nnx.typing import Array, Namespace

# In all of them, computed on the host in double precision: γ1 = 1 − β1, γ2 = 1 − β2, η = α / (1 − β1ᵗ), c2 = 1 − β2ᵗ,
# so that α m̂ / (√v̂ + ε) = η m / (√(v / c2) + ε).


def adam(
    xp: Namespace, p: Array, g: Array, m: Array, v: Array,
    η: float, β1: float, γ1: float, β2: float, γ2: float, c2: float, ε: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """m ← β1 m + γ1 g;  v ← β2 v + γ2 g²;  w ← w − α m̂ / (√v̂ + ε)"""
    m = β1 * m + γ1 * g
    v = β2 * v + γ2 * (g * g)
    return p - η * m / (xp.sqrt(v / c2) + ε), m, v


def amsgrad(
    xp: Namespace, p: Array, g: Array, m: Array, v: Array, u: Array,
    η: float, β1: float, γ1: float, β2: float, γ2: float, c2: float, ε: float,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """m ← β1 m + γ1 g;  v ← β2 v + γ2 g²;  u ← max(u, v);  w ← w − α m̂ / (√û + ε)"""
    m = β1 * m + γ1 * g
    v = β2 * v + γ2 * (g * g)
    u = xp.maximum(u, v)
    return p - η * m / (xp.sqrt(u / c2) + ε), m, v, u


def adamw(
    xp: Namespace, p: Array, g: Array, m: Array, v: Array,
    η: float, β1: float, γ1: float, β2: float, γ2: float, c2: float, ε: float, δ: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """m ← β1 m + γ1 g;  v ← β2 v + γ2 g²;  w ← δ w − α m̂ / (√v̂ + ε), δ = 1 − α λ"""
    m = β1 * m + γ1 * g
    v = β2 * v + γ2 * (g * g)
    return δ * p - η * m / (xp.sqrt(v / c2) + ε), m, v


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adaptive moments, with t counted from 1::

        m ← β1 m + (1 − β1) g        m̂ = m / (1 − β1ᵗ)
        v ← β2 v + (1 − β2) g²       v̂ = v / (1 − β2ᵗ)        w ← w − α m̂ / (√v̂ + ε)

    ε stands outside the root, as in the paper's Algorithm 1 and in PyTorch, whose numbers these are. ``amsgrad=True`` puts
    the largest v so far in the place of v, bias-corrected as PyTorch does; the paper of Reddi and others corrects nothing.

    Raises ``ConfigError`` for a value out of range.

    >>> import numpy as np
    >>> optimizer = Adam(0.1)
    >>> params = {"w": np.asarray([1.0, 1.0])}
    >>> params, state = optimizer.update({"w": np.asarray([5.0, -0.01])}, optimizer.init(params), params)
    >>> [round(x, 6) for x in params["w"].tolist()]
    [0.9, 1.1]

    Source: Kingma and Ba, 2015, Algorithm 1; Reddi, Kale and Kumar, 2018, Algorithm 2.
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    amsgrad: bool = False
    name: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        _check(self)
        check.flag(self.amsgrad, name="amsgrad", where="Adam")

    def kept(self) -> tuple[str, ...]:
        return ("m", "v", "u") if self.amsgrad else ("m", "v")

    def rule(self) -> Rule:
        return amsgrad if self.amsgrad else adam

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        return _numbers(self, step, rate)


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay λ: ``w ← (1 − α λ) w − α m̂ / (√v̂ + ε)``.

    The decay is not divided by √v̂, as it would be if λ w were part of the gradient (``nnx.regularizers.L2`` in the
    loss). It acts on weights and not on biases or batch-norm scales unless ``applies_to`` says so (see
    ``nnx.regularizers``); PyTorch's AdamW decays everything it is given, which is ``applies_to="all"``. The paper's
    multiplier η is the schedule's part of α here.

    Raises ``ConfigError`` for a value out of range.

    >>> import numpy as np
    >>> optimizer = AdamW(0.1, weight_decay=0.5)
    >>> params = {"w": np.ones((1, 1)), "b": np.ones(1)}
    >>> params, _ = optimizer.update({"w": np.zeros((1, 1)), "b": np.zeros(1)}, optimizer.init(params), params)
    >>> params["w"].tolist(), params["b"].tolist()
    ([[0.95]], [1.0])

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, Algorithm 2; the default λ is PyTorch's.
    """

    learning_rate: float | Schedule = 1e-3
    _: KW_ONLY
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01
    applies_to: Selection = "weights"
    name: ClassVar[str] = "adamw"
    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def __post_init__(self) -> None:
        _check(self)
        check.not_negative(self.weight_decay, name="weight_decay", where="AdamW")
        check_selection(self.applies_to, "AdamW")

    def decays(self, path: str, p: Array) -> bool:
        return selects(self.applies_to, path, p)

    def rule(self) -> Rule:
        return adamw

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        return *_numbers(self, step, rate), 1 - rate * float(self.weight_decay) if decays else 1.0


def _check(settings: Adam | AdamW) -> None:
    where = type(settings).__name__
    check_rate(settings.learning_rate, where)
    check.fraction(settings.beta1, name="beta1", where=where)
    check.fraction(settings.beta2, name="beta2", where=where, example="0.999")
    check.positive(settings.eps, name="eps", where=where, example="1e-8")


def _numbers(settings: Adam | AdamW, step: int, rate: float) -> tuple[float, ...]:
    t, β1, β2 = step + 1, float(settings.beta1), float(settings.beta2)
    return rate / (1 - β1**t), β1, 1 - β1, β2, 1 - β2, 1 - β2**t, float(settings.eps)
