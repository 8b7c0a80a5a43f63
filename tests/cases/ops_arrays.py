"""Rows of creation, data types, manipulation, indexing, searching, sorting, sets, statistics and utilities."""

from typing import Any

import array_api_compat
from cases.op_rows import Make, Row, away, distinct, fixed, integers, normal, reduction, row, with_options

ORDER = "compares elements"
REAL = "ordered: real numbers only"
TORCH_WARNS = {"torch/axis=1 (0, 3)": "torch warns of too few degrees of freedom where there is nothing at all"}

MOVES = (
    row("full", ("0-d", lambda xp, x: xp.full((2, 3), x), (normal(),)), ("keyword", lambda xp, x: xp.full(2, fill_value=x), (normal(),))),
    row("full_like", ("0-d", lambda xp, a, x: xp.full_like(a, x), (normal(2, 3), normal())),
        ("plain number", lambda xp, a: xp.full_like(a, 2.0) * a, (normal(2, 3),))),
    row("linspace", ("both ends", lambda xp, a, b: xp.linspace(a, b, 4), (normal(), normal())),
        ("open", lambda xp, a: xp.linspace(a, 2.0, 5, endpoint=False), (normal(),))),
    with_options("asarray", (normal(2, 3),), {}, {"copy": True}),
    row(
        "astype",
        ("same type", lambda xp, x: xp.astype(x, xp.float64), (normal(2, 3),)),
        ("there and back", lambda xp, x: xp.real(xp.astype(x, xp.complex128)) * 2.0, (normal(2, 3),)),
        analytic=False, why="casts to real types", complex=False, why_real="a cast of complex numbers to real ones is an error",
    ),
    row("to_device", ("same device", lambda xp, x: array_api_compat.to_device(x, array_api_compat.device(x)), (normal(2, 3),)),
        exempt={"strict:device1": "a transfer is what this function is"}),
    row(
        "broadcast_arrays",
        ("three", lambda xp, a, b, c: xp.broadcast_arrays(a, b, c), (normal(2, 1), normal(3), normal())),
        ("one", lambda xp, a: xp.broadcast_arrays(a), (normal(2),)),
    ),
    row(
        "broadcast_to",
        ("new axis", lambda xp, x: xp.broadcast_to(x, (2, 3, 4)), (normal(3, 1),)),
        ("0-d", lambda xp, x: xp.broadcast_to(x, (2, 3)), (normal(),)),
        ("to empty", lambda xp, x: xp.broadcast_to(x, (0, 3)), (normal(1, 3),)),
    ),
    row(
        "concat",
        ("axis 0", lambda xp, a, b: xp.concat([a, b]), (normal(2, 3), normal(1, 3))),
        ("axis -1", lambda xp, a, b, c: xp.concat((a, b, c), axis=-1), (normal(2, 3), normal(2, 0), normal(2, 1))),
        ("flat", lambda xp, a, b: xp.concat([a, b], axis=None), (normal(2, 3), normal(4))),
        ("twice the same", lambda xp, a: xp.concat([a, a]), (normal(2),)),
    ),
    with_options("expand_dims", (normal(2, 3),), {"axis": 0}, {"axis": -1}, {"axis": -2}),
    with_options("flip", (normal(2, 3),), {}, {"axis": -1}, {"axis": (0, 1)}, {"args": (normal(0, 2),)}),
    row(
        "meshgrid",
        ("xy", lambda xp, a, b: xp.meshgrid(a, b), (normal(2), normal(3))),
        ("ij", lambda xp, a, b, c: xp.meshgrid(a, b, c, indexing="ij"), (normal(2), normal(3), normal(1))),
        ("xy of three", lambda xp, a, b, c: xp.meshgrid(a, b, c), (normal(2), normal(3), normal(2))),
    ),
    row(
        "moveaxis",
        ("one", lambda xp, x: xp.moveaxis(x, 0, -1), (normal(2, 3, 4),)),
        ("two", lambda xp, x: xp.moveaxis(x, (0, -1), (1, 0)), (normal(2, 3, 4),)),
    ),
    row("permute_dims", ("three", lambda xp, x: xp.permute_dims(x, (2, 0, 1)), (normal(2, 3, 4),)),
        ("0-d", lambda xp, x: xp.permute_dims(x, ()), (normal(),))),
    row("matrix_transpose", ("function", lambda xp, x: xp.matrix_transpose(x), (normal(4, 2, 3),)),
        ("attribute", lambda xp, x: x.mT, (normal(2, 3),)), ("T", lambda xp, x: x.T, (normal(2, 3),))),
    row(
        "repeat",
        ("all", lambda xp, x: xp.repeat(x, 2), (normal(2, 3),)),
        ("axis", lambda xp, x: xp.repeat(x, 3, axis=-1), (normal(2, 3),)),
        ("counts", lambda xp, x, n: xp.repeat(x, n, axis=0), (normal(3, 2), fixed([2, 0, 1]))),
        ("none", lambda xp, x: xp.repeat(x, 0, axis=0), (normal(2, 3),)),
    ),
    row(
        "reshape",
        ("-1", lambda xp, x: xp.reshape(x, (3, -1)), (normal(2, 3),)),
        ("0-d", lambda xp, x: xp.reshape(x, (1, 1)), (normal(),)),
        ("empty", lambda xp, x: xp.reshape(x, (3, 0)), (normal(0, 2),)),
    ),
    with_options("roll", (normal(2, 3),), {"shift": 2}, {"shift": -1, "axis": -1}, {"shift": (1, 2), "axis": (0, 1)}),
    row("squeeze", ("axis", lambda xp, x: xp.squeeze(x, axis=-1), (normal(2, 1),)),
        ("axes", lambda xp, x: xp.squeeze(x, axis=(0, -1)), (normal(1, 2, 1),))),
    row(
        "stack",
        ("axis 0", lambda xp, a, b: xp.stack([a, b]), (normal(2, 3), normal(2, 3))),
        ("axis -1", lambda xp, a, b: xp.stack((a, b), axis=-1), (normal(2, 3), normal(2, 3))),
        ("0-d", lambda xp, a, b: xp.stack([a, b]), (normal(), normal())),
    ),
    row(
        "tile",
        ("longer", lambda xp, x: xp.tile(x, (2, 1, 2)), (normal(2, 3),)),
        ("shorter", lambda xp, x: xp.tile(x, (2,)), (normal(2, 3),)),
        ("0-d", lambda xp, x: xp.tile(x, (3,)), (normal(),)),
    ),
    row("tril", ("below", lambda xp, x: xp.tril(x, k=-1), (normal(3, 3),)), ("batch", lambda xp, x: xp.tril(x, k=1), (normal(2, 2, 3),))),
    row("triu", ("above", lambda xp, x: xp.triu(x, k=1), (normal(3, 3),)), ("batch", lambda xp, x: xp.triu(x), (normal(2, 3, 2),))),
    with_options("unstack", (normal(2, 3),), {}, {"axis": -1}),
)  # fmt: skip


def key(label: str, make: Any, *args: Make) -> tuple[str, Any, tuple[Make, ...]]:
    """A case of ``x[key]``."""
    return label, lambda xp, x, *indices: x[make(*indices)], args


PICKS = (
    row(
        "getitem",
        key("integer", lambda: (0, ...), normal(2, 3)),
        key("negative", lambda: (-1, -2), normal(2, 3)),
        key("slices", lambda: (slice(1, None), slice(None, None, 2)), normal(3, 5)),
        key("ellipsis and newaxis", lambda: (None, ..., 1), normal(2, 3)),
        key("empty slice", lambda: (slice(1, 1), ...), normal(2, 3)),
        key("0-d", lambda: (), normal()),
        key("mask", lambda mask: mask, normal(4), fixed([True, False, True, True])),
        key("integer arrays", lambda i, j: (i, j), normal(3, 4), fixed([0, 2, 0]), fixed([1, 1, 1])),
        key("integer array and full slice", lambda i: (i, slice(None)), normal(3, 2), fixed([2, 0, 2])),
        exempt={"strict/integer array and full slice": "the standard has integer arrays beside integers only"},
    ),
    row(
        "take",
        ("axis", lambda xp, x, i: xp.take(x, i, axis=1), (normal(2, 3), fixed([2, 0, 2, 2]))),
        ("negative axis", lambda xp, x, i: xp.take(x, i, axis=-2), (normal(2, 3), integers(2, 5))),
        ("1-d", lambda xp, x, i: xp.take(x, i), (normal(3), fixed([2, 2]))),
        ("no index", lambda xp, x, i: xp.take(x, i, axis=0), (normal(3, 2), integers(3, 0))),
    ),
    row(
        "take_along_axis",
        ("last", lambda xp, x, i: xp.take_along_axis(x, i), (normal(2, 2, 3), integers(3, 2, 2, 4))),
        ("first", lambda xp, x, i: xp.take_along_axis(x, i, axis=0), (normal(3, 2), integers(3, 5, 2))),
        ("middle", lambda xp, x, i: xp.take_along_axis(x, i, axis=0), (normal(3, 2, 2), integers(3, 2, 2, 2))),
        ("no lanes", lambda xp, x, i: xp.take_along_axis(x, i), (normal(0, 3), integers(3, 0, 2))),
        ("none", lambda xp, x, i: xp.take_along_axis(x, i, axis=-1), (normal(2, 3), integers(3, 2, 0))),
    ),
    row(
        "where",
        ("same shape", lambda xp, c, a, b: xp.where(c > 0, a, b), (integers(2, 2, 3), normal(2, 3), normal(2, 3))),
        ("broadcast", lambda xp, c, a, b: xp.where(c > 0, a, b), (integers(2, 2, 1), normal(3), normal())),
        ("empty", lambda xp, c, a, b: xp.where(c > 0, a, b), (integers(2, 0, 1), normal(3), normal(1, 1))),
    ),
    with_options("sort", (distinct(3, 4),), {"args": (distinct(2, 3, 4),)}, {"axis": 0}, {"descending": True}, {"axis": -2, "descending": True},
                 {"args": (distinct(0, 3),)}, analytic=False, why=ORDER, complex=False, why_real=REAL),
    *(
        row(name, ("repeats", lambda xp, x, name=name: taken(getattr(xp, name)(x)), (fixed([3.0, 1.0, -2.0, 5.0]),)),
            ("matrix", lambda xp, x, name=name: taken(getattr(xp, name)(x)), (distinct(2, 3),)),
            analytic=False, why=ORDER, complex=False, why_real=REAL,
            exempt={"torch": "torch has no unique_all"} if name == "unique_all" else {})
        for name in ("unique_all", "unique_counts", "unique_inverse", "unique_values")
    ),
)  # fmt: skip


def taken(found: Any) -> Any:
    """The values among the outputs of a set function."""
    return found.values if hasattr(found, "_fields") else found


STATISTICS = (
    with_options("cumulative_prod", (away(2, 3),), {"axis": 0}, {"axis": -1}, {"axis": 1, "include_initial": True},
                 {"args": (away(3),)}, {"axis": 0, "args": (fixed([[2.0], [0.0], [3.0], [0.0], [1.0]]),)}),
    with_options("cumulative_sum", (normal(2, 3),), {"axis": 0}, {"axis": -1}, {"axis": 1, "include_initial": True},
                 {"args": (normal(3),)}, {"axis": 0, "args": (normal(0, 2),)}),
    reduction("max", distinct, analytic=False, why=ORDER, complex=False, why_real=REAL),
    reduction("min", distinct, analytic=False, why=ORDER, complex=False, why_real=REAL),
    reduction("mean", complex=False, why_real="the standard has it for real arrays"),
    reduction("prod", away, {"args": (fixed([2.0, 0.0, 3.0]),)}, {"args": (fixed([[2.0, 0.0], [0.0, 1.0]]),)}),
    reduction("std", normal, {"correction": 1.0}, {"axis": -2, "correction": 1}, exempt=TORCH_WARNS,
              analytic=False, why="NumPy takes the modulus", complex=False, why_real="the standard has it for real arrays"),
    reduction("sum", normal, {"args": (normal(0),)}),
    reduction("var", normal, {"correction": 1.0}, {"axis": -2, "correction": 0.5}, exempt=TORCH_WARNS,
              analytic=False, why="NumPy takes the modulus", complex=False, why_real="the standard has it for real arrays"),
    row(
        "diff",
        ("once", lambda xp, x: xp.diff(x), (normal(2, 4),)),
        ("twice", lambda xp, x: xp.diff(x, axis=0, n=2), (normal(4, 2),)),
        ("around", lambda xp, x, a, b: xp.diff(x, axis=-1, prepend=a, append=b), (normal(2, 3), normal(2, 1), normal(2, 2))),
    ),
)  # fmt: skip

ROWS: tuple[Row, ...] = (*MOVES, *PICKS, *STATISTICS)
