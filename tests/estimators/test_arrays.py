"""Arrays of other libraries: what goes in decides where it is computed, and what comes out."""

import inspect
from contextlib import nullcontext
from copy import copy
from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import estimator_checks_generator

import nnx
from nnx.backends.backend import Backend
from nnx.estimators import NNClassifier, NNRegressor

LIBRARIES = {"numpy": "numpy", "strict": "array_api_strict", "torch": "torch", "cupy": "cupy"}
"""The libraries that scikit-learn's own checks know, by the names of nnx."""

rng = np.random.default_rng(0)
X = rng.normal(size=(48, 3)).astype("float32")
NUMBERS = (X[:, 0] > 0) + 2 * (X[:, 1] > 0)
SMALL = {"model": "mlp:8", "epochs": 4, "learning_rate": 0.03, "batch_size": 24, "random_state": 0}
LEAST = {"model": "linear", "epochs": 1, "batch_size": 48}


def about(check, library):
    """Whether a check is about arrays of this library, on a device that every machine has."""
    settings = check.keywords
    places = [settings.get("X_ns_and_device"), settings.get("other_ns_and_device")]
    libraries = [place.xp for place in places if place] or [settings["array_namespace"]]
    devices = [place.device for place in places if place] or [settings.get("device_name")]
    return libraries[0] == library and all(map(find_spec, libraries)) and not set(devices) & {"cuda", "xpu", "mps"}


@pytest.mark.host_reads
@pytest.mark.parametrize("kind", [NNClassifier, NNRegressor])
def test_the_checks_of_arrays(kind, backend, monkeypatch):
    if backend.name not in LIBRARIES:
        return  # scikit-learn has none for this library
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # which scikit-learn asks for
    estimator, library, done = kind(**SMALL), LIBRARIES[backend.name], 0
    for _, check in estimator_checks_generator(estimator):
        if check.func.__name__.startswith("check_array_api") and about(check, library):
            check(estimator)
            done += 1
    assert done >= 1


@pytest.fixture(scope="module")
def classifier(backend):
    return NNClassifier(**SMALL).fit(backend.asarray(X), backend.asarray(NUMBERS))


def test_answers_stay_where_the_inputs_are(classifier, backend):
    x = backend.asarray(X)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        out = getattr(classifier, method)(x)
        assert nnx.backends.of(out).spec == backend.spec, method
    assert nnx.backends.of(next(iter(classifier.model_.state().values()))).spec == backend.spec
    assert classifier.score(x, backend.asarray(NUMBERS)) == np.mean(backend.to_numpy(classifier.predict(x)) == NUMBERS)


def test_arrays_of_another_library_are_refused_where_scikit_learn_dispatches(classifier, backend, monkeypatch):
    monkeypatch.setattr("nnx.estimators.network.get_config", lambda: {"array_api_dispatch": True})
    assert classifier.predict(backend.asarray(X)).shape == (48,)
    with pytest.raises(ValueError, match="same namespace") if backend.name != "numpy" else nullcontext():
        classifier.predict(X)


def test_the_answers_are_those_of_numpy(classifier, backend):
    on_host = NNClassifier(**SMALL).fit(X, NUMBERS)
    np.testing.assert_allclose(
        backend.to_numpy(classifier.predict_proba(backend.asarray(X))), on_host.predict_proba(X), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(classifier.predict_proba(X), on_host.predict_proba(X), rtol=1e-4, atol=1e-5)


def test_real_targets_and_names(classifier, backend):
    x = backend.asarray(X)
    regressor = NNRegressor(**LEAST).fit(x, backend.asarray(X[:, 0]))
    assert nnx.backends.of(regressor.predict(x)).spec == backend.spec
    assert tuple(regressor.predict(x).shape) == (48,)
    assert tuple(NNRegressor(**LEAST).fit(x, backend.asarray(X[:, 1:])).predict(x).shape) == (48, 2)
    named = copy(classifier)
    named.classes_ = np.asarray(["a", "b", "c", "d"])  # as of labels that were texts
    np.testing.assert_array_equal(named.predict(x), named.classes_[backend.to_numpy(classifier.predict(x))])


def test_another_place_to_train(backend):
    classifier = NNClassifier(**LEAST, backend=backend.spec).fit(X, NUMBERS)
    assert nnx.backends.of(next(iter(classifier.model_.state().values()))).spec == backend.spec
    assert isinstance(classifier.predict_proba(X), np.ndarray)


def test_bad_inputs_on_a_device(classifier, backend):
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"predict\(\): expected finite numbers in X, got NaN"):
        classifier.predict(backend.asarray(bad)) if backend.name != "numpy" else refuse(bad)
    with pytest.raises(ValueError, match="Reshape your data"):
        classifier.predict(backend.asarray(X[0]))
    with pytest.raises(ValueError, match="2 features, but NNClassifier is expecting 3"):
        classifier.predict(backend.asarray(X[:, :2]))


def refuse(x):
    """NumPy's inputs are examined by scikit-learn; this is the same function that the other arrays go through."""
    from nnx.estimators.arrays import check_rows

    check_rows(x, nnx.backends.get("numpy"), "NNClassifier.predict()")


@pytest.mark.skip_backends("numpy", reason="its rows are on the host")
def test_rows_stay_on_their_device(backend, monkeypatch):
    """Through standardisation, a split, training, validation and prediction: no row comes to the host or from it."""
    moved = []
    to_numpy, asarray = Backend.to_numpy, Backend.asarray

    def left(self, x):
        moved.append(("left", *x.shape))
        return to_numpy(self, x)

    def entered(self, x, dtype=None):
        if isinstance(x, np.ndarray):
            moved.append(("entered", *x.shape))
        return asarray(self, x, dtype)

    x, y = backend.asarray(rng.normal(size=(48, 7)).astype("float32")), backend.asarray(NUMBERS)
    monkeypatch.setattr(Backend, "to_numpy", left)
    monkeypatch.setattr(Backend, "asarray", entered)
    settings = {**SMALL, "epochs": 2, "validation_fraction": 0.5, "model": "mlp:5"}
    out = NNClassifier(**settings).fit(x, y).predict_proba(x)
    assert nnx.backends.of(out).spec == backend.spec
    assert ("left", 48) in moved, "the labels are known on the host"
    assert [shape for shape in moved if len(shape) == 3 and shape[-1] == 7] == []
    monkeypatch.undo()
    on_host = NNClassifier(**settings).fit(backend.to_numpy(x), NUMBERS).predict_proba(backend.to_numpy(x))
    np.testing.assert_allclose(backend.to_numpy(out), on_host, rtol=1e-4, atol=1e-5)


@pytest.mark.skip_backends("jax", reason="compiles six networks: the others run")
def test_mistakes_at_fit_are_those_of_numpy(backend):
    x, y = backend.asarray(X), backend.asarray(NUMBERS)
    bad = X.copy()
    bad[3, 1] = np.inf
    for given, labels, match in [
        (x, y[:-1], "inconsistent numbers of samples"), (x, None, "requires y to be passed|should be a 1d array|y cannot be None"), (x[:0, ...], y[:0], "0 sample"),
        (x[0, ...], y, "Reshape your data"), (backend.asarray(bad), y, "finite|infinity"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=match):
            NNClassifier(**LEAST).fit(given, labels)
    whole = NNClassifier(**LEAST).fit(backend.asarray((10 * X).astype("int32")), y)
    assert whole.n_features_in_ == 3


def test_the_parameters_of_both_are_the_same():
    assert inspect.signature(NNClassifier.__init__) == inspect.signature(NNRegressor.__init__)
