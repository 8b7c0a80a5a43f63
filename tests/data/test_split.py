import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnx.data import Dataset, batch_count, batches, digits, split
from nnx.data.split import _table, part_sizes
from nnx.errors import ConfigError


def assert_close(table):
    """Each cell is its share to within 2 rows, more only by the rows that bring a rare class into a part."""
    rows, sizes = table.sum(axis=1), table.sum(axis=0)
    exact = np.outer(rows, sizes) / rows.sum()
    brought = ((exact < 1) & (rows >= len(sizes))[:, None]).sum()
    assert (np.abs(table - exact) < 2 + brought).all()


FRACTIONS = st.sampled_from([(0.8, 0.2), (0.7, 0.15, 0.15), (0.5, 0.5), (1 / 3, 1 / 3, 1 / 3), (0.4, 0.3, 0.2, 0.1)])


def numbered(counts, task="classification"):
    """A data set whose x is the row number."""
    n = sum(counts)
    x = np.arange(n, dtype=np.float64)[:, None]
    if task == "regression":
        return Dataset(x, x.copy(), "regression")
    return Dataset(x, np.repeat(np.arange(len(counts)), counts), classes=tuple(map(str, range(len(counts)))))


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8).filter(lambda c: sum(c) >= 20), FRACTIONS, st.integers(0, 9)
)
def test_parts_are_a_stratified_partition(counts, fractions, seed):
    data = numbered(counts)
    parts = split(data, fractions, seed)
    assert [len(part) for part in parts] == part_sizes(len(data), fractions)
    rows = np.concatenate([part.x[:, 0] for part in parts])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(data)))
    for part in parts:
        np.testing.assert_array_equal(part.y, data.y[part.x[:, 0].astype(int)])
    table = np.stack([np.bincount(part.y, minlength=len(counts)) for part in parts], axis=1)
    assert_close(table)


@settings(deadline=None)
@given(st.lists(st.integers(4, 60), min_size=1, max_size=5), FRACTIONS, st.integers(0, 9))
def test_every_class_is_in_every_part_where_rows_allow(counts, fractions, seed):
    sizes = part_sizes(sum(counts) * 4, fractions)
    if min(sizes) < 2 * len(counts):
        return
    for part in split(numbered([4 * c for c in counts]), fractions, seed):
        assert np.bincount(part.y, minlength=len(counts)).min() >= 1


def test_the_table_is_exact_for_thousands_of_class_counts():
    """Skewed counts, many classes of one row: where rounding has the least room."""
    draw = np.random.default_rng(0)
    for _ in range(3000):
        rows = draw.choice([1, 1, 2, 3, 5, 10, 40, 100], draw.integers(1, 9))
        fractions = [(0.8, 0.2), (0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.4, 0.3, 0.2, 0.1)][draw.integers(4)]
        if rows.sum() < 20:
            continue
        sizes = np.asarray(part_sizes(int(rows.sum()), fractions))
        table = _table(rows, sizes)
        np.testing.assert_array_equal(table.sum(axis=0), sizes)
        np.testing.assert_array_equal(table.sum(axis=1), rows)
        assert table.min() >= 0
        assert_close(table)
        if sizes.min() >= 2 * len(rows):
            assert table[rows >= len(sizes)].min(initial=1) >= 1


def test_extra_rows_of_a_class_are_spread():
    table = _table(np.asarray([5, 5, 5]), np.asarray([5, 5, 5]))
    assert set(table.ravel()) == {1, 2}
    rare = _table(np.full(10, 2), np.asarray([8, 6, 4, 2]))
    assert set(rare.ravel()) == {0, 1}


def test_a_rare_class_is_shared_out():
    for part in split(numbered([100, 100, 3]), (0.7, 0.15, 0.15)):
        assert np.bincount(part.y, minlength=3)[2] == 1


def test_a_class_of_one_row_is_trained_on():
    for seed in range(5):
        train, _ = split(numbered([10, 5, 2, 2, 1, 1, 1]), (0.8, 0.2), seed)
        np.testing.assert_array_equal(np.bincount(train.y, minlength=7)[4:], 1)


def test_the_parts_of_digits_hold_each_digit_evenly():
    data = digits()
    for part in split(data, (0.7, 0.15, 0.15)):
        share = np.bincount(part.y) / np.bincount(data.y)
        assert np.abs(share - len(part) / len(data)).max() < 0.01


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_seed_decides_and_order_is_random(task):
    data = numbered([50, 50], task)
    first, again, other = (split(data, (0.8, 0.2), seed)[0].x[:, 0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(np.sort(first), np.sort(other))
    assert np.any(np.diff(first) < 0)


def test_a_regression_split_is_a_partition_too():
    parts = split(numbered([10], "regression"), (6, 3, 1))
    assert [len(part) for part in parts] == [6, 3, 1]
    assert sorted(np.concatenate([part.x[:, 0] for part in parts])) == list(range(10))


@pytest.mark.parametrize(
    "fractions, message",
    [
        ((0.7, 0.2), "fractions that sum to 1, got 0.9"),
        ((0.7, 0.3, 0.0), "two or more fractions above 0"),
        ((1.2, -0.2), "two or more fractions above 0"),
        ((1.0,), "two or more"),
        (0.8, r"two or more fractions above 0, got 0.8.*\(0.8, 0.2\)"),
        (("a", "b"), "two or more"),
        ((True, True), "two or more"),
        ((float("nan"), 1.0), "two or more"),
        ((5, 4), "counts that sum to the 10 rows, got 9"),
        ((0.99, 0.01), "10 rows leave part 1 empty.*larger fractions"),
    ],
)
def test_bad_fractions_are_refused(fractions, message):
    with pytest.raises(ConfigError, match=f"fractions: .*{message}"):
        split(numbered([5, 5]), fractions)


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 70), st.integers(0, 3), st.integers(0, 3))
def test_batches_hold_every_row_once(n, size, seed, epoch):
    found = list(batches(n, size, seed=seed, epoch=epoch))
    sizes = [size] * (n // size) + [n % size] * (n % size > 0)
    if sizes[-1] == 1 and n > size > 1:  # a row left over joins the batch before it
        sizes[-2:] = [size + 1]
    assert [len(b) for b in found] == sizes
    assert len(found) == batch_count(n, size)
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(n))
    again = np.concatenate(list(batches(n, size, seed=seed, epoch=epoch)))
    np.testing.assert_array_equal(np.concatenate(found), again)


def test_the_order_depends_on_seed_and_epoch_and_not_on_the_batch_size():
    def order(size, seed, epoch):
        return np.concatenate(list(batches(100, size, seed=seed, epoch=epoch))).tolist()

    orders = [order(10, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(o) for o in orders}) == 4
    assert order(7, 0, 0) == orders[0]


def test_drop_last_and_no_shuffle():
    data = digits()
    assert {len(b) for b in batches(data, 64, seed=0, epoch=0, drop_last=True)} == {64}
    assert len(list(batches(64, 64, seed=0, epoch=0, drop_last=True))) == 1
    assert [len(b) for b in batches(65, 32, seed=0, epoch=0, drop_last=True)] == [32, 32]
    np.testing.assert_array_equal(
        np.concatenate(list(batches(data, 64, seed=0, epoch=0, shuffle=False))), np.arange(1797)
    )


def test_a_row_left_over_joins_the_batch_before_it():
    assert [len(b) for b in batches(65, 32, seed=0, epoch=0)] == [32, 33]
    assert [len(b) for b in batches(3, 1, seed=0, epoch=0)] == [1, 1, 1]
    assert [len(b) for b in batches(1, 32, seed=0, epoch=0)] == [1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"batch_size": 0}, "batch_size: expected a whole number ≥ 1, got 0"),
        ({"batch_size": 2.5}, "batch_size: .*got 2.5"),
        ({"batch_size": True}, "batch_size: .*got True"),
        ({"n": 0}, "n: expected a whole number ≥ 1"),
        ({"epoch": -1}, "epoch: expected a whole number ≥ 0, got -1"),
        ({"batch_size": 20, "drop_last": True}, "10 rows make no whole batch of 20.*batch_size=10"),
    ],
)
def test_bad_batches_are_refused_at_the_call(arguments, message):
    with pytest.raises(ConfigError, match=message):
        batches(**{"n": 10, "batch_size": 2, "seed": 0, "epoch": 0, **arguments})
