"""The loss along directions: a quadratic's slice is a parabola, and directions are normalised filter by filter."""

import numpy as np
import pytest
from support.clouds import bits, blobs, network

import nnx
from nnx import plot
from nnx.errors import ConfigError, DataError, StateError
from nnx.plot.landscape import filter_normalised


def host(array):
    return nnx.backends.of(array).to_numpy(array)


def line(backend=None, dtype="float64"):
    """A linear model with two outputs, and data: its squared error is a quadratic in the weights."""
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(40, 3)).astype(dtype), draws.normal(size=(40, 2)).astype(dtype)
    model = nnx.Sequential(nnx.Linear(3, 2)).initialize(1, dtype=dtype)
    return model.to(backend or "numpy"), nnx.data.load((x, y))


def error(model, data, move):
    """The squared error with ``move`` added to the weights, from its formula."""
    w, b = (host(model.state()[f"layers.0.{name}"]) for name in ("weight", "bias"))
    return float(np.mean((data.x @ (w + move) + b - data.y) ** 2))


def test_a_line_through_a_quadratic_is_a_parabola(backend):
    model, data = line(backend)
    before = bits(model)
    found = plot.surface(model, data, dimensions=1, points=9, extent=2.0, seed=5)
    directions = [host(d["layers.0.weight"]) for d in plot.random_directions(model, 3, seed=5)]
    wanted = [[error(model, data, a * d) for a in found.at] for d in directions]
    np.testing.assert_allclose(found.values, wanted, rtol=1e-12)
    np.testing.assert_allclose(np.diff(found.values, n=3, axis=1), 0.0, atol=1e-12)
    assert bits(model) == before, "the model is left alone"


def test_a_plane_through_a_quadratic_has_its_closed_form(backend):
    model, data = line(backend)
    found = plot.surface(model, data, points=5, extent=1.5)
    d1, d2 = (host(d["layers.0.weight"]) for d in plot.random_directions(model))
    wanted = [[error(model, data, a * d1 + b * d2) for a in found.x] for b in found.y]
    np.testing.assert_allclose(found.values, wanted, rtol=1e-12)
    columns = found.columns()
    assert [columns[name][6] for name in ("x", "y", "loss")] == [found.x[1], found.y[1], found.values[1, 1]]


def test_directions_of_ones_own(backend):
    model, data = line(backend)
    move = np.asarray([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    found = plot.surface(
        model, data, dimensions=1, points=3, directions=[{"layers.0.weight": backend.asarray(move, dtype="float64")}]
    )
    np.testing.assert_allclose(found.values, [[error(model, data, a * move) for a in (-1, 0, 1)]], rtol=1e-12)


def test_each_filter_of_a_direction_is_as_long_as_that_of_the_weights(backend):
    model = network().initialize(3).to(backend)
    weights = {path: host(w) for path, w in model.parameters().items()}
    for direction in plot.random_directions(model, 2, seed=1):
        assert list(direction) == [path for path, w in weights.items() if w.ndim == 2], "biases and scales do not move"
        for path, d in direction.items():
            np.testing.assert_allclose(
                np.linalg.norm(host(d), axis=0), np.linalg.norm(weights[path], axis=0), rtol=1e-5
            )


def test_directions_are_the_same_on_every_backend_and_differ_among_themselves(backend):
    here = plot.random_directions(network().initialize(3).to(backend), 2, seed=1)
    there = plot.random_directions(network().initialize(3), 2, seed=1)
    for a, b in zip(here, there):
        assert {path: host(d).tobytes() for path, d in a.items()} == {path: d.tobytes() for path, d in b.items()}
    assert not np.allclose(there[0]["layers.1.weight"], there[1]["layers.1.weight"])


def test_filter_normalisation_by_hand():
    d = np.asarray([[[3.0, 1.0], [0.0, 2.0]], [[4.0, 2.0], [0.0, 0.0]]])  # (2, 2, units): a filter has four numbers
    w = np.asarray([[[0.0, 1.0], [6.0, 1.0]], [[8.0, 1.0], [0.0, 1.0]]])
    np.testing.assert_allclose(filter_normalised(d, w)[..., 0], d[..., 0] * 10 / 5)
    np.testing.assert_allclose(filter_normalised(d, w)[..., 1], d[..., 1] * 2 / 3)
    assert not filter_normalised(d, 0 * w).any(), "weights of nought stay"
    assert not filter_normalised(0 * d, w).any()


def test_batch_norm_keeps_its_running_statistics_and_frozen_weights_stay(backend):
    model, data = network(), blobs()
    nnx.fit(model, data, epochs=2)
    model.to(backend).layers[1].freeze("weight")
    directions = plot.random_directions(model)
    assert list(directions[0]) == ["layers.5.weight"]
    before = bits(model)
    found = plot.surface(model, data, points=3, rows=1000)
    assert bits(model) == before
    assert found.values[1, 1] == pytest.approx(nnx.evaluate(model, data)["loss"], rel=1e-5)


def test_rows_are_evenly_spaced_and_the_loss_may_be_chosen():
    model, data = line()
    few = nnx.data.load((data.x[[0, 13, 26, 39]], data.y[[0, 13, 26, 39]]))
    found = plot.surface(model, data, points=3, rows=4, loss=nnx.losses.l1)
    assert found.values[1, 1] == pytest.approx(nnx.evaluate(model, few, loss="l1")["loss"])


def test_more_rows_than_a_batch_are_weighed_alike(monkeypatch):
    model, data = line()
    whole = plot.surface(model, data, points=3).values
    monkeypatch.setattr("nnx.plot.landscape.BATCH", 7)
    np.testing.assert_allclose(plot.surface(model, data, points=3).values, whole, rtol=1e-12)


def test_one_transfer_for_a_whole_plane(backend, monkeypatch):
    model, data = line(backend)
    pulls = []
    pull = type(backend).to_numpy
    landscape = plot.Landscape(model, data)
    directions = plot.random_directions(model)
    monkeypatch.setattr(type(backend), "to_numpy", lambda self, x: pulls.append(x.shape) or pull(self, x))
    steps = np.asarray([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    landscape.along(directions, steps)
    assert pulls == [(3,)]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"dimensions": 3}, ConfigError, "dimensions 1 or 2, got 3"),
        ({"points": 1}, ConfigError, "2 points or more"),
        ({"extent": 0.0}, ConfigError, "an extent > 0"),
        ({"rows": 0}, ConfigError, "rows a whole number ≥ 1"),
        ({"directions": [{}]}, ConfigError, "two directions for a plane"),
    ],
)
def test_what_cannot_be_computed_is_refused(options, error, match):
    with pytest.raises(error, match=match):
        plot.surface(*line(), **options)


def test_no_targets_and_no_weights_are_refused():
    model, data = line()
    with pytest.raises(DataError, match="a Dataset with targets"):
        plot.surface(model, data.x)
    with pytest.raises(StateError, match="a model with trainable parameters"):
        plot.surface(model.freeze(), data)
