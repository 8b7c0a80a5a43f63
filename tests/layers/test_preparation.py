"""Preparation layers against scikit-learn; fitting, saving, moving; no look at the device on each call."""

import numpy as np
import pytest
from layers.helpers import draw
from support.compare import assert_agrees, dtype_of

import nnx
from nnx import backends
from nnx.errors import DataError, DtypeError, ShapeError, StateError

DATA = 5.0 + 3.0 * draw((40, 4)) * np.asarray([1.0, 1e3, 1e-3, 0.0])
DATA.flags.writeable = False
MAKE = {
    "standardize": lambda: nnx.Standardize(4),
    "min-max": lambda: nnx.MinMaxScale(4),
    "min-max to [0, 5]": lambda: nnx.MinMaxScale(4, 0.0, 5.0),
    "unstandardize": lambda: nnx.Unstandardize(4),
}
layers = pytest.mark.parametrize("name", MAKE)


def reference(name, train, x):
    preprocessing = pytest.importorskip(
        "sklearn.preprocessing", reason="scikit-learn is not installed: its scalers are the outside definition"
    )
    if name == "unstandardize":
        return preprocessing.StandardScaler().fit(train).inverse_transform(x)
    if name == "standardize":
        return preprocessing.StandardScaler().fit(train).transform(x)
    return preprocessing.MinMaxScaler((0, 5) if "5" in name else (-1, 1)).fit(train).transform(x)


@layers
def test_scikit_learn_agrees(name, backend):
    x = 5.0 + draw((7, 4), 1) * np.asarray([1.0, 1e3, 1e-3, 0.1])
    layer = MAKE[name]().initialize(0, dtype="float64").fit(DATA).to(backend)
    expected = reference(name, DATA, x)
    assert_agrees(layer(backend.asarray(x)), expected, rtol=1e-12, scale=np.abs(expected) + 1, backend=backend)


@layers
def test_the_training_data_come_out_as_asked(name):
    if name == "unstandardize":
        return
    y = MAKE[name]().initialize(0, dtype="float64").fit(DATA)(np.array(DATA))
    if name == "standardize":
        assert np.abs(y.mean(0)).max() < 1e-12
        assert np.allclose(y.std(0), [1, 1, 1, 0], atol=1e-12)
    else:
        low, high = (0.0, 5.0) if "5" in name else (-1.0, 1.0)
        assert np.allclose(y.min(0), low, atol=1e-12)
        assert np.allclose(y.max(0), [high, high, high, low], atol=1e-12)


def test_images_are_standardised_per_channel(backend):
    images = np.asarray([3.0, -2.0]) + np.asarray([10.0, 0.1]) * draw((5, 4, 3, 2))
    layer = nnx.Standardize(2).initialize(0, dtype="float64").fit(images).to(backend)
    y = backend.to_numpy(layer(backend.asarray(images)))
    assert np.abs(y.mean((0, 1, 2))).max() < 1e-12
    np.testing.assert_allclose(y.std((0, 1, 2)), 1.0, rtol=1e-12)
    with pytest.raises(DataError, match="nan in row 1, column 1"):
        nnx.Standardize(2).fit(np.where(np.arange(120).reshape(5, 4, 3, 2) == 27, np.nan, images))


def test_unstandardize_undoes_standardize(backend):
    forth = nnx.Standardize(4).initialize(0, dtype="float64").fit(DATA).to(backend)
    back = nnx.Unstandardize(4).initialize(0, dtype="float64").fit(DATA).to(backend)
    assert_agrees(back(forth(backend.asarray(DATA))), DATA, rtol=1e-12, backend=backend)


@layers
def test_unfitted(name, backend):
    model = nnx.Sequential(MAKE[name]()).to(backend)
    x = backend.asarray(np.array(DATA, dtype="float32"))
    kind = type(model.layers[0]).__name__
    message = rf"^layers\.0 \({kind}\): expected a fitted layer, got {kind} before fit\. Call \.fit\(train\.x\) on it"
    with pytest.raises(StateError, match=message):
        model(x)
    model.layers[0].fit(DATA)
    model(x)
    with pytest.raises(StateError, match=message):
        model.initialize(1)(x)  # drawn anew: what was fitted is gone


@layers
def test_fitting_again_replaces(name):
    once, twice = MAKE[name]().fit(3 * DATA), MAKE[name]().fit(DATA).fit(3 * DATA)
    assert all(np.array_equal(once.state()[path], array) for path, array in twice.state().items())


@layers
def test_fitted_where_the_model_is_in_its_dtype(name, backend):
    layer = MAKE[name]().to(backend, dtype="float64")
    layer.fit(backend.asarray(DATA))
    assert {backends.of(array) for array in layer.state().values()} == {backend}
    assert {dtype_of(array) for array in layer.state().values()} == {"float64"}
    assert dtype_of(layer(backend.asarray(DATA))) == "float64"
    single = MAKE[name]().to(backend).fit(DATA)
    assert {dtype_of(array) for array in single.state().values()} == {"float32"}


@layers
def test_saved_and_loaded_as_buffers(name, backend):
    layer = MAKE[name]().fit(DATA)
    assert list(layer.parameters()) == []
    other = MAKE[name]().to(backend).load(layer.state())
    assert other.is_fitted
    x = np.array(DATA, dtype="float32")
    assert_agrees(other(backend.asarray(x)), layer(x), rtol=1e-6, scale=1e3, backend=backend)
    unfitted = other.load(MAKE[name]().state())
    assert not unfitted.is_fitted


@layers
def test_the_device_is_looked_at_once(name, backend, monkeypatch):
    layer = MAKE[name]().fit(DATA).to(backend)
    x = backend.asarray(np.array(DATA, dtype="float32"))
    layer(x)
    reads = []
    fetch = type(backend).to_numpy
    monkeypatch.setattr(type(backend), "to_numpy", lambda self, x: reads.append(1) or fetch(self, x))
    for _ in range(5):
        layer(x)
        nnx.grad(lambda x: nnx.namespace(x).sum(layer(x)))(x)
        nnx.grad(lambda layer, x: nnx.namespace(x).sum(layer(x)), argnums=1)(layer, x)
        layer.map_arrays(lambda path, array: array)(x)
    assert reads == []


BAD = {
    "columns": (
        lambda: np.zeros((5, 3)),
        ShapeError,
        r"Standardize: expected training inputs of shape \(N, 4\), got \(5, 3\)",
    ),
    "one axis": (lambda: np.zeros(4), ShapeError, r"expected training inputs of shape \(N, 4\), got \(4,\)"),
    "no rows": (lambda: np.zeros((0, 4)), ShapeError, r"expected training inputs of shape \(N, 4\), got \(0, 4\)"),
    "nan": (
        lambda: np.where(np.eye(4) == 1, np.nan, 0.0)[[1, 0]],
        DataError,
        r"expected finite inputs, got nan in row 0, column 1",
    ),
    "infinite": (lambda: np.full((1, 4), -np.inf), DataError, r"expected finite inputs, got -inf in row 0, column 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_training_inputs_change_nothing(case):
    make, kind, message = BAD[case]
    layer = nnx.Standardize(4).fit(DATA)
    before = dict(layer.state())
    with pytest.raises(kind, match=message):
        layer.fit(make())
    assert all(array is before[path] for path, array in layer.state().items())


def test_inputs_that_do_not_fit(backend):
    layer = nnx.Standardize(4).fit(DATA).to(backend)
    with pytest.raises(ShapeError, match=r"Standardize: expected x of shape \(N, 4\), got \(2, 3\)\. Pass the columns"):
        layer(backend.asarray(np.zeros((2, 3), dtype="float32")))
    with pytest.raises(DtypeError, match=r"Standardize: expected x of dtype .*float32, as the model, got .*float64"):
        layer(backend.asarray(np.zeros((2, 4))))


def test_a_constant_column_far_from_zero_is_constant():
    columns = np.full((1000, 2), 1e9 + 0.1) * np.asarray([1.0, -1.0])
    for kind in (nnx.Standardize, nnx.Unstandardize):
        assert kind(2).initialize(0, dtype="float64").fit(columns).scale.tolist() == [1.0, 1.0]
