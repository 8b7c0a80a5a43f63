"""What flows through a model: planted dead and saturated units are counted, gradients have their closed form."""

from itertools import pairwise

import numpy as np
import pytest
from support.clouds import bits, blobs, network

import nnx
from nnx import plot
from nnx.errors import DataError, StateError
from nnx.plot import style
from nnx.train import signals


def host(array):
    return nnx.backends.of(array).to_numpy(array)


def planted(activation, backend, weights, bias):
    model = nnx.Sequential(nnx.Linear(*np.shape(weights)), activation).initialize(0, dtype="float64")
    model.load({"layers.0.weight": np.asarray(weights, float), "layers.0.bias": np.asarray(bias, float)})
    return model.to(backend)


def prepared(backend):
    model = network().initialize(0)
    model.layers[0].fit(blobs().x)
    return model.to(backend)


def rows(x):
    return nnx.data.load((np.asarray(x, dtype="float64"), np.arange(len(x)) % 2))


def test_planted_dead_units_are_counted(backend):
    x = np.random.default_rng(0).normal(size=(50, 3))
    bias = [-100.0, 0.0, 0.0, -100.0, 100.0, 0.0, 0.0, -100.0]
    found = plot.activations(planted(nnx.ReLU(), backend, np.ones((3, 8)), bias), rows(x))
    assert [one.kind for one in found.layers] == ["Linear", "ReLU"]
    assert [one.path for one in found.layers] == ["layers.0", "layers.1"]
    assert [one.dead for one in found.layers] == [None, 3 / 8]
    assert found.columns()["dead"] == ["", 3 / 8]


def test_a_unit_that_lives_on_a_tenth_of_the_rows_is_alive():
    x = np.linspace(0.05, 1, 20)[:, None]
    assert plot.activations(planted(nnx.ReLU(), "numpy", [[1.0, 1.0]], [-0.88, -0.96]), rows(x)).layers[1].dead == 0.5


@pytest.mark.parametrize("activation", [nnx.Tanh, nnx.Sigmoid])
def test_saturated_values_are_counted(backend, activation):
    x = np.asarray([[0.0], [4.9], [5.1], [-5.1], [-4.9], [80.0], [-80.0], [1.0]])
    found = plot.activations(planted(activation(), backend, [[1.0]], [0.0]), rows(x))
    assert found.layers[1].saturated == 0.5
    assert found.layers[1].dead is None


def test_moments_and_quantiles_are_those_of_the_outputs(backend):
    x = np.random.default_rng(0).normal(size=(101, 3))
    weights, bias = np.asarray([[1.0, 2.0], [0.0, 1.0], [3.0, -1.0]]), np.asarray([0.5, -0.5])
    linear = plot.activations(planted(nnx.Tanh(), backend, weights, bias), rows(x)).layers[0]
    out = x @ weights + bias
    assert linear.mean == pytest.approx(out.mean())
    assert linear.std == pytest.approx(out.std())
    wanted = np.quantile(out, [0.05, 0.25, 0.5, 0.75, 0.95], method="nearest")
    np.testing.assert_allclose(linear.quantiles, wanted, atol=0.2)
    assert all(np.isclose(out, q).any() for q in linear.quantiles)


def test_one_transfer_whatever_the_number_of_layers(backend, monkeypatch):
    model = nnx.Sequential(*network().layers[1:]).initialize(0).to(backend)
    x = backend.asarray(blobs().x)
    pulls, pull = [], type(backend).to_numpy
    monkeypatch.setattr(type(backend), "to_numpy", lambda self, a: pulls.append(a.shape) or pull(self, a))
    assert [one.kind for one in signals(model, x)] == ["Linear", "BatchNorm", "ReLU", "Linear"]
    assert len(pulls) == 1


def test_a_layer_in_another_unit_does_not_make_points_of_the_others(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs matplotlib (extra plot)")
    figures, save = [], style.save
    monkeypatch.setattr(style, "save", lambda figure, path: figures.append(figure) or save(figure, path))
    model = nnx.Sequential(nnx.Linear(4, 4), nnx.Tanh(), nnx.Linear(4, 1)).initialize(0)
    weights = model.parameters()
    for factor in (1, 1e3, 1e6, 1e12):
        model.load(weights | {"layers.2.weight": weights["layers.2.weight"] * factor})
        plot.activations(model, blobs(), tmp_path / "a.png")
    assert [figure.axes[0].get_xscale() for figure in figures] == ["linear", "symlog", "symlog", "symlog"]
    for figure in figures:
        low, high = figure.axes[0].get_xlim()
        labels = [label for label in figure.axes[0].get_xticklabels() if low <= label.get_position()[0] <= high]
        boxes = [label.get_window_extent() for label in labels]
        assert len(boxes) > 2
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_a_model_without_layers_has_nothing_to_show():
    class Bare(nnx.Module):
        def __init__(self):
            self.weight = nnx.Parameter((4, 3), nnx.init.ones())
            self.inner = nnx.Dropout(0.5)

        def forward(self, x):
            return x @ self.weight

    with pytest.raises(StateError, match="Bare, which calls none"):
        plot.activations(Bare().initialize(0), blobs())


# gradients ------------------------------------------------------------------------------------------------------------
def test_gradients_of_a_linear_model_have_their_closed_form(backend):
    draws = np.random.default_rng(2)
    x, y = draws.normal(size=(20, 3)), draws.normal(size=(20, 2))
    x[:, 1] = 0.0  # a feature that is never there: its weights get no gradient
    model = nnx.Sequential(nnx.Linear(3, 2)).initialize(0, dtype="float64").to(backend)
    found = plot.gradients(model, nnx.data.load((x, y)))
    w, b = host(model.layers[0].weight), host(model.layers[0].bias)
    slope = 2 * (x @ w + b - y) / y.size
    wanted = {"layers.0.weight": x.T @ slope, "layers.0.bias": slope.sum(axis=0)}
    for i, path in enumerate(found.paths):
        g = wanted[path]
        assert found.norm[i] == pytest.approx(np.linalg.norm(g))
        assert found.weight[i] == pytest.approx(np.linalg.norm({"layers.0.weight": w, "layers.0.bias": b}[path]))
        assert found.zero[i] == pytest.approx(np.mean(g == 0))
        assert found.quantiles[i, -1] == pytest.approx(np.abs(g).max())
    assert found.zero.tolist() == pytest.approx([1 / 3, 0.0])
    assert list(found.columns()) == [
        "path", "norm", "weight_norm", "abs_q05", "abs_q25", "abs_q50", "abs_q75", "abs_q95", "zero",
    ]  # fmt: skip


def test_gradients_are_those_of_a_step_and_leave_the_model_alone(backend):
    model, data = prepared(backend), blobs()
    before = bits(model)
    one, again, other = (plot.gradients(model, data, seed=seed) for seed in (0, 0, 1))
    assert one.norm.tolist() == again.norm.tolist() != other.norm.tolist(), "dropout draws with the seed"
    assert bits(model) == before


def test_no_targets_no_gradient():
    with pytest.raises(DataError, match="there are no targets"):
        plot.gradients(network(), nnx.data.Dataset(np.zeros((3, 4), dtype="float32"), None, task=None))


def test_gradients_over_a_training_are_those_at_its_snapshots(backend):
    model, data, snapshots = prepared(backend), blobs(), nnx.train.Snapshots()
    nnx.fit(model, data, epochs=3, callbacks=[snapshots])
    found = plot.gradients(model, data, snapshots=snapshots.kept)
    assert found.epochs.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found.course[-1], found.norm, rtol=1e-6)
    first = plot.gradients(model.copy().load(snapshots.kept[0].weights), data)
    np.testing.assert_allclose(found.course[0], first.norm, rtol=1e-6)
    assert found.columns()["norm_epoch_0"].tolist() == found.course[0].tolist()
