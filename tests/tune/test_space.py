"""Spaces: what may be written, what is drawn from it, and what is said of mistakes."""

import math

import numpy as np
import pytest

from nnx.errors import ConfigError
from nnx.tune.edges import edges
from nnx.tune.ranges import Choice, Number, OneMinusLog, near
from nnx.tune.space import Space
from nnx.tune.stages import Point, boxes, stage_of

U = (np.arange(4000) + 0.5) / 4000


def test_a_logarithmic_range_is_even_over_orders_of_magnitude():
    part = Number("lr", 1e-4, 1e-1, log=True)
    drawn = [part.draw(u, part.whole_box) for u in U]
    assert min(drawn) >= 1e-4
    assert max(drawn) <= 1e-1
    shares = np.histogram(np.log10(drawn), bins=[-4, -3, -2, -1])[0] / len(drawn)
    assert np.all(np.abs(shares - 1 / 3) < 0.01)


def test_a_momentum_is_even_in_s():
    part = OneMinusLog("momentum", -3, -1)
    drawn = np.asarray([part.value(part.draw(u, part.whole_box)) for u in U])
    assert drawn.min() >= 0.9
    assert drawn.max() <= 0.999
    assert abs(np.mean(drawn < 0.99) - 0.5) < 0.01, "as many from 0.9 to 0.99 as from 0.99 to 0.999"
    assert part.stored == "log10(1 - momentum)"


def test_every_whole_number_is_as_likely():
    part = Number("layers", 1, 3, whole=True)
    drawn = [part.draw(u, part.whole_box) for u in U]
    assert {type(x) for x in drawn} == {int}
    assert all(abs(drawn.count(n) / len(drawn) - 1 / 3) < 0.01 for n in (1, 2, 3))
    part = Number("width", 4, 64, log=True, whole=True)
    drawn = [part.draw(u, part.whole_box) for u in U]
    assert (min(drawn), max(drawn)) == (4, 64)
    assert abs(np.mean(np.asarray(drawn) <= 16) - math.log(16.5 / 3.5) / math.log(64.5 / 3.5)) < 0.02


def test_widths_are_drawn_where_there_are_layers():
    space = Space({"hidden": {"layers": [1, 3], "low": 8, "high": 64, "log": True}})
    asked = []

    def ask(part):
        asked.append(part.name)
        return 2 if part.name == "hidden.layers" else 8

    assert space.values(ask) == {"hidden": [8, 8]}
    assert asked == ["hidden.layers", "hidden.1", "hidden.2"]
    assert [part.name for part in Space({"h": {"layers": 2, "low": 1, "high": 9}}).ranges] == ["h.1", "h.2"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (0.1, r"space.lr: expected a range: .*, got 0.1. Write for example lr = \{low"),
        ([1, 2], r"got \[1, 2\]. Write lr = \{choices = \[1, 2\]\}"),
        ({"low": 1}, "both ends, low and high; high is missing"),
        ({"low": 2, "high": 1}, "the smaller first, got 2, 1. Swap them"),
        ({"low": 0.0, "high": 1.0, "log": True}, "low > 0 for a logarithmic range, got 0. Raise low"),
        ({"low": 1, "high": 2, "lgo": True}, "unknown key 'lgo', expected high, log, low, whole"),
        ({"low": 1, "high": 2, "log": 1}, "expected log = true or false, got 1"),
        ({"low": "1", "high": 2}, "expected two numbers, the smaller first, got '1', 2"),
        ({"low": 1.5, "high": 2, "whole": True}, "two whole numbers"),
        ({"low": 1, "high": math.inf}, "got 1, inf"),
        ({"choices": [1]}, r"two or more different texts, numbers or truth values, got \[1\]"),
        ({"choices": [1, 1]}, "two or more different"),
        (
            {"one_minus_log": [0.5, 0.99]},
            r"exponents s ≤ 0 of 1 − 10\^s, got \[0.5, 0.99\]. Write one_minus_log = \[-2.0, -0.301\]",
        ),
        ({"layers": [0, 2], "low": 1, "high": 2}, "layers ≥ 1, got 0"),
        ({"layers": [1, 2], "low": 1}, "high is missing"),
    ],
)
def test_what_is_no_range_is_refused(row, said):
    with pytest.raises(ConfigError, match=said):
        Space({"lr": row})


def test_an_empty_space_is_refused():
    with pytest.raises(ConfigError, match="expected a table of names and ranges"):
        Space({})


# coarse to fine -------------------------------------------------------------------------------------------------------
def test_a_box_is_drawn_around_the_best_quarter():
    space = Space({"x": {"low": 0.0, "high": 10.0}, "c": {"choices": ["a", "b", "c"]}, "n": {"choices": [1, 2, 4, 8]}})
    points = [Point(0, float(i), {"x": 4.0 + i / 2, "c": "ab"[i % 2], "n": 2}) for i in range(8)]
    found = boxes(space, 1, points)
    assert found["x"] == (3.0, 5.5), "from 4 to 4.5, a tenth of ten more at either end"
    assert found["c"] == ("a", "b")
    assert found["n"] == (1, 2, 4), "numbers keep their neighbours"
    assert boxes(space, 0, points) == space.boxes
    later = [*points, Point(1, -1.0, {"x": 5.5, "c": "a", "n": 2}), Point(1, -2.0, {"x": 5.4, "c": "a", "n": 2})]
    low, high = boxes(space, 2, later)["x"]
    assert 3.0 <= low < 5.4 < high <= 5.5, "within the box before"


def test_a_box_is_never_narrower_than_a_fifth_and_stays_inside():
    assert near([0.5, 0.5], (0.0, 1.0)) == (0.4, 0.6)
    assert near([1.0], (0.0, 1.0)) == (0.9, 1.0)


def test_every_stage_has_its_share():
    stages = [stage_of(i, 10, 3) for i in range(10)]
    assert stages == sorted(stages)
    assert [stages.count(s) for s in range(3)] == [4, 3, 3]


# edges ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("row", "value", "said"),
    [
        ({"low": 1e-4, "high": 0.1, "log": True}, 0.09, "x = 0.09 is at the upper edge (0.1). Widen it: high = 1"),
        ({"low": 1e-4, "high": 0.1, "log": True}, 1e-4, "x = 0.0001 is at the lower edge (0.0001). Widen it: low = 1e-05"),
        ({"low": 1e-4, "high": 0.1, "log": True}, 0.01, ""),
        ({"low": 0.01, "high": 0.1}, 0.012, "x = 0.012 is at the lower edge (0.01). Widen it: low = 0.005"),
        ({"low": 0.0, "high": 0.5}, 0.01, "x = 0.01 is at the lower edge (0). Widen it: low = -0.25"),
        ({"one_minus_log": [-3, -1]}, 0.9989, "x = 0.9989 is at the upper edge. Widen it: one_minus_log = [-4, -1]"),
        ({"one_minus_log": [-3, -1]}, 0.9, "x = 0.9 is at the lower edge. Widen it: one_minus_log = [-3, -0.5]"),
        ({"choices": [16, 32, 64]}, 64, "x = 64 is the greatest choice. Widen it: choices = [16, 32, 64, 128]"),
        ({"choices": [16, 32, 64]}, 32, ""),
        ({"choices": ["a", "b", "c"]}, "a", ""),
        ({"layers": [1, 3], "low": 8, "high": 64}, [30, 30, 30], "x.layers = 3 is at the upper edge (3). Widen it: layers = [1, 4]"),
        ({"layers": [1, 3], "low": 8, "high": 64}, [30], ""),
    ],
)  # fmt: skip
def test_the_best_at_an_edge_is_said_with_what_to_write(row, value, said):
    assert edges(Space({"x": row}), {"x": value}, lambda name, beyond: True) == ([said] if said else [])


def test_no_range_is_to_be_widened_beyond_what_can_be():
    space = Space({"dropout": {"low": 0.0, "high": 0.5}})
    assert edges(space, {"dropout": 0.0}, lambda name, value: 0 <= value < 1) == []
    assert edges(space, {"dropout": 0.5}, lambda name, value: 0 <= value < 1) != []


def test_choices_without_order_are_not_at_an_edge():
    assert not Choice("x", (4, 2, 8)).ordered
    assert not Choice("x", (True, False)).ordered
