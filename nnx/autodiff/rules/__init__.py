"""Derivative rules, one file per chapter of the standard.

``table(xp)`` maps the name of a function to its rules, one for each positional argument, ``None`` where there is no
derivative. A rule ``rule(y, *args, **kwargs)`` sees the output and the arguments and gives the pullback: a function of
the gradient of ``y``, written against the standard namespace ``xp``. It may leave broadcasting and data types to the
tape. A function of one array with several outputs has one rule for each of them instead, ``rule(outputs, x, **kwargs)``.
"""

from collections.abc import Callable
from typing import Any

from nnx.autodiff.rules import decompositions, elementwise, fft, indexing, linalg, manipulation, statistical
from nnx.typing import Namespace

Rule = Callable[..., Any]
Rules = tuple[Rule | None, ...]

__all__ = ["Rule", "Rules", "table"]


def table(xp: Namespace) -> dict[str, Rules]:
    """All rules, written with the functions of ``xp``."""
    return {
        **elementwise.rules(xp),
        **indexing.rules(xp),
        **manipulation.rules(xp),
        **statistical.rules(xp),
        **linalg.rules(xp),
        **decompositions.rules(xp),
        **fft.rules(xp),
    }
