"""Models from a short text."""

import numpy as np
import pytest

import nnx
from nnx import models
from nnx.errors import ConfigError

SPECS = {
    "linear": ["Standardize", "Linear"],
    "mlp:8": ["Standardize", "Linear", "ReLU", "Linear"],
    "mlp:8,4": ["Standardize", "Linear", "ReLU", "Linear", "ReLU", "Linear"],
    " mlp: 8 , 4 ": ["Standardize", "Linear", "ReLU", "Linear", "ReLU", "Linear"],
}


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


@pytest.mark.parametrize(("spec", "layers"), SPECS.items())
def test_a_spec_is_a_chain_of_layers(spec, layers):
    assert kinds(models.build(spec, (5,), 3)) == layers


def test_options_are_layers_in_their_places():
    model = models.build("mlp:8", (5,), 3, activation="tanh", dropout=0.25, batch_norm=True, standardize=False)
    assert kinds(model) == ["Linear", "BatchNorm", "Tanh", "Dropout", "Linear"]
    assert model.layers[0].bias is None, "batch norm has the bias"
    assert model.layers[3].p == 0.25
    assert kinds(models.build("linear", (2, 3), 3, standardize=False)) == ["Flatten", "Linear"]


def test_a_cnn_takes_images_and_flat_rows_that_are_images():
    block = ["Conv2d", "ReLU", "MaxPool2d"]
    flat = models.build("cnn", (64,), 10, image_shape=(8, 8, 1))
    assert kinds(flat) == ["Reshape", "Standardize", *block, *block, "Flatten", "Linear"]
    assert flat.layers[-1].weight.shape == (2 * 2 * 32, 10)
    assert kinds(models.build("cnn:4", (6, 5, 3), 2)) == ["Standardize", *block, "Flatten", "Linear"]
    small = models.build("cnn:4,8,8", (3, 5), 2, batch_norm=True, dropout=0.5, standardize=False)
    assert kinds(small)[1:7] == ["Conv2d", "BatchNorm", "ReLU", "MaxPool2d", "Dropout", "Conv2d"]
    assert kinds(small).count("MaxPool2d") == 1, "an image of one row is pooled no more"
    assert small(np.zeros((2, 3, 5), dtype="float32")).shape == (2, 2)
    assert models.build("cnn:4", (3, 5), 2, activation="maxout", standardize=False)(
        np.zeros((2, 3, 5), dtype="float32")
    ).shape == (2, 2)


def test_a_cnn_reads_digits():
    train, val = nnx.data.split(nnx.data.load("digits"), (0.8, 0.2), seed=0)
    model = models.build("cnn", (64,), 10, image_shape=train.image_shape)
    run = nnx.fit(model, train, val, epochs=10, batch_size=32, optimizer=nnx.optim.Adam(2e-3), seed=0)
    assert run.history[-1]["val_accuracy"] >= 0.97


def test_a_transformer_takes_images_as_patches():
    small = models.build("transformer", (64,), 10, image_shape=(8, 8, 1), dropout=0.1, activation="gelu")
    blocks = ["TransformerBlock"] * 2
    assert kinds(small) == [
        "Reshape", "Standardize", "Conv2d", "Reshape", "LearnedPositions", *blocks, "LayerNorm", "Flatten", "Linear"
    ]  # fmt: skip
    assert small.layers[4].table.shape == (16, 32)
    assert (small.layers[5].attention.heads, small.layers[5].attention.dropout) == (4, 0.1)
    assert type(small.layers[5].feed_forward.layers[1]) is nnx.GELU
    odd = models.build("transformer:6,1", (28, 31, 3), 5, standardize=False)
    assert odd.layers[2].table.shape == (7 * 8, 6)
    assert odd.layers[3].attention.heads == 2
    assert odd(np.zeros((2, 28, 31, 3), dtype="float32")).shape == (2, 5)
    assert models.build("transformer:5,1", (3, 1), 2, standardize=False)(
        np.zeros((2, 3, 1), dtype="float32")
    ).shape == (2, 2)


def test_a_transformer_reads_digits(tmp_path):
    train, val = nnx.data.split(nnx.data.load("digits"), (0.8, 0.2), seed=0)
    model = models.build("transformer", (64,), 10, image_shape=train.image_shape)
    run = nnx.fit(model, train, val, epochs=10, batch_size=32, optimizer=nnx.optim.Adam(2e-3), seed=0)
    assert run.history[-1]["val_accuracy"] >= 0.96
    nnx.save(model, tmp_path / "m")
    np.testing.assert_allclose(nnx.load(tmp_path / "m")(val.x[:9]), model(val.x[:9]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("activation", models.ACTIVATIONS)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_activation_trains(activation, batch_norm):
    draws = np.random.default_rng(0)
    data = nnx.data.load((draws.normal(size=(40, 5)).astype("float32"), np.arange(40) % 3))
    model = models.build("mlp:8,6", (5,), 3, activation=activation, batch_norm=batch_norm)
    run = nnx.fit(model, data, epochs=30, batch_size=20, optimizer=nnx.optim.Adam(1e-2))
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    assert model(data.x).shape == (40, 3)


@pytest.mark.parametrize(
    ("activation", "variance"), [("relu", 2 / 400), ("gelu", 2 / 400), ("tanh", 2 / 700), ("sigmoid", 2 / 700)]
)
def test_weights_are_drawn_by_the_rule_that_suits_the_activation(activation, variance):
    model = models.build("mlp:300", (400,), 10, activation=activation, standardize=False).initialize(0)
    assert float(model.layers[0].weight.var()) == pytest.approx(variance, rel=0.02)
    assert float(model.layers[-1].weight.var()) == pytest.approx(2 / 310, rel=0.1)


def test_the_initial_loss_is_near_ln_c():
    data = nnx.data.load("digits")
    model = models.build("mlp:128,64", (64,), 10, batch_norm=True).initialize(0)
    model.layers[0].fit(data.x)
    assert nnx.evaluate(model, data)["loss"] < 2 * np.log(10)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("resnet", "Known: 'linear', 'mlp', 'cnn', 'transformer'"),
        ("transformers", "Did you mean 'transformer'"),
        ("transformer:32", "a width and a number of blocks, whole numbers .*Write for example transformer:32,2"),
        ("transformer:32,2,4", "a width and a number of blocks"),
        ("transformer:32,2", r"rows that are images .*mlp instead of transformer:32,2"),
        ("cnn:", "channels, whole numbers .*Write for example cnn:16,32"),
        ("cnn:8,x", "channels, whole numbers"),
        ("cnn:8", r"rows that are images .*got rows of shape \(5,\)\. .*mlp instead of cnn:8"),
        ("mpl:3", "Did you mean 'mlp'"),
        ("", "expected a model: linear, mlp"),
        ("64", "Did you mean 'mlp:64'"),
        ("64,32", "Did you mean 'mlp:64,32'"),
        ("mlp", "Write for example mlp:128,64"),
        ("mlp:", "Write for example mlp:128,64"),
        ("mlp:3,", "whole numbers from 1"),
        ("mlp:-3", "whole numbers from 1"),
        ("mlp:3.5", "whole numbers from 1"),
        ("mlp:1e3", "whole numbers from 1"),
        ("mlp:²", "whole numbers from 1"),
        ("mlp:99999999", "from 1 to 1,000,000"),
        ("linear:3", "Write linear"),
    ],
)
def test_another_spec_is_refused(spec, says):
    with pytest.raises(ConfigError, match=says):
        models.build(spec, (5,), 3)


def test_other_options_are_refused():
    with pytest.raises(ConfigError, match="Did you mean 'relu'"):
        models.build("mlp:3", (5,), 3, activation="reul")
    with pytest.raises(
        ConfigError, match=r"an activation that keeps the width, got maxout for a transformer. Take gelu"
    ):
        models.build("transformer", (4, 4), 3, activation="maxout")
    with pytest.raises(
        ConfigError, match="no batch norm for a transformer, which normalises by layer, got batch_norm=True"
    ):
        models.build("transformer", (4, 4), 3, batch_norm=True)
    with pytest.raises(ConfigError, match="0 ≤ p < 1"):
        models.build("mlp:3", (5,), 3, dropout=1.0)
