"""What the layers of convolution and pooling add to the ops: arguments checked at once, first weights, files, tables."""

import numpy as np
import pytest

import nnx
from nnx.errors import ConfigError, ShapeError
from nnx.layers.observing import observing

MISTAKES = {
    "no channels": (lambda: nnx.Conv2d(0, 4, 3), r"^Conv2d: expected in_channels a whole number ≥ 1, got 0"),
    "kernel": (lambda: nnx.Conv2d(1, 4, (3, 3, 3)), r"^Conv2d: expected kernel_size a whole number ≥ 1, or 2 of them"),
    "half a stride": (lambda: nnx.Conv1d(1, 4, 3, stride=0.5), r"^Conv1d: expected stride a whole number ≥ 1, got 0\.5"),
    "padding": (lambda: nnx.Conv2d(1, 4, 3, padding=-1), r"^Conv2d: expected padding a whole number ≥ 0, .*got -1"),
    "padding name": (lambda: nnx.Conv2d(1, 4, 3, padding="SAME"), r"^Conv2d: expected padding 'same', 'valid'"),
    "groups": (lambda: nnx.Conv2d(6, 4, 3, groups=4), r"^Conv2d: expected groups to divide .*groups=4 with 6 and 4 channels"),
    "no groups": (lambda: nnx.Conv2d(6, 4, 3, groups=0), r"^Conv2d: expected groups to divide"),
    "output padding": (lambda: nnx.ConvTranspose2d(1, 1, 3, stride=2, output_padding=2), r"^ConvTranspose2d: expected output_pad"),
    "transposed same": (lambda: nnx.ConvTranspose1d(1, 1, 3, padding="same"), r"^ConvTranspose1d: expected padding a whole"),
    "pool": (lambda: nnx.MaxPool2d(0), r"^MaxPool2d: expected kernel_size a whole number ≥ 1"),
    "pool dilation": (lambda: nnx.MaxPool1d(2, dilation=0), r"^MaxPool1d: expected dilation"),
    "pool padding": (lambda: nnx.AvgPool2d(2, padding=2), r"^AvgPool2d: expected padding of at most half the kernel"),
    "adaptive": (lambda: nnx.AdaptiveAvgPool2d(0), r"^AdaptiveAvgPool2d: expected output_size a whole number ≥ 1"),
    "reshape": (lambda: nnx.Reshape((8, 0)), r"^Reshape: expected a shape of whole numbers ≥ 1, .*got \(8, 0\)"),
    "reshape to a number": (lambda: nnx.Reshape(64), r"^Reshape: expected a shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_when_a_layer_is_made(name):
    make, says = MISTAKES[name]
    with pytest.raises(ConfigError, match=says):
        make()


def test_mistakes_name_the_layer():
    model = nnx.Sequential(nnx.Conv2d(3, 4, 3), nnx.MaxPool2d(2), nnx.Conv2d(4, 4, 3)).initialize(0)
    with pytest.raises(ShapeError, match=r"^layers\.0 \(Conv2d\): expected x of shape \(N, H, W, 3\), channels last"):
        model(np.zeros((2, 3, 8, 8), dtype="float32"))
    with pytest.raises(ShapeError, match=r"^layers\.2 \(Conv2d\): expected spatial axes of at least 3×3, .*got 2×2\."):
        model(np.zeros((2, 6, 6, 3), dtype="float32"))
    with pytest.raises(
        ShapeError, match=r"^Reshape: expected 64 values in each row, for \(8, 8, 1\), got x of shape \(2, 63\)"
    ):
        nnx.Reshape((8, 8, 1))(np.zeros((2, 63)))


@pytest.mark.parametrize(
    ("layer", "shape", "fan"),
    [
        (nnx.Conv1d(32, 400, 5), (5, 32, 400), 5 * 32),
        (nnx.Conv2d(32, 64, 3), (3, 3, 32, 64), 9 * 32),
        (nnx.Conv2d(32, 64, (3, 5), groups=4), (3, 5, 8, 64), 15 * 8),
        (nnx.ConvTranspose2d(64, 32, 4, stride=2), (4, 4, 64, 32), 16 * 64 / 4),
    ],
)
def test_weights_are_drawn_by_the_inputs_that_meet_in_one_output(layer, shape, fan):
    weight = layer.initialize(0).weight
    assert weight.shape == shape
    assert float(weight.var()) == pytest.approx(2 / fan, rel=0.06)
    assert not np.asarray(layer.bias).any()


@pytest.mark.parametrize(
    "layer",
    [nnx.Conv2d(8, 64, 3, padding=1), nnx.ConvTranspose2d(64, 32, 4, stride=2), nnx.Conv1d(16, 64, 5, groups=2)],
)
def test_activations_keep_their_scale_through_relu(layer):
    draws = np.random.default_rng(0)
    spatial = (24,) * (len(layer.kernel_size))
    x = draws.normal(size=(4, *spatial, layer.weight.shape[-2] * layer.groups)).astype("float32")
    y = layer.initialize(0)(x)
    inner = y[(slice(None), *(slice(4, -4),) * len(spatial))]  # away from the border, where fewer inputs meet
    assert float(np.mean(np.maximum(inner, 0) ** 2)) == pytest.approx(1.0, rel=0.2)


def network():
    return nnx.Sequential(
        nnx.Reshape((8, 8, 1)), nnx.Conv2d(1, 4, (3, 3), padding="same", bias=False), nnx.BatchNorm(4), nnx.ReLU(),
        nnx.MaxPool2d(2), nnx.ConvTranspose2d(4, 4, 4, stride=2, padding=1), nnx.AvgPool2d((2, 2)), nnx.GlobalAvgPool(),
        nnx.Linear(4, 3),
    )  # fmt: skip


def test_saved_loaded_and_listed(tmp_path, backend):
    model = network().initialize(3)
    nnx.save(model.to(backend), tmp_path / "model.safetensors")
    loaded = nnx.load(tmp_path / "model.safetensors")
    x = np.random.default_rng(0).normal(size=(5, 64)).astype("float32")
    np.testing.assert_allclose(loaded(x), backend.to_numpy(model(backend.asarray(x))), rtol=1e-4, atol=1e-5)
    rows = {row.layer: row for row in model.summary((2, 64)).rows}
    assert rows["Conv2d"].output_shape == (2, 8, 8, 4)
    assert rows["Conv2d"].parameters == 36
    assert rows["ConvTranspose2d"].output_shape == (2, 8, 8, 4)
    assert rows["GlobalAvgPool"].output_shape == (2, 4)
    assert "Conv2d(1, 4, " in repr(loaded)


def test_a_network_trains_to_the_same_weights_on_every_backend(backend):
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(32, 64)).astype("float32"), np.arange(32) % 3
    ours, reference = (
        nnx.fit(network().initialize(0), nnx.data.load((x, y)), epochs=2, batch_size=16, backend=spec).model.state()
        for spec in (backend, "numpy")
    )
    for path, array in reference.items():
        np.testing.assert_allclose(backend.to_numpy(ours[path]), array, rtol=1e-3, atol=2e-4, err_msg=path)


def test_relu_is_taken_after_the_max_pooling_that_follows_it(backend, monkeypatch):
    model = nnx.Sequential(
        nnx.Conv2d(1, 3, 3), nnx.ReLU(), nnx.MaxPool2d(2, padding=1), nnx.MaxPool2d(3, stride=1), nnx.ReLU(),
        nnx.AvgPool2d(2),
    ).initialize(0).to(backend)  # fmt: skip
    x = backend.asarray(np.random.default_rng(0).normal(size=(2, 12, 11, 1)).astype("float32"))
    goal = backend.asarray(np.full((2, 2, 1, 3), 3.0, dtype="float32"))
    seen, forward = [], nnx.ReLU.forward
    monkeypatch.setattr(nnx.ReLU, "forward", lambda self, x: seen.append(tuple(x.shape)) or forward(self, x))

    def gradients():
        loss, grads = nnx.value_and_grad(lambda model: nnx.losses.mse(model(x), goal))(model)
        return [loss, *grads.values()]

    ours = gradients()
    with observing(lambda *_: None):
        written = gradients()
    assert seen == [(2, 4, 3, 3)] * 2 + [(2, 10, 9, 3), (2, 4, 3, 3)]
    for a, b in zip(ours, written, strict=True):
        np.testing.assert_allclose(backend.to_numpy(a), backend.to_numpy(b), rtol=1e-5, atol=1e-6)
    assert all(np.any(backend.to_numpy(a)) for a in ours)
