"""The operators of the standard's arrays: by Python's name for each, the function of the namespace that it stands for."""

import operator
from collections.abc import Callable
from typing import Any

ARITHMETIC = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "pow", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}  # fmt: skip
"""Of two arrays, with a reflected form."""
COMPARISON = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip
UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}

APPLIED: dict[str, Callable[..., Any]] = {
    function: getattr(operator, f"__{name}__") for name, function in (ARITHMETIC | COMPARISON | UNARY).items()
}
"""By the namespace's name, the operator as a function."""
