"""The table of operations: a row for every differentiable function of the namespace, and a reason for every other."""

from typing import Any

import numpy as np
from cases import ops_arrays, ops_elementwise, ops_linalg
from cases.op_rows import Case, Row, fixed, integers, normal, row

from nnx.autodiff import hooks


def scatter_add(index: Any, values: Any) -> Any:
    out = np.zeros((4, *values.shape[1:]), dtype=values.dtype)
    np.add.at(out, index, values)
    return out


def erf(x: Any) -> Any:
    import scipy.special

    return scipy.special.erf(x)


WINDOWS = {"kernel": (2, 2), "stride": (1, 2), "dilation": (2, 1)}

HOOKS: tuple[Row, ...] = (
    row(
        "hooks.scatter_add",
        ("rows", lambda xp, i, x: hooks.scatter_add(i, x, n=4), (integers(4, 6), normal(6, 2))),
        ("numbers", lambda xp, i, x: hooks.scatter_add(i, x, n=4), (integers(4, 6), normal(6))),
        ("nothing", lambda xp, i, x: hooks.scatter_add(i, x, n=4), (integers(4, 0), normal(0, 2))),
        value=scatter_add,
    ),
    row(
        "hooks.put",
        ("slices", lambda xp, x: hooks.put(x, shape=(3, 5), key=(slice(1, None), slice(None, None, 2))), (normal(2, 3),)),
        ("mask", lambda xp, x, m: hooks.put(x, shape=(4,), key=m), (normal(3), fixed([True, False, True, True]))),
        ("integers", lambda xp, x, i: hooks.put(x, shape=(4,), key=i), (normal(3), fixed([1, 1, 3]))),
    ),
    row("hooks.windows", ("2-d", lambda xp, x: hooks.windows(x, **WINDOWS), (normal(2, 5, 6, 3),)),
        ("1-d", lambda xp, x: hooks.windows(x, kernel=(3,), stride=(2,), dilation=(1,)), (normal(1, 7, 2),))),
    row("hooks.fold", ("2-d", lambda xp, x: hooks.fold(x, spatial=(5, 6), **WINDOWS), (normal(2, 3, 3, 12),))),
    row("hooks.erf", ("matrix", lambda xp, x: hooks.erf(x), (normal(2, 3),)), ("0-d", lambda xp, x: hooks.erf(x), (normal(),)),
        value=erf, analytic=False, why="the hook is real", complex=False, why_real="the hook is real"),
)  # fmt: skip

ROWS: tuple[Row, ...] = (*ops_elementwise.ROWS, *ops_arrays.ROWS, *ops_linalg.ROWS, *ops_linalg.FOURIER, *HOOKS)

CASES: tuple[tuple[Row, Case], ...] = tuple((row, case) for row in ROWS for case in row.cases)

NO_DERIVATIVE: dict[str, str] = {
    "arange": "its length would depend on the value: refused",
    **dict.fromkeys(
        ("empty", "empty_like", "eye", "ones", "ones_like", "zeros", "zeros_like",
         "fft.fftfreq", "fft.rfftfreq"),
        "makes a new constant: of its arguments only shapes, types and Python numbers count"),
    "from_dlpack": "hands out the value, which a traced array refuses",
    **dict.fromkeys(("can_cast", "finfo", "iinfo", "isdtype", "result_type", "broadcast_shapes"), "answers about types and shapes"),
    **dict.fromkeys(
        ("bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor"),
        "of whole numbers"),
    **dict.fromkeys(
        ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "signbit", "logical_and",
         "logical_not", "logical_or", "logical_xor", "all", "any", "isin"),
        "gives true or false"),
    **dict.fromkeys(("ceil", "floor", "round", "trunc", "floor_divide"), "piecewise constant: the derivative is 0 where there is one"),
    "nextafter": "the next number has no meaning off the machine's grid",
    **dict.fromkeys(("argmax", "argmin", "argsort", "count_nonzero", "nonzero", "searchsorted", "linalg.matrix_rank"), "gives whole numbers"),
}  # fmt: skip
