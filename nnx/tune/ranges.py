"""What one number or choice may be: how it is drawn, where it lies between its ends, how it is stored.

Everything is measured in a coordinate in which draws are uniform: x itself, log x, s with x = 1 − 10^s, or the place in a
list. A *box* is a part of a range: (low, high) in that coordinate, or some of the choices.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DIGITS = 4
"""Significant digits of a number that was drawn, so that what a table shows is what was tried."""

Box = tuple[float, float] | tuple[Any, ...]


class Range(ABC):
    """The abstract base; ``name`` is what it is called in the storage."""

    name: str

    @property
    def stored(self) -> str:
        """The name under which Optuna keeps it."""
        return self.name

    @property
    @abstractmethod
    def whole_box(self) -> Box:
        """All of it."""

    @abstractmethod
    def draw(self, u: float, box: Box) -> Any:
        """The stored value at 0 ≤ u < 1 of a box."""

    @abstractmethod
    def value(self, stored: Any) -> Any:
        """What a stored value means."""

    @abstractmethod
    def around(self, stored: Sequence[Any], box: Box) -> Box:
        """The smallest box that holds these stored values, and what lies near them, within ``box``."""

    @abstractmethod
    def suggest(self, trial: Any) -> Any:
        """Ask an Optuna trial for the stored value."""


@dataclass(frozen=True)
class Number(Range):
    """A number in [low, high]; ``log`` draws it evenly over orders of magnitude, ``whole`` takes whole numbers only."""

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def whole_box(self) -> Box:
        return (self.coordinate(self.low), self.coordinate(self.high))

    def coordinate(self, x: float) -> float:
        """x, or log x.

        >>> Number("lr", 0.001, 0.1, log=True).coordinate(1.0)
        0.0
        """
        return math.log(x) if self.log else float(x)

    def draw(self, u: float, box: Box) -> float:
        low, high = (math.exp(end) if self.log else end for end in box)
        if self.whole:
            low, high = round(low) - 0.5, round(high) + 0.5
        a, b = self.coordinate(low), self.coordinate(high)
        x = a + u * (b - a)
        return self.value(math.exp(x) if self.log else x)

    def value(self, stored: Any) -> float:
        x = round(stored) if self.whole else rounded(stored)
        return min(max(x, self.low), self.high)

    def around(self, stored: Sequence[Any], box: Box) -> Box:
        return near([self.coordinate(x) for x in stored], box)

    def suggest(self, trial: Any) -> Any:
        ask = trial.suggest_int if self.whole else trial.suggest_float
        return ask(self.name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class OneMinusLog(Range):
    """x = 1 − 10^s with s in [low, high]: a momentum, which changes as much from 0.9 to 0.99 as from 0.99 to 0.999."""

    name: str
    low: float
    high: float

    @property
    def stored(self) -> str:
        return f"log10(1 - {self.name})"

    @property
    def whole_box(self) -> Box:
        return (self.low, self.high)

    def draw(self, u: float, box: Box) -> float:
        low, high = box
        return rounded(low + u * (high - low))

    def value(self, stored: Any) -> float:
        """1 − 10^s, with four digits of 10^s.

        >>> OneMinusLog("momentum", -3, -1).value(-2)
        0.99
        """
        return round(1 - rounded(10.0**stored), 12)

    def around(self, stored: Sequence[Any], box: Box) -> Box:
        return near([float(s) for s in stored], box)

    def suggest(self, trial: Any) -> Any:
        return trial.suggest_float(self.stored, self.low, self.high)


@dataclass(frozen=True)
class Choice(Range):
    """One of some texts, numbers or truth values."""

    name: str
    options: tuple[Any, ...]

    @property
    def whole_box(self) -> Box:
        return self.options

    def draw(self, u: float, box: Box) -> Any:
        return box[int(u * len(box))]

    def value(self, stored: Any) -> Any:
        return stored

    def around(self, stored: Sequence[Any], box: Box) -> Box:
        """Those that occur; of numbers in order, the neighbours too."""
        kept = {i for i, option in enumerate(box) if option in stored}
        if self.ordered:
            kept |= {i + d for i in kept for d in (-1, 1)}
        return tuple(option for i, option in enumerate(box) if i in kept) or box

    @property
    def ordered(self) -> bool:
        """Whether they are three or more numbers from small to large."""
        numbers = [x for x in self.options if isinstance(x, (int, float)) and not isinstance(x, bool)]
        return len(numbers) == len(self.options) >= 3 and numbers == sorted(numbers)

    def suggest(self, trial: Any) -> Any:
        return trial.suggest_categorical(self.name, self.options)


def rounded(x: float) -> float:
    """Four significant digits.

    >>> rounded(0.00123456)
    0.001235
    """
    return float(f"{x:.{DIGITS}g}")


MARGIN, LEAST = 0.1, 0.2
"""What a shrunken box has beside its points, and its least size: shares of the box before."""


def near(points: Sequence[float], box: Box) -> Box:
    """From the least to the greatest point, a tenth of the box more at either end, at least a fifth of it, within it.

    >>> near([0.4, 0.5], (0.0, 1.0))
    (0.3, 0.6)
    """
    low, high = box
    size = high - low
    a, b = min(points) - MARGIN * size, max(points) + MARGIN * size
    missing = max(LEAST * size - (b - a), 0.0) / 2
    return (max(round(a - missing, 12), low), min(round(b + missing, 12), high))
