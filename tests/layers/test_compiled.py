"""A compiled model gives what the model gives, and follows it when it changes."""

import threading

import numpy as np
import pytest

import nnx
from nnx.backends.recorded.recording import RecordingError
from nnx.errors import ConfigError, ShapeError
from nnx.layers import compiled


def network():
    return nnx.Sequential(
        nnx.Linear(4, 8), nnx.BatchNorm(8), nnx.ReLU(), nnx.Dropout(0.5), nnx.Linear(8, 6), nnx.GELU(), nnx.Linear(6, 3)
    ).initialize(1)


def inputs(backend, rows, seed=0):
    return backend.asarray(np.random.default_rng(seed).normal(size=(rows, 4)).astype("float32"))


def same(ours, theirs, backend):
    a, b = backend.to_numpy(ours), backend.to_numpy(theirs)
    if backend.jit is None:
        np.testing.assert_array_equal(a, b)
    else:
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_it_gives_the_bits_of_the_model(backend):
    model = network().to(backend)
    predict = nnx.compile(model)
    for rows in (1, 5, 1, 7, 5, 0):
        x = inputs(backend, rows, rows)
        same(predict(x), model(x), backend)


def test_of_many_shapes_the_first_are_recorded(monkeypatch):
    monkeypatch.setattr(compiled, "KINDS", 2)
    model = network()
    predict = nnx.compile(model)
    for rows in (1, 2, 3, 1):
        x = np.ones((rows, 4), "float32")
        np.testing.assert_array_equal(predict(x), model(x))
    assert len(predict._plans) == 2


def test_it_has_the_present_values_of_the_model(backend):
    model = network().to(backend)
    predict, x = nnx.compile(model), inputs(backend, 5)
    before = predict(x)
    kept = np.array(backend.to_numpy(before))
    model.load({path: 2.0 * array for path, array in model.parameters().items()})
    same(predict(x), model(x), backend)
    np.testing.assert_array_equal(backend.to_numpy(before), kept)
    assert not np.array_equal(backend.to_numpy(predict(x)), kept)


def test_another_structure_or_dtype_is_recorded_anew():
    model = network()
    predict, x = nnx.compile(model), np.ones((2, 4), "float32")
    predict(x)
    recorded = dict(predict._plans)
    model.load({path: 2.0 * array for path, array in model.parameters().items()})
    predict(x)
    assert predict._plans == recorded
    model.layers[5] = nnx.Tanh()
    np.testing.assert_array_equal(predict(x), model(x))
    assert predict._plans != recorded
    model.to("numpy", dtype="float64")
    np.testing.assert_array_equal(predict(x.astype("float64")), model(x.astype("float64")))


def test_inside_training_and_under_a_derivative_the_model_itself_is_called():
    model = network()
    predict, x = nnx.compile(model), np.ones((64, 4), "float32")
    predict(x)
    with nnx.training(seed=0, step=0):
        in_training = predict(x)
    assert not np.array_equal(in_training, predict(x))
    ours, theirs = (nnx.grad(lambda x, f=f: nnx.namespace(x).sum(f(x)))(x) for f in (predict, model))
    np.testing.assert_array_equal(ours, theirs)


def test_several_outputs_keep_their_nest():
    class Two(nnx.Module):
        def __init__(self):
            self.a, self.b = nnx.Linear(4, 2), nnx.Linear(4, 3)

        def forward(self, x):
            return {"a": self.a(x), "b": [self.b(x), x]}

    model, x = Two().initialize(0), np.ones((2, 4), "float32")
    predict = nnx.compile(model)
    for _ in range(2):
        out = predict(x)
        assert out.keys() == {"a", "b"}
        np.testing.assert_array_equal(out["b"][0], model(x)["b"][0])
        np.testing.assert_array_equal(out["b"][1], x)


def test_threads_do_not_mix_their_results():
    model = network()
    predict, wrong = nnx.compile(model), []

    def work(seed):
        x = np.random.default_rng(seed).normal(size=(6, 4)).astype("float32")
        expected = model(x)
        wrong.extend(seed for _ in range(200) if not np.array_equal(predict(x), expected))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_mistakes():
    with pytest.raises(ConfigError, match="expected a model"):
        nnx.compile(lambda x: x)
    with pytest.raises(ShapeError, match=r"expected x of shape \(…, 4\)"):
        nnx.compile(network())(np.ones((2, 5), "float32"))

    class Looks(nnx.Module):
        def forward(self, x):
            return x if x[0, 0] > 0 else -x

    with pytest.raises(RecordingError, match="needs a value"):
        nnx.compile(Looks())(np.ones((2, 4), "float32"))
