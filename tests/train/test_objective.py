"""What is minimised where the model ends in the unit of the targets: the loss of standardised outputs and targets."""

from functools import partial

import numpy as np
import pytest
from support.clouds import bits, blobs

import nnx
from nnx import losses
from nnx.data import Dataset
from nnx.train.objective import objective
from nnx.train.stepper import stepper


def targets(unit=1.0, shift=0.0):
    data = blobs(n=96, task="regression")
    return Dataset(data.x, unit * data.y + shift, "regression")


def net(outputs=1):
    return nnx.Sequential(nnx.Linear(4, 8), nnx.Tanh(), nnx.Linear(8, outputs), nnx.Unstandardize(outputs))


def trained(data, backend, loss="mse", optimizer=None, **options):
    model, optimizer = net(data.y.shape[1]), optimizer or nnx.optim.SGD(0.1)
    run = nnx.fit(model, data, loss=loss, optimizer=optimizer, epochs=2, batch_size=32, backend=backend, **options)
    return model, run


def weights(model):
    return bits(nnx.Sequential(*model.layers[:-1]))


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_training_is_the_same_whatever_the_unit(backend, loss):
    one, run = trained(targets(), backend, loss)
    other, again = trained(targets(2.0**20), backend, loss)
    assert weights(one) == weights(other)
    assert run.curve("loss") == again.curve("loss")
    assert again.history[-1]["mae"] == 2.0**20 * run.history[-1]["mae"], "the metric is in the unit"


def test_descent_on_targets_of_large_numbers_far_from_0_learns():
    data = targets(1e5, 3e5)
    _, run = trained(data, "numpy")
    assert run.history[-1]["loss"] < 0.5


def test_lbfgs_and_penalties_have_no_unit():
    for optimizer in (nnx.optim.LBFGS(), nnx.optim.chain(nnx.optim.penalize(l2=0.1), nnx.optim.SGD(0.1))):
        one, other = (trained(targets(unit), "numpy", optimizer=optimizer)[0] for unit in (1.0, 2.0**10))
        assert weights(one) == weights(other)


def test_several_targets_count_alike():
    data = targets()
    twice = Dataset(data.x, np.concatenate([data.y, 2.0**12 * data.y], axis=1), "regression")
    model, _ = trained(twice, "numpy")
    y, t = model(twice.x), twice.y
    both = [float(np.mean((y[:, i] - t[:, i]) ** 2) / np.var(t[:, i])) for i in (0, 1)]
    assert nnx.evaluate(model, twice)["loss"] == pytest.approx(np.mean(both), rel=1e-5)


def test_a_squared_error_of_1_is_that_of_the_mean():
    data = targets(7.0, 50.0)
    model, _ = trained(data, "numpy")
    found = nnx.evaluate(model, data)
    assert found["loss"] == pytest.approx(1 - found["r2"], rel=1e-5)


def test_it_is_the_loss_by_hand(backend):
    model = net(2).initialize(0)
    y = np.random.default_rng(0).normal(size=(6, 2)).astype("float32") * 30 + 9
    model.layers[-1].fit(y)
    model.to(backend)
    out, t = backend.asarray(y + 1), backend.asarray(y)
    by_hand = np.mean((1 / y.astype("float64").std(axis=0)) ** 2)
    assert float(backend.to_numpy(objective(model, "mse")(out, t))) == pytest.approx(by_hand, rel=1e-5)


def test_only_what_has_a_unit_loses_it():
    model, plain = net(), nnx.Sequential(nnx.Linear(4, 1))

    def own(outputs, targets):
        return losses.mse(outputs, targets)

    for loss in (own, losses.binary_cross_entropy, losses.cross_entropy, partial(own)):
        assert objective(model, loss) is loss
    for loss in ("mse", losses.mse, partial(losses.huber, delta=2.0)):
        assert objective(model, loss) is not losses.get(loss)
        assert objective(plain, loss) is losses.get(loss)


def test_targets_of_another_shape_are_told_by_the_loss():
    with pytest.raises(nnx.errors.ShapeError, match="mse"):
        objective(net(), "mse")(np.zeros((3, 1)), np.zeros(3))


def test_its_steps_are_recorded_with_the_same_bits(backend):
    data, model = targets(30.0, 5.0), net().initialize(0)
    nnx.train.checks.prepare(model, data, 0)
    model.to(backend)
    x, y = (backend.asarray(part[:32], dtype="float32") for part in (data.x, data.y))
    written, played = stepper(model.copy(), losses.mse, False), stepper(model.copy(), losses.mse, True)
    optimizer = nnx.optim.SGD(0.1)
    states = [optimizer.init(model.parameters()) for _ in range(2)]
    for step in range(3):
        found = [take(optimizer, state, x, y, 0, step) for take, state in zip((written, played), states)]
        states = [one.state for one in found]
        a, b = (float(backend.to_numpy(one.loss)) for one in found)
        assert a == b if backend.jit is None else a == pytest.approx(b, rel=1e-6)
    assert played.declined == ""
