import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnx.data import assign_bins, bin_target
from nnx.errors import ConfigError, DataError, ShapeError

Y = np.random.default_rng(0).exponential(size=1000)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("n", [2, 7, 20])
def test_bins_are_those_of_scikit_learn(strategy, n):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    method = {"quantile_method": "linear"} if strategy == "quantile" else {}
    theirs = preprocessing.KBinsDiscretizer(n, encode="ordinal", strategy=strategy, subsample=None, **method)
    labels = theirs.fit_transform(Y[:, None])[:, 0]
    ours = bin_target(Y[:, None], n, strategy)
    np.testing.assert_allclose(ours.edges, theirs.bin_edges_[0], rtol=1e-12)
    np.testing.assert_array_equal(ours.labels, labels)


def test_quantile_bins_are_even_and_centres_are_means():
    labels, edges, centres = bin_target(Y, 10)
    assert set(np.bincount(labels)) == {100}
    np.testing.assert_allclose(centres, [Y[labels == b].mean() for b in range(10)])
    assert np.all((edges[:-1] < centres) & (centres < edges[1:]))


def test_an_inner_edge_belongs_to_the_upper_bin_and_the_last_edge_to_the_last():
    assert bin_target([0.0, 1.0, 2.0], 2, "uniform").labels.tolist() == [0, 1, 1]


def test_an_empty_uniform_bin_has_its_middle_as_centre():
    assert bin_target([0.0, 3.0], 3, "uniform").centres.tolist() == [0.0, 1.5, 3.0]


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50, unique=True), st.integers(2, 5))
def test_each_target_lies_between_its_edges(y, n):
    try:
        labels, edges, _ = bin_target(y, n, "uniform")
    except DataError:
        return  # too close together for n different edges
    inside = (edges[labels] <= y) & ((y < edges[labels + 1]) | (labels == n - 1))
    assert inside.all()


def test_other_data_falls_into_the_same_bins():
    labels, edges, _ = bin_target(Y, 5)
    np.testing.assert_array_equal(assign_bins(Y, edges), labels)
    assert assign_bins([-1.0, 1e9], edges).tolist() == [0, 4]


@pytest.mark.parametrize(
    "y, n, strategy, error, message",
    [
        (Y, 1, "uniform", ConfigError, "two or more bins, got 1"),
        (Y, 2.0, "uniform", ConfigError, "two or more bins, got 2.0"),
        (Y, 3, "kmeans", ConfigError, "'quantile' or 'uniform', got 'kmeans'"),
        ([0.0] * 9 + [1.0], 3, "quantile", DataError, "fills 3 bins, got 1 with different edges.*fewer bins"),
        ([2.0, 2.0], 2, "uniform", DataError, "fills 2 bins, got 0"),
        ([1.0, np.nan], 2, "uniform", DataError, "y at row 1: expected finite targets, got nan"),
        (Y.reshape(-1, 2), 2, "uniform", ShapeError, r"\(N,\) or \(N, 1\), got \(500, 2\).*one target"),
        ([], 2, "uniform", ShapeError, r"got \(0,\)"),
    ],
)
def test_what_cannot_be_binned_is_refused(y, n, strategy, error, message):
    with pytest.raises(error, match=message):
        bin_target(y, n, strategy)
