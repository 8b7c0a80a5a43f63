"""Loss and metrics on data, and predictions."""

import math
from dataclasses import replace

import numpy as np
import pytest
from support.clouds import blobs, network

import nnx
from nnx.errors import ConfigError, DataError
from nnx.train import evaluate


def test_evaluate_is_the_mean_over_rows_whatever_the_batches(backend):
    data = blobs(n=50)
    model = network().initialize(0)
    model.layers[0].fit(data.x)
    model.to(backend)
    whole, pieces = evaluate(model, data), evaluate(model, data, batch_size=7)
    assert pieces["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert pieces["accuracy"] == whole["accuracy"]
    logits = backend.to_numpy(model(backend.asarray(data.x))).astype("float64")
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(50), data.y])
    assert whole["loss"] == pytest.approx(expected, rel=1e-5)
    assert whole["accuracy"] == pytest.approx(np.mean(logits.argmax(axis=1) == data.y))


def test_evaluate_a_real_target():
    data = blobs(task="regression")
    model = nnx.Sequential(nnx.Linear(4, 1)).initialize(0)
    values, out = evaluate(model, data), nnx.predict(model, data.x)
    assert values["loss"] == pytest.approx(float(((out - data.y) ** 2).mean()), rel=1e-5)
    assert values["mae"] == pytest.approx(float(np.abs(out - data.y).mean()), rel=1e-5)
    assert evaluate(model, data, loss="l1")["loss"] == pytest.approx(values["mae"], rel=1e-5)


def test_evaluate_and_predict_refuse():
    data = blobs()
    with pytest.raises(DataError, match=r"Use nnx\.predict"):
        evaluate(network(), replace(data, y=None))
    with pytest.raises(ConfigError, match="batch_size a whole number ≥ 1, got 0"):
        nnx.predict(nnx.Sequential(nnx.Linear(4, 3)), data.x, batch_size=0)


def test_predictions_come_back_where_the_inputs_were(backend):
    model = nnx.Sequential(nnx.Linear(4, 3)).initialize(0).to(backend)
    x = blobs().x
    host = nnx.predict(model, x, batch_size=7)
    assert isinstance(host, np.ndarray)
    there = nnx.predict(model, backend.asarray(x))
    assert nnx.backends.of(there).name == backend.name
    np.testing.assert_allclose(backend.to_numpy(there), host, rtol=1e-5, atol=1e-6)
    assert not math.isnan(float(host.sum()))


def test_logits_of_two_classes_are_measured_as_probabilities():
    x = nnx.random.normal(nnx.random.key(0, "x"), (200, 3)).astype("float32")
    y = (x[:, :1] > 0).astype("float32")
    model = nnx.Linear(3, 1).initialize(0)
    model.load({"weight": np.asarray([[50.0], [0.0], [0.0]], "float32"), "bias": np.zeros(1, "float32")})
    found = nnx.evaluate(model, nnx.data.load((x, y), task="regression"), loss="binary_cross_entropy")
    assert found["r2"] > 0.9
    assert found["mae"] < 0.1
