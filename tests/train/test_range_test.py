"""The range test: a copy trained at rising rates, judged by its losses."""

import math

import numpy as np
import pytest
from support.clouds import bits, blobs, network

import nnx
from nnx.errors import ConfigError, DivergedError, ShapeError
from nnx.train.range_test import judge


def test_every_step_is_one_of_fit_at_its_rate(backend):
    """The losses before each step, by hand: the same steps at rates in a geometric series, measured on the same rows."""
    data = blobs()
    found = nnx.lr_find(
        network(), data, optimizer=nnx.optim.SGD(0.3, momentum=0.9), batch_size=16, steps=30, high=0.1, backend=backend
    )
    rates = np.geomspace(1e-7, 0.1, 30)
    np.testing.assert_allclose(found.rates, rates, rtol=1e-9)

    model = network().initialize(0)
    model.layers[0].fit(data.x)
    model.to(backend)
    x, y = backend.asarray(data.x), backend.asarray(data.y)
    params, velocity, losses, k = model.parameters(), None, [], 0
    for epoch in range(5):
        for rows in nnx.data.batches(len(data), 16, seed=0, epoch=epoch):
            with nnx.training(seed=0, step=0, write_back=False):
                losses.append(float(backend.to_numpy(nnx.losses.cross_entropy(model(x), y))))
            with nnx.training(seed=0, step=k):
                _, grads = nnx.value_and_grad(lambda m, x, y: nnx.losses.cross_entropy(m(x), y))(
                    model, backend.asarray(data.x[rows]), backend.asarray(data.y[rows])
                )
            velocity = velocity or {path: 0.0 * g for path, g in grads.items()}
            velocity = {path: 0.9 * velocity[path] - float(rates[k]) * g for path, g in grads.items()}
            params = {path: p + velocity[path] for path, p in params.items()}
            model.load(params)
            k += 1
    np.testing.assert_allclose(found.losses, losses[:30], rtol=1e-4)


def test_the_model_stays_as_it_is():
    fresh = network()
    nnx.lr_find(fresh, blobs(), steps=30)
    assert not fresh.initialized
    assert not fresh.layers[0].is_fitted
    model = network().initialize(1)
    before = bits(model)
    first = nnx.lr_find(model, blobs())
    assert bits(model) == before
    assert nnx.lr_find(model, blobs()) == first


def test_a_rate_that_it_suggests_is_near_the_best():
    """On the digits: within a factor of 10 of the best of a grid, and the loss there within a tenth of it plus 0.05."""
    train, val = nnx.data.split(nnx.data.load("digits"), (0.8, 0.2), seed=0)

    def model():
        return nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 32), nnx.ReLU(), nnx.Linear(32, 10))

    def loss_at(rate):
        run = nnx.fit(model(), train, val, optimizer=nnx.optim.SGD(rate, momentum=0.9), epochs=5)
        return run.history[-1]["val_loss"]

    suggested = nnx.lr_find(model(), train, optimizer=nnx.optim.SGD(1.0, momentum=0.9)).suggested
    grid = {rate: loss_at(rate) for rate in (1e-3, 1e-2, 1e-1)}
    best = min(grid, key=grid.get)
    assert best / 10 < suggested < best * 10
    assert loss_at(suggested) < 1.1 * grid[best] + 0.05


RATES = np.geomspace(1e-7, 10, 100)


def test_the_steepest_and_the_lowest_of_a_known_curve():
    """loss = 1 − c/(1 + (a/α)²), which is steepest in log α at α = a; a rise from α = 1 on."""
    curve = 1.0 - 0.9 / (1.0 + (1e-3 / RATES) ** 2) + np.maximum(RATES - 0.5, 0.0) ** 2
    found = judge(RATES, curve)
    step = RATES[1] / RATES[0]
    assert 1e-3 / step**2 < found.steepest < 1e-3 * step**3  # the smoothing lags by about one step
    assert found.lowest == RATES[int(np.argmin(found.smooth))]
    assert 0.1 < found.lowest < 0.8
    assert found.tenth == found.lowest / 10
    assert found.suggested == min(found.steepest, found.tenth)
    assert found.ended == "4 times its least"
    assert found.losses[-1] > 4 * min(found.smooth) > found.losses[-2]
    assert len(found.rates) == len(found.losses) == len(found.smooth) < 100


def test_a_fall_behind_the_lowest_point_is_no_fall():
    """Past the best rates the loss jumps, and falls back faster than it ever fell before."""
    curve = 1.0 - 0.9 / (1.0 + (1e-3 / RATES) ** 2)
    jump = np.where((RATES > 0.5) & (RATES < 1.0), 0.25, 0.0)
    assert judge(RATES, curve + jump).steepest == judge(RATES, curve).steepest < 3e-3


def test_the_loss_is_smoothed_without_the_bias_of_its_start():
    losses = [3.0, 1.0, 2.0]
    smooth = [3.0, (0.5 * 1.5 + 0.5 * 1.0) / 0.75, (0.25 * 1.5 + 0.25 * 1.0 + 0.5 * 2.0) / 0.875]
    np.testing.assert_allclose(judge([1, 2, 3], losses).smooth, smooth)


def test_without_a_fall_nothing_is_suggested():
    found = judge(RATES, np.ones(100))
    assert (found.steepest, found.lowest, found.suggested, found.ended) == (None, None, None, "")
    assert "no rate lowers the loss" in str(found)
    assert judge(RATES, [1.0] * 5 + [math.nan]).ended == "no number"


def test_its_table_fits_a_terminal():
    lines = str(nnx.lr_find(network(), blobs())).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("falls fastest" in line for line in lines) == 2
    assert any(line.startswith("suggested ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"low": 0.0}, ConfigError, "low is out of range"),
        ({"low": 1.0, "high": 0.1}, ConfigError, r"rates that rise, low < high, got 1 and 0\.1"),
        ({"steps": 10}, ConfigError, "expected 20 steps or more, got 10"),
        ({"stop": 1.0}, ConfigError, r"expected stop > 1, got 1"),
        ({"batch_size": 0}, ConfigError, "batch_size a whole number"),
        ({"optimizer": nnx.optim.LBFGS()}, ConfigError, "expected an optimizer with a learning rate, got LBFGS"),
        ({"model": nnx.Sequential(nnx.Linear(4, 2))}, ShapeError, "Give the last layer 3 outputs"),
        ({"loss": lambda out, y: nnx.losses.cross_entropy(out, y) * math.nan}, DivergedError, "got nan"),
    ],
)
def test_what_is_refused(arguments, error, says):
    arguments = {"model": network(), "train": blobs(), **arguments}
    with pytest.raises(error, match=says):
        nnx.lr_find(arguments.pop("model"), arguments.pop("train"), **arguments)
