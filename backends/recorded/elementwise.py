"""Which recorded calls are element by element and round in a compiled loop as they do in NumPy, and how each is written there."""

from math import prod
from typing import Any

import numpy as np

from nnx.backends.recorded.program import Call, Value

EXPRESSIONS: dict[str, tuple[str, str, str, int]] = {
    "add": ("ff", "f", "{} + {}", 1),
    "subtract": ("ff", "f", "{} - {}", 1),
    "multiply": ("ff", "f", "{} * {}", 1),
    "divide": ("ff", "f", "{} / {}", 4),
    "negative": ("f", "f", "-{}", 1),
    "square": ("f", "f", "{0} * {0}", 1),
    "sqrt": ("f", "f", "sqrt({})", 6),
    "abs": ("f", "f", "abs({})", 1),
    "sign": ("f", "f", "one if {0} > zero else (-one if {0} < zero else (zero if {0} == zero else {0}))", 3),
    "maximum": ("ff", "f", "{0} if {0} > {1} or {0} != {0} else {1}", 2),
    "minimum": ("ff", "f", "{0} if {0} < {1} or {0} != {0} else {1}", 2),
    "equal": ("ff", "b", "{} == {}", 1),
    "not_equal": ("ff", "b", "{} != {}", 1),
    "less": ("ff", "b", "{} < {}", 1),
    "less_equal": ("ff", "b", "{} <= {}", 1),
    "greater": ("ff", "b", "{} > {}", 1),
    "greater_equal": ("ff", "b", "{} >= {}", 1),
    "isnan": ("f", "b", "{0} != {0}", 1),
    "isfinite": ("f", "b", "{0} - {0} == zero", 1),
    "where": ("bff", "f", "{1} if {0} else {2}", 1),
    "logical_and": ("bb", "b", "{} and {}", 1),
    "logical_or": ("bb", "b", "{} or {}", 1),
    "logical_not": ("b", "b", "not {}", 1),
    "bitwise_and": ("bb", "b", "{} and {}", 1),
    "bitwise_or": ("bb", "b", "{} or {}", 1),
    "bitwise_invert": ("b", "b", "not {}", 1),
    "astype to float": ("b", "f", "one if {} else zero", 1),
    "astype to bool": ("f", "b", "{} != zero", 1),
}
"""By the standard's name: of floats or booleans, to which, the expression, and what it costs in additions.

Of two zeros of different signs, and of two values that do not compare, ``maximum`` and ``minimum`` give the second, as
NumPy's do.
"""

SUMS = {"sum", "mean"}
"""Reductions over all axes but the last, which NumPy takes row by row, so a loop may too."""

RESHAPES = {"reshape", "expand_dims", "squeeze"}
"""Views whose elements lie in the order of what they are views of."""

Frame = tuple[int, int]
"""Rows and columns: how many vectors along the last axis, and how long they are."""


def frame(shape: tuple[int, ...]) -> Frame:
    """The shape as a matrix.

    >>> frame((2, 3, 5)), frame((5,)), frame(())
    ((6, 5), (1, 5), (1, 1))
    """
    return (prod(shape[:-1]), shape[-1]) if shape else (1, 1)


def spelled(call: Call) -> str:
    """The call's name in :data:`EXPRESSIONS`, empty if it is not there."""
    if call.name == "astype" and not call.kwargs and len(call.args) == 2 and type(call.out) is Value:
        return "astype to bool" if call.out.dtype == np.bool_ else "astype to float"
    return call.name if call.name in EXPRESSIONS and not call.kwargs else ""


def operands(call: Call) -> tuple[Any, ...]:
    """The arrays and numbers that the expression is of."""
    return call.args[:1] if call.name == "astype" or is_sum(call) else tuple(call.args)


def is_number(x: Any) -> bool:
    """A Python number, which takes the dtype of the array that it meets."""
    return type(x) in (int, float)


def is_view(call: Call) -> bool:
    """Whether the result is what it is given, element for element, as a matrix of the same rows and columns."""
    if (
        call.name not in RESHAPES
        or "copy" in call.kwargs
        or type(call.out) is not Value
        or type(call.args[0]) is not Value
    ):
        return False
    return frame(call.out.shape) == frame(call.args[0].shape)


def is_sum(call: Call) -> bool:
    """Whether the call sums the rows of a float matrix of several."""
    if call.name not in SUMS or len(call.args) != 1 or not set(call.kwargs) <= {"axis", "keepdims"}:
        return False
    x, out = call.args[0], call.out
    if type(x) is not Value or type(out) is not Value or x.dtype != out.dtype or not _is_float(x.dtype):
        return False
    axis = call.kwargs.get("axis")
    axes = axis if isinstance(axis, tuple) else (axis,)
    rows, columns = frame(x.shape)
    return axes == tuple(range(len(x.shape) - 1)) and rows != 1 and columns > 1


def precision(call: Call) -> Any:
    """The float dtype of an element-wise call, ``None`` if it is of booleans only; ``False`` if it is no such call."""
    name = spelled(call)
    if not name or type(call.out) is not Value:
        return False
    kinds, result, _, _ = EXPRESSIONS[name]
    given = operands(call)
    if len(given) != len(kinds) or frame(call.out.shape)[1] < 2:
        return False
    dtypes = set()
    for kind, x in (*zip(kinds, given), (result, call.out)):
        if kind == "b":
            if not isinstance(x, Value | np.ndarray) or x.dtype != np.bool_:
                return False
        elif isinstance(x, Value | np.ndarray):
            dtypes.add(np.dtype(x.dtype))
        elif not is_number(x):
            return False
    if len(dtypes) > 1 or not all(map(_is_float, dtypes)):
        return False
    return next(iter(dtypes), None)


def fits(x: Any, inside: Frame) -> bool:
    """Whether an operand is a number, or may be read as a whole matrix of this frame, a row, a column or a single value."""
    if is_number(x):
        return True
    rows, columns = frame(tuple(x.shape))
    return rows in (1, inside[0]) and columns in (1, inside[1])


def _is_float(dtype: Any) -> bool:
    dtype = np.dtype(dtype)
    return dtype.char in "fd" and dtype.isnative
