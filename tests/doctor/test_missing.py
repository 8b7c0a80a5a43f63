"""Numbers that stand for missing ones are told, and sound columns are left alone."""

import numpy as np
import pytest

import nnx
from nnx.doctor.missing import stand_in

LIMITS = nnx.doctor.checks["D1"].limits
DRAW = np.random.default_rng(0)
N = 600
AGES = np.clip(np.round(DRAW.normal(40, 15, N)), 1, 90)
INCOMES = np.round(DRAW.lognormal(10, 0.7, N))
DEGREES = np.round(DRAW.normal(10, 9, N), 1)
HEAVY = np.floor(5 * DRAW.pareto(1.5, N))

SOUND = {
    "counts": DRAW.poisson(3, N), "heavy": HEAVY, "heavy, cut at 99": np.minimum(HEAVY, 99), "ages": AGES,
    "many zeros": DRAW.poisson(20, N) * (DRAW.random(N) < 0.2), "log of many zeros": np.log10(DRAW.poisson(3, N) + 0.1),
    "ages to 99": np.append(AGES, [99, 99, 99]), "share": DRAW.integers(0, 100, N), "incomes to": np.minimum(INCOMES, 99999),
    "yes and no": 2 * DRAW.integers(0, 2, N) - 1, "votes": DRAW.integers(-1, 2, N), "floors": DRAW.integers(-1, 30, N),
    "floors without 0": np.where((floors := DRAW.integers(-1, 40, N)) >= 0, floors + 1, floors), "-9 to 9": DRAW.integers(-9, 10, N),
    "returns": np.maximum(DRAW.normal(0.05, 0.6, N), -1), "grey": DRAW.integers(0, 256, N) / 127.5 - 1,
    "ladder of prices": DRAW.choice([9.99, 19.99, 49.99, 99.99, 249.99, 999], N), "numbers": np.arange(1.0, 1000.0),
    "degrees below": np.append(DEGREES, [-99.0, -50.0]), "one number": np.full(N, -999.0), "two": np.repeat([-1.0, 99.0], 9),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_sound_columns_are_left_alone(name):
    assert stand_in(np.asarray(SOUND[name], dtype=np.float32), LIMITS) is None


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits", "diabetes", "linnerud"])
def test_sound_tables_are_left_alone(name):
    data = getattr(pytest.importorskip("sklearn.datasets"), f"load_{name}")()
    assert not [c for c in range(data.data.shape[1]) if stand_in(data.data[:, c], LIMITS)]


@pytest.mark.parametrize(
    ("column", "value", "rows"),
    [
        (AGES, -1.0, 60), (INCOMES, -1.0, 60), (AGES, -9.0, 2), (DRAW.integers(0, 2, N), -9.0, 2), (INCOMES, -999999.0, 2),
        (DEGREES, -999.0, 3), (DEGREES, 999.0, 3), (AGES, 9999.0, 3), (DRAW.integers(1, 6, N), 99.0, 3),
    ],
)  # fmt: skip
def test_a_number_for_missing_ones_is_told(column, value, rows):
    assert stand_in(np.append(column, [value] * rows), LIMITS) == (value, rows)
    assert stand_in(np.append(column, [value]), LIMITS) is None
    assert stand_in(np.append(column, [value + 0.5] * rows), LIMITS) is None


def test_a_minus_one_is_judged_by_its_rest():
    rest = np.repeat(np.arange(2.0, 23.0), 2)
    for values, minus_ones, told in (
        (rest, 7, True), (rest, 6, False), (rest[::2], 6, True), (rest[::2], 5, False), (rest[2:], 9, False),
        (rest - 2, 9, False), (rest - 1.5, 9, True), (rest - 2.5, 9, False), (rest / 2, 9, False),
    ):  # fmt: skip
        assert bool(stand_in(np.append(values, [-1.0] * minus_ones), LIMITS)) == told, (
            values[0],
            values[-1],
            minus_ones,
        )


def test_far_is_five_times_the_range_of_the_rest():
    for sign in (1, -1):
        for low, copies, told in (
            (39.0, 3, False),
            (39.5, 3, True),
            (39.5, 2, False),
        ):  # 800 away, ranges 160 and 159.5
            column = sign * np.asarray([low, 100.0, 199.0, *[999.0] * copies])
            assert stand_in(column, LIMITS) == ((sign * 999.0, copies) if told else None)


def test_where_and_how_often():
    x = np.stack([AGES, INCOMES, DEGREES], axis=1).astype(np.float32)
    x[:60, 0], x[7:9, 1] = -1, -999
    y = DEGREES[:, None].astype(np.float32)
    found = nnx.doctor(nnx.Linear(3, 1), (x, y), only=("D1",))["D1"]
    assert (found.severity, found.where) == ("warn", "train.x, column 0")
    assert found.measured == "-1 stands in 60 rows, out of place; 2 columns have such a number"
    assert found.remedy == "If -1 means missing, drop these rows or fill it with the training median."
    assert found.values == {"value": -1.0, "count": 60}
    x[7:9, 1] = 1
    found = nnx.doctor(nnx.Linear(3, 1), (x, y), only=("D1",))["D1"]
    assert (found.where, found.measured) == ("train.x, column 0", "-1 stands in 60 rows, out of place")
    y[3:6] = 9999
    found = nnx.doctor(nnx.Linear(2, 1), (x[:, 1:] * 0.5, y), only=("D1",))["D1"]
    assert (found.where, found.measured) == ("train.y", "9999 stands in 3 rows, out of place")
    labels = np.where(np.arange(N) < 9, 9999, np.arange(N) % 2)
    assert nnx.doctor(nnx.Linear(2, 10_000), (x[:, 1:] * 0.5, labels), only=("D1",))["D1"].severity == "pass"
