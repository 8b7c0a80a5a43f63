"""Schedules: a learning rate (or a momentum) as a function of time.

A schedule is called with the step, counted from 0: ``schedule(step) -> float``. Its equation is written in a time t
that is the step itself (``per="step"``) or the epoch (``per="epoch"``, the default), which needs to know how many steps
an epoch has: ``fit`` binds that, or ``schedule.bind(n)``. Decays by epoch are constant within an epoch, as in the notes
and in PyTorch's schedulers; those of ``cycles.py`` move at every step, in fractions of an epoch. In the equations α₀ is
``learning_rate``.
"""

import math
from dataclasses import KW_ONLY, dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Self

from nnx.errors import ConfigError
from nnx.optim import check
from nnx.optim.config import Configured


@dataclass(frozen=True, kw_only=True)
class Schedule(Configured):
    """The abstract base: it keeps time, a schedule gives ``at(t)``."""

    per: str = "epoch"
    steps_per_epoch: int | None = None
    continuous: ClassVar[bool] = False

    def at(self, t: float) -> float:
        """The value at time t."""
        raise self.undefined("at(self, t)")

    def validate(self, where: str) -> None:
        """Raise ``ConfigError`` for a wrong argument; without it all are taken."""

    def __post_init__(self) -> None:
        where = type(self).__name__
        if self.per not in ("step", "epoch"):
            raise ConfigError(
                "per is unknown", expected='"step" or "epoch"', got=repr(self.per), where=where, fix='Pass per="epoch".'
            )
        if self.steps_per_epoch is not None:
            check.count(self.steps_per_epoch, name="steps_per_epoch", where=where)
        self.validate(where)

    def bind(self, steps_per_epoch: int) -> Self:
        """The same schedule, knowing how many steps an epoch has."""
        inner: dict[str, Any] = {
            key: value.bind(steps_per_epoch) for key, value in vars(self).items() if isinstance(value, Schedule)
        }
        return replace(self, steps_per_epoch=steps_per_epoch, **inner)

    def tick(self, t: float) -> float:
        """Time as the equation sees it: whole epochs, unless the schedule moves within them."""
        return t if self.continuous else math.floor(t)

    def __call__(self, step: int) -> float:
        if self.per == "step":
            return self.at(step)
        if self.steps_per_epoch is None:
            raise ConfigError(
                "a schedule by epoch was asked for a step",
                expected="to know how many steps an epoch has",
                got="steps_per_epoch=None",
                where=type(self).__name__,
                fix='Call schedule.bind(steps_per_epoch) or optimizer.with_steps_per_epoch(n) (fit does), or pass per="step".',
            )
        return self.at(self.tick(step / self.steps_per_epoch))


@dataclass(frozen=True)
class Constant(Schedule):
    """α = α₀.

    >>> Constant(0.1, per="step")(7)
    0.1
    """

    learning_rate: float
    name: ClassVar[str] = "constant"

    def at(self, t: float) -> float:
        return float(self.learning_rate)

    def validate(self, where: str) -> None:
        check.positive(self.learning_rate, name="learning_rate", where=where)


@dataclass(frozen=True)
class StepDecay(Schedule):
    """α = α₀ · factor^⌊t / every⌋: every 20 epochs a tenth.

    >>> schedule = StepDecay(0.1, every=20, factor=0.5).bind(steps_per_epoch=10)
    >>> schedule(199), schedule(200)
    (0.1, 0.05)
    """

    learning_rate: float
    _: KW_ONLY
    every: int = 20
    factor: float = 0.1
    name: ClassVar[str] = "step"

    def at(self, t: float) -> float:
        return float(self.learning_rate * self.factor ** (t // self.every))

    def validate(self, where: str) -> None:
        check.positive(self.learning_rate, name="learning_rate", where=where)
        check.count(self.every, name="every", where=where, example="20")
        check.positive(self.factor, name="factor", where=where, example="0.1")


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """α = α₀ e^(−rate · t), or α = α₀ · factor^t: give ``rate`` or ``factor``, not both.

    >>> ExponentialDecay(1.0, factor=0.5, per="step")(3)
    0.125
    >>> ExponentialDecay(1.0, rate=0.0, per="step")(3)
    1.0
    """

    learning_rate: float
    _: KW_ONLY
    rate: float | None = None
    factor: float | None = None
    name: ClassVar[str] = "exponential"

    def at(self, t: float) -> float:
        decay = self.factor**t if self.factor is not None else math.exp(-(self.rate or 0.0) * t)
        return float(self.learning_rate * decay)

    def validate(self, where: str) -> None:
        check.positive(self.learning_rate, name="learning_rate", where=where)
        if (self.rate is None) == (self.factor is None):
            raise ConfigError(
                expected="rate or factor, one of them",
                got="neither" if self.rate is None else "both",
                where=where,
                fix="Pass rate=0.05 for exp(-0.05 t), or factor=0.97 for 0.97^t.",
            )
        if self.rate is not None:
            check.not_negative(self.rate, name="rate", where=where, example="0.05")
        else:
            check.positive(self.factor, name="factor", where=where, example="0.97")


@dataclass(frozen=True)
class InverseDecay(Schedule):
    """α = α₀ / (1 + rate · t), the 1/t decay.

    >>> InverseDecay(1.0, rate=0.5, per="step")(2)
    0.5
    """

    learning_rate: float
    _: KW_ONLY
    rate: float
    name: ClassVar[str] = "inverse"

    def at(self, t: float) -> float:
        return float(self.learning_rate / (1 + self.rate * t))

    def validate(self, where: str) -> None:
        check.positive(self.learning_rate, name="learning_rate", where=where)
        check.not_negative(self.rate, name="rate", where=where, example="0.1")


@dataclass(frozen=True)
class InverseRootDecay(Schedule):
    """α = α₀ · scale / √(t + 1): α₀ k / √epoch, with epochs counted from 1.

    >>> InverseRootDecay(1.0, per="step")(3)
    0.5
    """

    learning_rate: float
    _: KW_ONLY
    scale: float = 1.0
    name: ClassVar[str] = "inverse_root"

    def at(self, t: float) -> float:
        return self.learning_rate * self.scale / math.sqrt(t + 1)

    def validate(self, where: str) -> None:
        check.positive(self.learning_rate, name="learning_rate", where=where)
        check.positive(self.scale, name="scale", where=where, example="1.0")


@dataclass(frozen=True)
class Table(Schedule):
    """Rates set by hand: ``learning_rate`` until the first entry, then each ``(t, rate)`` of ``rates`` from its time on.

    >>> schedule = Table(0.1, rates=((10, 0.01), (20, 0.001)), per="step")
    >>> schedule(9), schedule(10), schedule(25)
    (0.1, 0.01, 0.001)
    """

    learning_rate: float
    _: KW_ONLY
    rates: tuple[tuple[float, float], ...]
    name: ClassVar[str] = "table"

    def at(self, t: float) -> float:
        value = self.learning_rate
        for begin, rate in self.rates:
            if t >= begin:
                value = rate
        return float(value)

    def validate(self, where: str) -> None:
        check.positive(self.learning_rate, name="learning_rate", where=where)
        rates: Any = self.rates
        if (
            not isinstance(rates, tuple)
            or not rates
            or not all(isinstance(entry, tuple) and len(entry) == 2 for entry in rates)
        ):
            raise ConfigError(
                expected="pairs of time and rate",
                got=repr(rates),
                where=where,
                fix="Pass rates=((10, 0.01), (20, 0.001)).",
            )
        for begin, rate in rates:
            check.not_negative(begin, name="a time", where=where, example="10")
            check.positive(rate, name="a rate", where=where)
        times = [begin for begin, _ in rates]
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise ConfigError(
                expected="times that rise", got=str(times), where=where, fix="Sort the pairs by time, each time once."
            )
