"""The judge is judged: ``assert_agrees`` accepts what it should and refuses each kind of difference by name."""

import numpy as np
import pytest
from support.compare import assert_agrees


def test_equal_arrays_agree_in_every_tier():
    x = np.asarray([0.0, -1.5, np.inf, np.nan])
    assert assert_agrees(x, x, exact=True) == (0.0, 0.0)
    assert assert_agrees(x, x, ulp=0) == (0.0, 0.0)
    assert assert_agrees(x, x, rtol=1e-9) == (0.0, 1e-9)


@pytest.mark.parametrize(
    ("actual", "expected", "match"),
    [
        (np.zeros(2, np.float32), np.zeros(2), "dtype: expected float64, got float32"),
        (np.zeros((2, 1)), np.zeros(2), r"shape: expected \(2,\), got \(2, 1\)"),
        (np.asarray([1.0, 2.0]), np.asarray([1.0, 3.0]), r"1 of 2 elements disagree; the worst at \[1\]"),
        (np.asarray(-0.0), np.asarray(0.0), "1 of 1 elements disagree"),
        (np.asarray([np.nan]), np.asarray([1.0]), "got np.float64.nan."),
        (np.asarray([1, 2]), np.asarray([1, 3]), "expected np.int64.3., got np.int64.2."),
        ((np.zeros(2), np.ones(2)), (np.zeros(2), np.zeros(2)), r"\[1\] 2 of 2"),
        ((np.zeros(2),), (np.zeros(2), np.zeros(2)), "expected 2 arrays, got 1"),
    ],
)
def test_exact_refuses(actual, expected, match):
    with pytest.raises(AssertionError, match=match):
        assert_agrees(actual, expected, exact=True)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_ulp_counts_neighbours(dtype):
    one = np.asarray([1.0], dtype=dtype)
    near = (one.real + 3 * np.spacing(one.real)).astype(dtype)
    assert assert_agrees(near, one, ulp=3)[0] == 3.0
    with pytest.raises(AssertionError, match="3 ulp, allowed 2"):
        assert_agrees(near, one, ulp=2)


def test_ulp_is_measured_in_the_dtype_of_the_result():
    third = np.asarray([1 / 3])
    measured, _ = assert_agrees(third.astype("float32"), third, ulp=0.5, backend=NumpyLike, dtype="float32")
    assert 0 < measured <= 0.5


def test_infinity_is_far_from_every_number():
    with pytest.raises(AssertionError, match="inf ulp"):
        assert_agrees(np.asarray([np.inf]), np.asarray([1e308]), ulp=1e9)
    with pytest.raises(AssertionError, match="inf relative"):
        assert_agrees(np.asarray([np.inf]), np.asarray([-np.inf]), rtol=1e9)


def test_rtol_is_relative_to_the_expected_value_or_to_the_scale():
    with pytest.raises(AssertionError, match="allowed 1e-06"):
        assert_agrees(np.asarray([1e-9]), np.asarray([0.0]), rtol=1e-6)
    measured, _ = assert_agrees(np.asarray([1e-9]), np.asarray([0.0]), rtol=1e-6, scale=np.asarray([10.0]))
    assert measured == pytest.approx(1e-10)


def test_namespaces_and_devices_are_compared_first():
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    with pytest.raises(AssertionError, match=r"namespace: expected array_api_compat\.numpy, got array_api_strict"):
        assert_agrees(strict.zeros(2), np.zeros(2), exact=True)
    with pytest.raises(AssertionError, match=r"device: expected .*CPU_DEVICE"):
        assert_agrees(strict.zeros(2, device=strict.Device("device1")), strict.zeros(2), exact=True)


def test_exactly_one_tier_must_be_said():
    with pytest.raises(TypeError, match="say one of"):
        assert_agrees(np.zeros(2), np.zeros(2))
    with pytest.raises(TypeError, match="say one of"):
        assert_agrees(np.zeros(2), np.zeros(2), ulp=1, rtol=1e-3)


class NumpyLike:
    """As much of a backend as the comparison looks at."""

    import array_api_compat.numpy as xp

    device = "cpu"
