"""Rows of linear algebra. Decompositions are looked at through what signs, phases and order do not change."""

import math
from typing import Any

import numpy as np
from cases.op_rows import Case, Row, fixed, normal, of_rank, row, spectrum, spread, square, with_options

MODULUS = "a modulus or a conjugate is inside"
ONES = "NumPy's LAPACK normalises complex vectors"


def adjoint(xp: Any, x: Any) -> Any:
    return xp.matrix_transpose(xp.conj(x) if xp.isdtype(x.dtype, "complex floating") else x)


def hermitian(xp: Any, x: Any) -> Any:
    return (x + adjoint(xp, x)) * 0.5


def positive_definite(xp: Any, x: Any) -> Any:
    return xp.matmul(x, adjoint(xp, x))


def squares(xp: Any, x: Any) -> Any:
    """|xᵢⱼ|²: what the phase of a vector does not change."""
    return xp.real(x * xp.conj(x)) if xp.isdtype(x.dtype, "complex floating") else x * x


def eigenvectors(function: str, prepare: Any) -> Any:
    def call(xp: Any, x: Any) -> Any:
        values, vectors = getattr(xp.linalg, function)(prepare(xp, x))
        return powers(xp, values), squares(xp, vectors)

    return call


def powers(xp: Any, x: Any) -> Any:
    """Σ x and Σ x³: what the order does not change."""
    return xp.sum(x, axis=-1), xp.sum(x * x * x, axis=-1)


def svd(full: bool) -> Any:
    def call(xp: Any, x: Any) -> Any:
        u, s, vh = xp.linalg.svd(x, full_matrices=full)
        return squares(xp, u), s, squares(xp, vh), xp.matmul(u, vh)

    return call


def as_is(xp: Any, x: Any) -> Any:
    return x


def cases(name: str, *arguments: Any) -> tuple[Case, ...]:
    """Plain calls of a function on several shapes."""
    calls = with_options(name, arguments[0], *({"args": args} for args in arguments)).cases
    return tuple(calls)


def norm(name: str, *options: dict[str, Any]) -> Row:
    return with_options(name, (spread(2, 3, 4),), *options, analytic=False, why=MODULUS)


ROWS: tuple[Row, ...] = (
    Row("matmul", (
        *cases("matmul", (normal(3), normal(3)), (normal(3), normal(3, 2)), (normal(2, 3), normal(3)),
               (normal(2, 3), normal(3, 4)), (normal(5, 2, 3), normal(3, 4)), (normal(2, 3), normal(5, 3, 4)),
               (normal(5, 1, 2, 3), normal(4, 3, 2)), (normal(3), normal(5, 3, 4)), (normal(5, 2, 3), normal(3)),
               (normal(0, 2, 3), normal(3, 4)), (normal(2, 0), normal(0, 3)), (normal(1, 2, 3), normal(4, 3, 2))),
        Case("operator", lambda xp, a, b: a @ b, (normal(2, 3), normal(3))),
    )),
    row(
        "tensordot",
        ("axes=2", lambda xp, a, b: xp.tensordot(a, b), (normal(4, 2, 3), normal(2, 3, 5))),
        ("axes=1", lambda xp, a, b: xp.tensordot(a, b, axes=1), (normal(2, 3), normal(3))),
        ("axes=0", lambda xp, a, b: xp.tensordot(a, b, axes=0), (normal(2), normal(2, 3))),
        ("pairs", lambda xp, a, b: xp.tensordot(a, b, axes=((-1, 0), (0, 1))), (normal(2, 4, 3), normal(3, 2, 5))),
        ("linalg.tensordot", lambda xp, a, b: xp.linalg.tensordot(a, b, axes=1), (normal(2, 3), normal(3, 2))),
    ),
    row(
        "vecdot",
        ("1-d", lambda xp, a, b: xp.vecdot(a, b), (normal(3), normal(3))),
        ("broadcast", lambda xp, a, b: xp.vecdot(a, b), (normal(2, 3), normal(3))),
        ("axis", lambda xp, a, b: xp.vecdot(a, b, axis=-2), (normal(3, 1), normal(2, 3, 4))),
        ("linalg.vecdot", lambda xp, a, b: xp.linalg.vecdot(a, b), (normal(2, 3), normal(2, 3))),
        analytic=False, why=MODULUS,
    ),
    row(
        "linalg.cholesky",
        ("lower", lambda xp, x: xp.linalg.cholesky(positive_definite(xp, x)), (square(3, 3),)),
        ("upper", lambda xp, x: xp.linalg.cholesky(positive_definite(xp, x), upper=True), (square(2, 3, 3),)),
        ("empty batch", lambda xp, x: xp.linalg.cholesky(positive_definite(xp, x)), (normal(0, 2, 2),)),
        analytic=False, why="a conjugate is inside",
    ),
    Row("linalg.cross", (
        *cases("linalg.cross", (normal(3), normal(3)), (normal(2, 3), normal(2, 3)), (normal(2, 1, 3), normal(4, 3))),
        Case("axis", lambda xp, a, b: xp.linalg.cross(a, b, axis=-2), (normal(3, 2), normal(3, 2))),
    )),
    row("linalg.det", *((f"{label} {n}", lambda xp, x: xp.linalg.det(x), (make,)) for label, n, make in (
        ("regular", 3, square(3, 3)), ("regular", 1, normal(1, 1)), ("regular", 2, normal(2, 2, 2)), ("regular", 4, square(2, 4, 4)),
        ("regular", 8, normal(8, 8)), ("none", 2, normal(0, 2, 2)), ("none", 5, normal(0, 5, 5)),
        ("rank 1", 2, of_rank(1, 2, 2)), ("rank 1", 3, of_rank(1, 3, 3)), ("rank 3", 4, of_rank(3, 2, 4, 4)), ("rank 2", 4, of_rank(2, 4, 4)),
        ("rank 6", 7, of_rank(6, 7, 7)), ("zero", 5, lambda rng: np.zeros((5, 5))),
        ("rows of all sizes", 4, lambda rng: rng.standard_normal((4, 4)) * 1e3 ** np.arange(-3, 5, 2)[:, None]),
    ))),
    with_options("linalg.diagonal", (normal(2, 3, 4),), {}, {"offset": 2}, {"offset": -1}, {"offset": 4}, {"args": (normal(3, 0),)}),
    row("linalg.eig", ("general", eigenvectors("eig", as_is), (square(4, 4),)), ("batch", eigenvectors("eig", as_is), (square(2, 3, 3),)),
        analytic=False, why=ONES),
    row("linalg.eigh", ("Hermitian", eigenvectors("eigh", hermitian), (square(4, 4),)),
        ("batch", eigenvectors("eigh", hermitian), (square(2, 3, 3),)), analytic=False, why="a conjugate is inside"),
    row("linalg.eigvals", ("general", lambda xp, x: powers(xp, xp.linalg.eigvals(x)), (square(2, 4, 4),)), analytic=False, why=ONES),
    row("linalg.eigvalsh", ("Hermitian", lambda xp, x: xp.linalg.eigvalsh(hermitian(xp, x)), (square(2, 4, 4),)),
        analytic=False, why="a conjugate is inside"),
    Row("linalg.inv", cases("linalg.inv", (square(3, 3),), (square(2, 4, 4),), (normal(0, 2, 2),))),
    norm("linalg.matrix_norm", {}, {"ord": "nuc"}, {"ord": 1}, {"ord": -1}, {"ord": 2, "keepdims": True}, {"ord": -2},
         {"ord": math.inf, "keepdims": True}, {"ord": -math.inf}),
    row(
        "linalg.matrix_power",
        *((f"n={n}", lambda xp, x, n=n: xp.linalg.matrix_power(x, n), (square(2, 3, 3),)) for n in (0, 1, 2, 3, 6, -1, -2)),
        rounding=1e-12,
    ),
    Row("linalg.outer", cases("linalg.outer", (normal(2), normal(3)), (normal(0), normal(3)))),
    Row("linalg.pinv", (
        *cases("linalg.pinv", (square(4, 2),), (square(2, 4),), (square(2, 3, 3),)),
        Case("rank 1", lambda xp, a, b: xp.linalg.pinv(xp.matmul(a, b), rtol=1e-6), (normal(3, 1), normal(1, 4))),
    ), analytic=False, why=MODULUS),
    Row("linalg.qr", (
        *cases("linalg.qr", (square(4, 3),), (square(2, 3, 3),), (square(2, 4),)),
        Case("complete", lambda xp, x: xp.linalg.qr(x, mode="complete"), (square(3, 3),)),
    ), analytic=False, why="a conjugate is inside"),
    row("linalg.slogdet", ("logarithm", lambda xp, x: xp.linalg.slogdet(x)[1], (square(2, 3, 3),)),
        ("both", lambda xp, x: tuple(xp.linalg.slogdet(x)), (square(3, 3),)), analytic=False, why=MODULUS),
    Row("linalg.solve", cases("linalg.solve", (square(3, 3), normal(3)), (square(3, 3), normal(3, 2)), (square(2, 3, 3), normal(3)),
                              (square(2, 3, 3), normal(3, 2)), (square(3, 3), normal(2, 3, 1)), (square(3, 3), normal(3, 0))),
        exempt={f"cupy/defaults {shapes}": "CuPy's solve takes stacks of one length only"
                for shapes in ("(2, 3, 3) (3, 2)", "(3, 3) (2, 3, 1)")}),
    row("linalg.svd", ("tall", svd(False), (square(4, 3),)), ("wide", svd(False), (square(2, 2, 3),)), ("full", svd(True), (square(3, 3),)),
        analytic=False, why=MODULUS),
    Row("linalg.svdvals", cases("linalg.svdvals", (square(4, 3),), (square(2, 2, 3),)), analytic=False, why=MODULUS),
    with_options("linalg.trace", (normal(2, 3, 4),), {}, {"offset": 1}, {"offset": -2}, {"args": (normal(0, 0),)}),
    norm("linalg.vector_norm", {}, {"axis": -1}, {"axis": (0, -1), "keepdims": True}, {"ord": 1}, {"ord": 3, "axis": 0},
         {"ord": 0.5}, {"ord": -1, "axis": 1}, {"ord": math.inf}, {"ord": -math.inf, "axis": -1}, {"args": (fixed(-2.0),)}),
)  # fmt: skip

TIMES: tuple[dict[str, Any], ...] = (
    {}, {"norm": "ortho"}, {"norm": "forward", "axis": 0}, {"n": 3}, {"n": 4, "axis": -2}, {"n": 7, "norm": "ortho"}, {"n": 8},
)  # fmt: skip
GRIDS: tuple[dict[str, Any], ...] = (
    {}, {"norm": "ortho"}, {"axes": (0, -1)}, {"s": (3, 6), "axes": (2, 1), "norm": "forward"}, {"s": (5, 4), "axes": (0, -1)},
)  # fmt: skip
SHIFTS: tuple[dict[str, Any], ...] = ({}, {"axes": (0,)}, {"axes": (-1,)})


def transform(name: str, options: tuple[dict[str, Any], ...], frequencies: bool) -> Row:
    """A Fourier transform, of signals or of (complex) frequencies."""
    make = spectrum if frequencies else normal
    columns = {} if frequencies else {"complex": False, "why_real": "of real signals"}
    why = "linear: differences are exact, and complex numbers belong to it"
    return with_options(name, (make(4, 5, 3),), *options, analytic=False, why=why, **columns)  # type: ignore[arg-type]


FOURIER: tuple[Row, ...] = (
    *(transform(f"fft.{name}", TIMES, True) for name in ("fft", "ifft", "irfft", "hfft")),
    *(transform(f"fft.{name}", TIMES, False) for name in ("rfft", "ihfft")),
    *(transform(f"fft.{name}", GRIDS, True) for name in ("fftn", "ifftn", "irfftn")),
    transform("fft.rfftn", GRIDS, False),
    *(with_options(f"fft.{name}", (normal(4, 3),), *SHIFTS) for name in ("fftshift", "ifftshift")),
)
