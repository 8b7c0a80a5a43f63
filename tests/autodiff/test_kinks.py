"""Ties, kinks and poles: the derivative is what ``nnx/autodiff/rules`` documents, and no NaN or warning comes along."""

import math
import warnings
from typing import Any

import numpy as np
import pytest

import nnx


def gradient(backend: Any, f: Any, *points: Any, order: int = 1) -> list[Any]:
    """The derivative of Σ f with respect to each of the points, as nested lists."""

    def loss(*xs: Any) -> Any:
        xp = nnx.namespace(*xs)
        return xp.sum(f(xp, *xs))

    arrays = [backend.asarray(np.asarray(p, dtype=np.float64)) for p in points]
    if order == 1:
        return [backend.to_numpy(g).tolist() for g in nnx.grad(loss, argnums=tuple(range(len(points))))(*arrays)]
    return [backend.to_numpy(nnx.hvp(loss, arrays[0], backend.xp.ones_like(arrays[0]))).tolist()]


KINKS = [
    ("abs at 0", lambda xp, x: xp.abs(x), ([-1.0, 0.0, -0.0, 2.0],), ([-1, 0, 0, 1],)),
    ("sign", lambda xp, x: xp.sign(x), ([-1.0, 0.0, 2.0],), ([0, 0, 0],)),
    ("relu at 0 by clip", lambda xp, x: xp.clip(x, 0.0, None), ([-1.0, 0.0, 2.0],), ([0, 1, 1],)),
    ("clip at its bounds", lambda xp, x: xp.clip(x, -1.0, 1.0), ([-2.0, -1.0, 0.0, 1.0, 2.0],), ([0, 1, 1, 1, 0],)),
    ("clip at arrays", lambda xp, x, low, high: xp.clip(x, low, high) + xp.clip(x, low, None) + xp.clip(x, None, high),
     ([1.0, 2.0], [1.0, 0.0], [5.0, 2.0]), ([3, 3], [0, 0], [0, 0])),
    ("maximum of equals", lambda xp, a, b: xp.maximum(a, b), ([1.0, 2.0, 0.0], [1.0, 1.0, 3.0]), ([0.5, 1, 0], [0.5, 0, 1])),
    ("minimum of equals", lambda xp, a, b: xp.minimum(a, b), ([1.0, 2.0, 0.0], [1.0, 1.0, 3.0]), ([0.5, 0, 1], [0.5, 1, 0])),
    ("maximum with a number", lambda xp, x: xp.maximum(x, 0.0), ([-1.0, 0.0, 2.0],), ([0, 0.5, 1],)),
    ("max of ties", lambda xp, x: xp.max(x), ([3.0, 1.0, 3.0],), ([0.5, 0, 0.5],)),
    ("min of ties by row", lambda xp, x: xp.min(x, axis=1), ([[1.0, 1.0], [2.0, 1.0]],), ([[0.5, 0.5], [0, 1]],)),
    ("sort of ties", lambda xp, x: xp.sort(x) * xp.asarray([1.0, 2.0, 3.0], dtype=x.dtype, device=x.device),
     ([5.0, 5.0, 1.0],), ([2, 3, 1],)),
    ("pow with exponent 0", lambda xp, x: x**0, ([0.0, 2.0],), ([0, 0],)),
    ("pow with exponent 0.0", lambda xp, a, b: a**b, ([0.0], [0.0]), ([0], [0])),
    ("pow with exponent 1 at 0", lambda xp, x: x**1, ([0.0],), ([1],)),
    ("pow with exponent 2 at 0", lambda xp, x: x**2, ([0.0],), ([0],)),
    ("pow of a negative base", lambda xp, a, b: a**b, ([-2.0], [3.0]), ([12], [0])),
    ("pow of 0 by its exponent", lambda xp, a, b: a**b, ([0.0], [2.0]), ([0], [0])),
    ("pow of the number 0 by its exponent", lambda xp, x: 0.0**x, ([2.0],), ([0],)),
    ("prod with a 0", lambda xp, x: xp.prod(x), ([2.0, 0.0, 3.0],), ([0, 6, 0],)),
    ("prod with two 0s", lambda xp, x: xp.prod(x), ([2.0, 0.0, 0.0],), ([0, 0, 0],)),
    ("std of equals", lambda xp, x: xp.std(x), ([2.0, 2.0],), ([0, 0],)),
    ("hypot at 0", lambda xp, a, b: xp.hypot(a, b), ([3.0, 0.0], [4.0, 0.0]), ([0.6, 0.0], [0.8, 0.0])),
    ("atan2 at 0", lambda xp, a, b: xp.atan2(a, b), ([2.0, 0.0], [0.0, 0.0]), ([0, 0], [-0.5, 0])),
    ("copysign at 0", lambda xp, x: xp.copysign(x, -1.0), ([0.0, -0.0, 2.0, -2.0],), ([0, 0, -1, 1],)),
    ("logaddexp of -inf", lambda xp, a, b: xp.logaddexp(a, b), ([-math.inf, -math.inf], [-math.inf, 1.0]), ([0.5, 0], [0.5, 1])),
    ("logaddexp of inf", lambda xp, a, b: xp.logaddexp(a, b), ([math.inf, math.inf], [math.inf, 1.0]), ([0.5, 1], [0.5, 0])),
    ("norm at 0", lambda xp, x: xp.linalg.vector_norm(x), ([0.0, 0.0],), ([0, 0],)),
    ("Frobenius norm at 0", lambda xp, x: xp.linalg.matrix_norm(x), ([[0.0, 0.0]],), ([[0, 0]],)),
    ("1-norm with a 0", lambda xp, x: xp.linalg.vector_norm(x, ord=1), ([0.0, -3.0],), ([0, -1],)),
    ("1/2-norm with a 0", lambda xp, x: xp.linalg.vector_norm(x, ord=0.5), ([0.0, 4.0],), ([0, 1],)),
    ("inf-norm of ties", lambda xp, x: xp.linalg.vector_norm(x, ord=math.inf), ([2.0, -2.0, 1.0],), ([0.5, -0.5, 0],)),
    ("0-norm", lambda xp, x: xp.linalg.vector_norm(x, ord=0), ([2.0, 0.0],), ([0, 0],)),
    ("floor, ceil, round, trunc", lambda xp, x: xp.floor(x) + xp.ceil(x) + xp.round(x) + xp.trunc(x), ([0.5, 1.0],), ([0, 0],)),
    ("floor_divide", lambda xp, x: x // 2.0, ([3.0],), ([0],)),
    ("equal elements in a set", lambda xp, x: xp.unique_values(x), ([3.0, 1.0, 3.0],), ([1, 1, 0],)),
]  # fmt: skip


@pytest.mark.parametrize("f, points, wanted", [row[1:] for row in KINKS], ids=[row[0] for row in KINKS])
def test_kinks(f: Any, points: Any, wanted: Any, backend: Any) -> None:
    for got, want in zip(gradient(backend, f, *points), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.skip_backends("strict", reason="refuses bounds that cross, which the standard leaves open")
def test_clip_by_bounds_that_cross_is_the_upper_one(backend: Any) -> None:
    bounds = gradient(backend, lambda xp, *x: xp.clip(*x), [-1.0, 0.1, 1.0], [0.3, -0.5, 0.4], [-0.2, 0.5, 0.2])
    assert bounds == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]


def test_relu_by_where_has_derivative_0_at_0(backend: Any) -> None:
    assert gradient(backend, lambda xp, x: xp.where(x > 0, x, 0.0), [-1.0, 0.0, 2.0]) == [[0, 0, 1]]


# Each function is outside its domain or at its pole where ``where`` takes 0 instead.
LEAKS = [
    ("sqrt", lambda xp, x: xp.sqrt(x), 0.0, 4.0, 0.25, -1 / 32),
    ("sqrt below 0", lambda xp, x: xp.sqrt(xp.where(x > 0, x, x * 0.0)), -1.0, 4.0, 0.25, -1 / 32),
    ("log", lambda xp, x: xp.log(x), 0.0, 2.0, 0.5, -0.25),
    ("log2", lambda xp, x: xp.log2(x) * math.log(2), 0.0, 2.0, 0.5, -0.25),
    ("log10", lambda xp, x: xp.log10(x) * math.log(10), 0.0, 2.0, 0.5, -0.25),
    ("log1p", lambda xp, x: xp.log1p(x - 1.0), 0.0, 2.0, 0.5, -0.25),
    ("1/x", lambda xp, x: 1.0 / x, 0.0, 2.0, -0.25, 0.25),
    ("x/x", lambda xp, x: x / x, 0.0, 2.0, 0.0, 0.0),
    ("reciprocal", lambda xp, x: xp.reciprocal(x), 0.0, 2.0, -0.25, 0.25),
    ("x**0.5", lambda xp, x: x**0.5, 0.0, 4.0, 0.25, -1 / 32),
    ("exp", lambda xp, x: xp.exp(x), 1e4, 0.0, 1.0, 1.0),
    ("expm1", lambda xp, x: xp.expm1(x), 1e4, 0.0, 1.0, 1.0),
    ("sinh", lambda xp, x: xp.sinh(x), 1e4, 0.0, 1.0, 0.0),
    ("cosh", lambda xp, x: xp.cosh(x), 1e4, 0.0, 0.0, 1.0),
    ("0**-x", lambda xp, x: (0.0 * x) ** -(x + 1.0), 0.0, -2.0, 0.0, 0.0),
    ("nan**x", lambda xp, x: (x - 1.0) ** (x + 0.5), 0.0, 2.0, 2.5, 5.75),
    ("x**-1", lambda xp, x: x**-1, 0.0, 2.0, -0.25, 0.25),
    ("x**y", lambda xp, x: x ** (0.0 * x + 0.5), 0.0, 4.0, 0.25, -1 / 32),
    ("asin", lambda xp, x: xp.asin(1.0 - x), 0.0, 1.0, -1.0, 0.0),
    ("acos", lambda xp, x: xp.acos(1.0 - x), 0.0, 1.0, 1.0, 0.0),
    ("acosh", lambda xp, x: xp.acosh(1.0 + x), 0.0, 1.0, 1 / math.sqrt(3), -2 / math.sqrt(27)),
    ("atanh", lambda xp, x: xp.atanh(1.0 - x), 0.0, 1.0, -1.0, 0.0),
    ("atan2", lambda xp, x: xp.atan2(x, x), 0.0, 1.0, 0.0, 0.0),
    ("remainder by 0", lambda xp, x: xp.remainder(0.0 * x + 3.0, x), 0.0, 2.0, -1.0, 0.0),
    ("slogdet", lambda xp, x: xp.linalg.slogdet(x[:, None, None] * xp.eye(2, dtype=x.dtype, device=x.device))[1], 0.0, 2.0, 1.0, -0.5),
    ("hypot", lambda xp, x: xp.hypot(x, x), 0.0, 1.0, math.sqrt(2), 0.0),
    ("norm", lambda xp, x: xp.linalg.vector_norm(xp.stack([x, x]), axis=0), 0.0, 1.0, math.sqrt(2), 0.0),
]  # fmt: skip


@pytest.mark.parametrize("f, pole, point, first, second", [row[1:] for row in LEAKS], ids=[row[0] for row in LEAKS])
@pytest.mark.parametrize("order", [1, 2], ids=["first", "second"])
def test_where_leaks_no_nan(
    f: Any, pole: float, point: float, first: float, second: float, order: int, backend: Any
) -> None:
    def guarded(xp: Any, x: Any) -> Any:
        return xp.where(x == pole, xp.zeros_like(x), f(xp, x))

    with np.errstate(
        all="ignore"
    ):  # NumPy warns of the value at the pole itself; that the derivative is silent is tested below
        (got,) = gradient(backend, guarded, [pole, point], order=order)
    np.testing.assert_allclose(got, [0.0, first if order == 1 else second], rtol=1e-14, atol=1e-15)


QUIET = [
    ("sqrt", lambda xp, x: xp.sqrt(x)),
    ("x**0.5", lambda xp, x: x**0.5),
    ("x**y", lambda xp, x: x ** (0.0 * x + 0.5)),
    ("asin", lambda xp, x: xp.asin(1.0 - x)),
    ("acosh", lambda xp, x: xp.acosh(1.0 + x)),
    ("hypot", lambda xp, x: xp.hypot(x, x)),
    ("atan2", lambda xp, x: xp.atan2(x, x)),
    ("norm", lambda xp, x: xp.linalg.vector_norm(xp.stack([x, x]), axis=0)),
    ("std", lambda xp, x: xp.std(xp.stack([x, x]), axis=0)),
]


@pytest.mark.parametrize("f", [row[1] for row in QUIET], ids=[row[0] for row in QUIET])
@pytest.mark.parametrize("order", [1, 2], ids=["first", "second"])
def test_no_warning_where_the_value_is_finite(f: Any, order: int, backend: Any) -> None:
    """Warnings are errors here: a derivative that divides by 0 beside ``where`` would fail."""
    (got,) = gradient(backend, lambda xp, x: xp.where(x == 0, xp.zeros_like(x), f(xp, x)), [0.0, 0.5], order=order)
    assert np.all(np.isfinite(got))


@pytest.mark.parametrize(
    "f, wanted",
    [(lambda xp, x: xp.sqrt(x), math.inf), (lambda xp, x: xp.log(1.0 + x * 0.0) + xp.sqrt(x), math.inf), (lambda xp, x: x**0.5, math.inf)],
    ids=["sqrt", "log and sqrt", "power"],
)  # fmt: skip
def test_a_pole_that_is_taken_stays(f: Any, wanted: float, backend: Any) -> None:
    with np.errstate(all="ignore"):
        assert gradient(backend, f, [0.0]) == [[wanted]]


def test_what_has_no_finite_derivative_says_so_by_infinity(backend: Any) -> None:
    """A singular matrix in ``slogdet``; a variance by no degree of freedom."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's words for the same
        (slope,) = gradient(
            backend, lambda xp, x: xp.linalg.slogdet(x)[1], [[[1.0, 2.0], [2.0, 4.0]], [[2.0, 0.0], [0.0, 4.0]]]
        )
        assert slope == [[[math.inf] * 2] * 2, [[0.5, 0.0], [0.0, 0.25]]]
        for correction in (2.0, 3.0):
            (slope,) = gradient(backend, lambda xp, x, c=correction: xp.var(x, correction=c), [1.0, 3.0])
            assert slope == [-math.inf, math.inf]
            (slope,) = gradient(backend, lambda xp, x, c=correction: xp.std(x, correction=c), [1.0, 3.0])
            assert not np.any(np.isfinite(slope))


def test_a_norm_of_negative_order_with_an_element_0(backend: Any) -> None:
    """The element 0 makes it 0 whatever the others are."""
    with np.errstate(divide="ignore"):
        assert gradient(backend, lambda xp, x: xp.linalg.vector_norm(x, ord=-1), [0.0, 4.0]) == [[0, 0]]


def test_atan2_of_numbers_whose_squares_are_none(backend: Any) -> None:
    for size in (1e-200, 1e200):
        (of_a, of_b) = gradient(backend, lambda xp, a, b: xp.atan2(a, b), [size], [size])
        np.testing.assert_allclose([*of_a, *of_b], [0.5 / size, -0.5 / size], rtol=1e-14)


SECOND = [
    ("abs", lambda xp, x: xp.abs(x), [-1.0, 0.0, 2.0], [0, 0, 0]),
    ("x**2 at 0", lambda xp, x: x**2, [0.0], [2]),
    ("x**3 at 0", lambda xp, x: x**3, [0.0, 1.0], [0, 6]),
    ("x*x by where", lambda xp, x: xp.where(x > 0, x * x, 0.0), [-1.0, 0.0, 2.0], [0, 0, 2]),
    ("maximum squared", lambda xp, x: xp.maximum(x, 0.0) ** 2, [-1.0, 2.0], [0, 2]),
    ("product of two zeros", lambda xp, x: xp.prod(x), [0.0, 0.0], [1, 1]),
    ("product of three, two of them 0", lambda xp, x: xp.prod(x), [0.0, 0.0, 3.0], [3, 3, 0]),
    ("x**2.0 where its gradient is 0", lambda xp, x: (x ** (0.0 * x + 2.0) + x) ** 2, [0.0], [2]),
    ("x**3.0 below 0 where its gradient is 0", lambda xp, x: (x ** (0.0 * x + 3.0) + 8.0) ** 2, [-2.0], [288]),
    ("exp of where its gradient is 0", lambda xp, x: (xp.exp(x) - 1.0) ** 2, [0.0], [2]),
    ("norm squared", lambda xp, x: xp.linalg.vector_norm(x) ** 2, [3.0, 4.0], [2, 2]),
    ("norm with an element 0", lambda xp, x: xp.linalg.vector_norm(x), [0.0, 2.0], [0.5, 0]),
    ("cumulative product with a 0", lambda xp, x: xp.cumulative_prod(x), [0.0, 2.0, 0.0], [3, 1, 2]),
]  # fmt: skip


@pytest.mark.parametrize("f, point, wanted", [row[1:] for row in SECOND], ids=[row[0] for row in SECOND])
def test_second_derivatives_there(f: Any, point: Any, wanted: Any, backend: Any) -> None:
    np.testing.assert_allclose(gradient(backend, f, point, order=2)[0], wanted, rtol=1e-14, atol=1e-15)
