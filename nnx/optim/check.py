"""Checks of an optimizer's arguments, made when the object is made: a wrong value raises, none is repaired."""

import math
from numbers import Real
from typing import Any

import numpy as np

from nnx.errors import ConfigError


def number(value: Any, *, name: str, where: str, expected: str) -> float:
    """``value`` as a finite Python float; booleans, text and NaN are refused."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ConfigError(
            f"{name} is not a number", expected=expected, got=repr(value), where=where, fix=f"Pass {expected}."
        )
    return float(value)


def positive(value: Any, *, name: str, where: str, example: str = "1e-3") -> None:
    """``value > 0``.

    >>> positive(0.0, name="learning_rate", where="Adam")
    Traceback (most recent call last):
    nnx.errors.ConfigError: Adam: learning_rate is out of range, expected a number > 0, got 0.0. Pass for example learning_rate=1e-3.
    """
    if number(value, name=name, where=where, expected="a number > 0") <= 0:
        raise _out_of_range(name, "a number > 0", value, where, example)


def not_negative(value: Any, *, name: str, where: str, example: str = "0.01") -> None:
    """``value ≥ 0``."""
    if number(value, name=name, where=where, expected="a number >= 0") < 0:
        raise _out_of_range(name, "a number >= 0", value, where, example)


def fraction(value: Any, *, name: str, where: str, example: str = "0.9") -> None:
    """``0 ≤ value < 1``: a decay rate or a momentum."""
    if not 0 <= number(value, name=name, where=where, expected="a number in [0, 1)") < 1:
        raise _out_of_range(name, "a number in [0, 1)", value, where, example)


def count(value: Any, *, name: str, where: str, example: str = "10") -> None:
    """A whole number ≥ 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise _out_of_range(name, "a whole number >= 1", value, where, example)


def flag(value: Any, *, name: str, where: str) -> None:
    """``True`` or ``False``."""
    if not isinstance(value, bool):
        raise ConfigError(
            f"{name} is not a switch", expected="True or False", got=repr(value), where=where, fix=f"Pass {name}=True."
        )


def _out_of_range(name: str, expected: str, value: Any, where: str, example: str) -> ConfigError:
    return ConfigError(
        f"{name} is out of range",
        expected=expected,
        got=repr(value),
        where=where,
        fix=f"Pass for example {name}={example}.",
    )
