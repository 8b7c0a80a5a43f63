"""Fused element-wise rules: by default a rule is run as it is written, one library call per operation."""

from collections.abc import Callable
from typing import Any


def fuse(rule: Callable[..., Any]) -> Callable[..., Any]:
    """The fastest callable of the same signature that this library can make of an element-wise rule.

    ``rule(xp, *arguments)`` takes a namespace, arrays of one shape and dtype, and Python scalars, and returns one array
    or a tuple of arrays. Its body uses ``+ - * / **`` and functions reached through ``xp`` only. Constants are
    arguments: a literal inside the body, or arithmetic between scalars, may be carried out in another precision by a
    compiler.

    >>> import numpy as np
    >>> fused = fuse(lambda xp, x, lr: x - lr * xp.sqrt(x))
    >>> fused(np, np.asarray([4.0]), 0.5)
    array([3.])
    """
    return rule
