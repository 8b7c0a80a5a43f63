"""Schedules that move at every step, in fractions of an epoch: a line, half a cosine, a warm-up before another, one cycle."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from nnx.errors import ConfigError
from nnx.optim import check
from nnx.optim.schedules import Schedule


@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line from ``start`` to ``end`` over ``length``, then ``end``: also for a momentum, 0.5 → 0.99.

    >>> momentum = Linear(0.5, end=0.75, length=10, per="step")
    >>> momentum(0), momentum(5), momentum(100)
    (0.5, 0.625, 0.75)
    """

    start: float
    _: KW_ONLY
    end: float
    length: float
    name: ClassVar[str] = "linear"
    continuous: ClassVar[bool] = True

    def at(self, t: float) -> float:
        return self.start + (self.end - self.start) * min(t / self.length, 1.0)

    def validate(self, where: str) -> None:
        check.not_negative(self.start, name="start", where=where)
        check.not_negative(self.end, name="end", where=where)
        check.positive(self.length, name="length", where=where, example="10")


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """α = floor + ½ (α₀ − floor) (1 + cos(π t / length)) for t < length, then ``floor``.

    >>> CosineDecay(1.0, length=10, per="step")(5)
    0.5

    Source: Loshchilov and Hutter, SGDR, 2017, equation 5, without restarts.
    """

    learning_rate: float
    _: KW_ONLY
    length: float
    floor: float = 0.0
    name: ClassVar[str] = "cosine"
    continuous: ClassVar[bool] = True

    def at(self, t: float) -> float:
        return _cosine(self.learning_rate, self.floor, min(t / self.length, 1.0))

    def validate(self, where: str) -> None:
        check.positive(self.learning_rate, name="learning_rate", where=where)
        check.positive(self.length, name="length", where=where, example="100")
        check.not_negative(self.floor, name="floor", where=where, example="0.0")


@dataclass(frozen=True)
class Warmup(Schedule):
    """A linear rise to where ``then`` begins, after which ``then`` runs on its own clock::

        α = then(0) · (start + (1 − start) t / length)   for t < length,    then(t − length) afterwards

    >>> schedule = Warmup(CosineDecay(1.0, length=10, per="step"), length=4, per="step")
    >>> [schedule(step) for step in (0, 2, 4, 9)]
    [0.0, 0.5, 1.0, 0.5]
    """

    then: Schedule
    _: KW_ONLY
    length: float
    start: float = 0.0
    name: ClassVar[str] = "warmup"
    continuous: ClassVar[bool] = True

    def at(self, t: float) -> float:
        if t >= self.length:
            return self.then.at(self.then.tick(t - self.length))
        return self.then.at(0) * (self.start + (1 - self.start) * t / self.length)

    def validate(self, where: str) -> None:
        if not isinstance(self.then, Schedule) or self.then.per != self.per:
            raise ConfigError(
                expected=f"a schedule per {self.per} to follow",
                got=repr(self.then),
                where=where,
                fix=f'Pass then=Constant(0.1, per="{self.per}") or another schedule.',
            )
        check.positive(self.length, name="length", where=where, example="5")
        check.fraction(self.start, name="start", where=where, example="0.0")


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up along half a cosine and down again: the one-cycle policy, ``learning_rate`` being its peak::

        start·α₀ → α₀   for t from 0 to rise·length,    α₀ → end·α₀   from there to length,    then end·α₀

    The defaults are PyTorch's. There the last of T steps is t = T − 1 and the peak lies one step earlier, at 0.3 T − 1:
    the same numbers come from ``length=T − 1, rise=(0.3 T − 1)/(T − 1)``. A momentum that goes the other way is a cycle
    with ``start`` and ``end`` above 1: ``OneCycle(0.85, length=T, start=0.95/0.85, end=0.95/0.85)``.

    >>> schedule = OneCycle(1.0, length=10, rise=0.5, per="step")
    >>> [round(schedule(step), 4) for step in (0, 5, 10)]
    [0.04, 1.0, 0.0]

    Source: Smith and Topin, Super-Convergence, 2018.
    """

    learning_rate: float
    _: KW_ONLY
    length: float
    rise: float = 0.3
    start: float = 1 / 25
    end: float = 1 / 250_000
    name: ClassVar[str] = "one_cycle"
    continuous: ClassVar[bool] = True

    def at(self, t: float) -> float:
        peak, top = self.learning_rate, self.rise * self.length
        if t < top:
            return _cosine(self.start * peak, peak, t / top)
        return _cosine(peak, self.end * peak, min((t - top) / (self.length - top), 1.0))

    def validate(self, where: str) -> None:
        check.positive(self.learning_rate, name="learning_rate", where=where)
        check.positive(self.length, name="length", where=where, example="100")
        check.fraction(self.rise, name="rise", where=where, example="0.3")
        check.not_negative(self.start, name="start", where=where, example="0.04")
        check.not_negative(self.end, name="end", where=where, example="0.0")


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
