"""How far two libraries may differ in one operation on the same numbers, by the kind of its arithmetic.

=======  ==============================================================================================
exact    ``+ − ·``, comparisons, indexing, rounding, whatever only moves values: every bit
ulp      one function of an element (÷, √, exp, log, tanh, erf …): a few units in the last place
scaled   sums of K products: 4 √K eps times the sum of the terms' magnitudes, element by element
=======  ==============================================================================================

Differences below the smallest normal number count for nothing: some libraries flush there.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

C = 4.0
"""The constant before √K eps: rounding errors add up like a random walk, and four times that is not reached by chance."""

EXACT = {
    "add", "subtract", "multiply", "negative", "positive", "abs", "square", "sign", "signbit", "copysign", "nextafter",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "logical_and",
    "logical_not", "logical_or", "logical_xor", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "all", "any", "maximum", "minimum", "max", "min", "argmax", "argmin", "clip", "ceil",
    "floor", "round", "trunc", "floor_divide", "remainder", "where", "getitem", "take", "take_along_axis", "concat", "stack",
    "unstack", "reshape", "permute_dims", "matrix_transpose", "moveaxis", "expand_dims", "squeeze", "flip", "roll", "repeat",
    "tile", "broadcast_to", "broadcast_arrays", "astype", "asarray", "tril", "triu", "real", "imag", "conj", "sort", "argsort",
    "searchsorted", "nonzero", "count_nonzero", "unique_values", "isin", "windows", "pool", "diff", "meshgrid", "to_device",
    "linalg.matrix_transpose", "linalg.diagonal",
}  # fmt: skip
ULP = {
    "sqrt": 2.0, "divide": 2.0, "reciprocal": 2.0, "exp": 4.0, "expm1": 4.0, "log": 4.0, "log1p": 4.0, "log2": 4.0, "log10": 4.0, "sin": 4.0,
    "cos": 4.0, "tan": 8.0, "asin": 8.0, "acos": 8.0, "atan": 8.0, "atan2": 8.0, "sinh": 8.0, "cosh": 8.0, "tanh": 8.0,
    "asinh": 8.0, "acosh": 8.0, "atanh": 8.0, "hypot": 4.0, "pow": 16.0, "erf": 8.0,
}  # fmt: skip
SUMS: dict[str, Callable[..., float]] = {
    "matmul": lambda a, b, *rest: a.shape[-1],
    "linalg.matmul": lambda a, b, *rest: a.shape[-1],
    "sum": lambda x, *rest: 0,
    "mean": lambda x, *rest: 0,
    "cumulative_sum": lambda x, *rest: x.shape[-1] if x.shape else 1,
    "vecdot": lambda a, b, *rest: a.shape[-1],
    "linalg.vecdot": lambda a, b, *rest: a.shape[-1],
    "tensordot": lambda a, b, *rest: 0,
    "linalg.tensordot": lambda a, b, *rest: 0,
    "linalg.outer": lambda a, b, *rest: 1,
    "scatter_add": lambda index, values, *rest: values.shape[0],
    "put": lambda *rest: 1,
    "fold": lambda *rest: 0,
    "unpool": lambda *rest: 0,
    "convolve": lambda x, weight, *rest: math.prod(weight.shape[:-1]),
    "convolve_to_weight": lambda x, g, *rest: math.prod(g.shape[:-1]),
    "convolve_to_input": lambda g, weight, *rest: math.prod(weight.shape) // max(1, weight.shape[-2]),
}
"""Sums of terms, linear in each array: the number of the terms, 0 where it is the ratio of the sizes."""


class Tier(NamedTuple):
    """What is allowed for one result: ``tolerance`` in units of an ulp, or of ``scale``; ``terms`` is K."""

    kind: str
    tolerance: float
    scale: Any = None
    terms: int = 1

    def __str__(self) -> str:
        if self.kind == "exact":
            return "exact"
        return f"{self.tolerance:g} ulp" if self.kind == "ulp" else f"{C:g}√{self.terms} eps"


def tier(name: str, function: Callable[..., Any], args: Any, kwargs: Any, out: np.ndarray, absolute: Any) -> Tier:
    """The tier of one result of a call. ``absolute(nest)`` gives the arguments with the magnitudes of their arrays."""
    if out.dtype.kind not in "fc" or name in EXACT:
        return Tier("exact", 0.0)
    if name in ULP:
        return Tier("ulp", ULP[name])
    eps = float(np.finfo(out.dtype).eps)
    arrays = [x for x in args if hasattr(x, "shape")]
    ratio = max((math.prod(x.shape) for x in arrays), default=1) // max(1, out.size)
    if name in SUMS:
        terms = max(1, int(SUMS[name](*args)) or ratio)
        return Tier("scaled", C * math.sqrt(terms) * eps, absolute(function, args, kwargs), terms)
    terms = max(16, ratio)
    sizes = [absolute(None, (x,), {}) for x in arrays]
    scale = max((float(np.max(x, initial=0.0)) for x in (*sizes, np.abs(out)) if x is not None), default=0.0)
    return Tier("scaled", C * math.sqrt(terms) * eps, np.asarray(scale), terms)


def measured(actual: np.ndarray, expected: np.ndarray, allowed: Tier) -> float:
    """The worst difference in the tier's unit: ulp (for ``exact`` too), or the scale. Infinite for shapes or dtypes that differ."""
    counted = (
        actual.dtype.kind not in "fc"
    )  # whole numbers are compared as numbers: places come in small types or large ones
    if actual.shape != expected.shape or (actual.dtype != expected.dtype and not counted):
        return math.inf
    if counted:
        return 0.0 if np.array_equal(actual, expected) else math.inf
    error = distance(actual, expected)
    unit = spacing(expected) if allowed.kind != "scaled" else np.abs(np.asarray(allowed.scale)).astype(error.dtype)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = np.where(error == 0, 0.0, np.where(np.isinf(error), np.inf, error / unit))
    return float(np.max(found, initial=0.0))


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a − b|, 0 where both are NaN or the same infinity, infinite where only one is a finite number."""
    wide: Any = np.clongdouble if np.iscomplexobj(a) else np.longdouble
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(a.astype(wide) - b.astype(wide))
        alike = (a == b) | (np.isnan(a) & np.isnan(b)) | (error < np.finfo(a.dtype).tiny)
    found: np.ndarray = np.where(alike, 0, np.where(np.isfinite(a) & np.isfinite(b), error, np.inf))
    return found


def spacing(x: np.ndarray) -> np.ndarray:
    """The gap between neighbouring numbers at |x|; of the larger part of a complex number."""
    real = x.real.dtype.type
    size = np.maximum(np.abs(x.real), np.abs(x.imag)) if np.iscomplexobj(x) else np.abs(x)
    with np.errstate(invalid="ignore", over="ignore"):
        found: np.ndarray = np.spacing(np.clip(size.astype(real), np.finfo(real).tiny, np.finfo(real).max))
    return found
