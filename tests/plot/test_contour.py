"""Contours of a function of two numbers."""

import numpy as np
import pytest

from nnx import plot
from nnx.errors import ConfigError
from nnx.plot.contour import levels


def bowl(x, y):
    return (x - 1) ** 2 + 9 * (y + 1) ** 2


def test_values_are_those_of_the_function():
    found = plot.contour(bowl, x=(0, 2), y=(-3, 1), points=5)
    assert found.x.tolist() == [0, 0.5, 1, 1.5, 2]
    assert found.y.tolist() == [-3, -2, -1, 0, 1]
    assert found.values[2, 2] == 0
    assert found.values[0, 4] == bowl(2, -3)


@pytest.mark.parametrize(
    "values", [np.zeros((3, 3)), np.full((2, 2), np.nan), np.full((2, 2), np.inf), np.nextafter(1.0, [1.0, 2.0])]
)
def test_a_constant_has_no_levels(values):
    assert levels(values) is None


def test_levels_lie_between_the_ends_and_rise():
    for values in (np.asarray([0.1, 9.0, np.nan]), np.asarray([-4.0, 3.0]), np.asarray([1e-3, 1e3, np.inf])):
        found = levels(values)
        finite = values[np.isfinite(values)]
        assert (found[0], found[-1]) == (finite.min(), finite.max())
        assert (np.diff(found) > 0).all()


def test_a_function_or_a_path_of_another_shape_is_refused():
    with pytest.raises(ConfigError, match=r"values of shape \(101, 101\), got \(\)"):
        plot.contour(lambda x, y: 3.0)
    with pytest.raises(ConfigError, match=r"paths of shape \(k, 2\), got SGD: \(3,\)"):
        plot.contour(bowl, paths={"SGD": [1, 2, 3]})
