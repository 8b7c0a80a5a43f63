"""Columns whose numbers float32 cannot tell apart: large, and close to one another."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from nnx.data.targets import listing

STEPS = 100
"""A column that spans fewer steps of float32 than this has lost what a network could learn from."""


def coarse(columns: Iterable[tuple[str, float, float]]) -> tuple[str, ...]:
    """A note on such columns, if there are any among these names with their smallest and largest numbers.

    From 2^e to 2^(e+1) the numbers of float32 lie 2^(e−23) apart.

    >>> coarse([("price", 0.0, 1e9), ("time", 1.7e9, 1.7e9 + 7200)])
    ("float32 holds 'time' only in steps of 128, and it spans 7200: subtract a constant",)
    """
    found = []
    for name, low, high in columns:
        step = math.ldexp(1.0, math.frexp(max(abs(low), abs(high)))[1] - 24)
        if 0 < high - low < STEPS * step:
            found.append((name, step, high - low))
    if not found:
        return ()
    _, step, span = max(found, key=lambda column: column[1] / column[2])
    names = listing((name for name, *_ in found), 3)
    which = "and it spans" if len(found) == 1 else "and one spans"
    return (f"float32 holds {names} only in steps of {step:g}, {which} {span:g}: subtract a constant",)


def extremes(name: str, table: np.ndarray[Any, Any]) -> Iterable[tuple[str, float, float]]:
    """Name, smallest and largest number of each column of floating-point numbers (N, k)."""
    if table.ndim != 2 or not len(table) or table.dtype.kind != "f":
        return ()
    names = [name] if table.shape[1] == 1 else [f"{name}, column {i}" for i in range(table.shape[1])]
    return zip(names, table.min(axis=0).tolist(), table.max(axis=0).tolist(), strict=True)
