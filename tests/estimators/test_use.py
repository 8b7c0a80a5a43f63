"""The estimators among scikit-learn's other parts, with data frames, and beside nnx.fit itself."""

import sys

import numpy as np
import pytest
from support.process import run_python

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

import nnx
from nnx.errors import ConfigError, DataError
from nnx.estimators import NNClassifier, NNRegressor

DIGITS = nnx.data.load("digits").take(np.arange(300))
SMALL = {"model": "mlp:16", "epochs": 15, "learning_rate": 0.02, "batch_size": 32, "random_state": 0}


def test_in_a_pipeline_and_a_search():
    pipeline = make_pipeline(PCA(16, random_state=0), NNClassifier(**SMALL))
    grid = {"nnclassifier__model": ["linear", "mlp:16"], "nnclassifier__l2": [0.0, 10.0]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(DIGITS.x, DIGITS.y)
    assert search.best_params_["nnclassifier__l2"] == 0.0
    assert search.best_score_ > 0.85
    assert search.best_estimator_[-1].n_features_in_ == 16
    assert search.predict(DIGITS.x[:5]).shape == (5,)


def test_a_clone_and_a_cross_validation():
    regressor = NNRegressor(optimizer="lbfgs", epochs=60, model="linear", random_state=0)
    y = DIGITS.x[:, 10] - 2 * DIGITS.x[:, 20] + 3
    assert cross_val_score(regressor, DIGITS.x, y, cv=2).min() > 0.95
    assert clone(regressor).get_params() == regressor.get_params()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        regressor.predict(DIGITS.x)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library):
    frames = pytest.importorskip(library)
    columns = {"a": DIGITS.x[:60, 20].astype("float64"), "b": DIGITS.x[:60, 21].astype("float64")}
    names = np.asarray(["no", "yes"])[(columns["a"] > 8).astype(int)]
    frame, y = frames.DataFrame(columns), frames.Series(names)
    fitted = NNClassifier(**SMALL).fit(frame, y)
    assert fitted.feature_names_in_.tolist() == ["a", "b"]
    on_arrays = NNClassifier(**SMALL).fit(np.stack(list(columns.values()), axis=1), names)
    np.testing.assert_array_equal(
        fitted.predict_proba(frame), on_arrays.predict_proba(np.stack([*columns.values()], axis=1))
    )
    assert set(fitted.predict(frame)) <= {"no", "yes"}
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.predict(frame[["b", "a"]])


def test_the_bits_are_those_of_fit():
    classifier = NNClassifier(**SMALL).fit(DIGITS.x, DIGITS.y)
    model = nnx.models.build("mlp:16", (64,), 10)
    run = nnx.fit(
        model.initialize(0, dtype=DIGITS.x.dtype.name), DIGITS, optimizer=nnx.optim.Adam(0.02), epochs=15, batch_size=32
    )
    for path, value in model.state().items():
        np.testing.assert_array_equal(classifier.model_.state()[path], value)
    assert classifier.loss_curve_ == run.curve("loss")
    assert classifier.n_iter_ == len(classifier.history_) == 15


def test_no_row_is_held_out_unless_asked():
    class Count(nnx.train.Callback):
        def on_start(self, run):
            self.steps, self.validated = run.steps_per_epoch, run.validated

    count = Count()
    classifier = NNClassifier(**SMALL, callbacks=[count]).fit(DIGITS.x, DIGITS.y)
    assert (count.steps, count.validated) == (10, False)
    assert "val_loss" not in classifier.history_[0]
    classifier.set_params(validation_fraction=0.5, patience=2, epochs=200).fit(DIGITS.x, DIGITS.y)
    assert (count.steps, count.validated) == (5, True)
    losses = [record["val_loss"] for record in classifier.history_]
    assert classifier.n_iter_ < 200
    assert int(np.argmin(losses)) == len(losses) - 3


def test_hinge_gives_no_probabilities():
    classifier = NNClassifier(**SMALL, loss="hinge").fit(DIGITS.x, DIGITS.y)
    assert not hasattr(classifier, "predict_proba")
    assert classifier.decision_function(DIGITS.x).shape == (300, 10)
    assert classifier.score(DIGITS.x, DIGITS.y) > 0.9


def test_a_module_or_a_function_as_the_model():
    def model(inputs, outputs):
        return nnx.Sequential(nnx.Standardize(*inputs), nnx.Linear(*inputs, 12), nnx.Tanh(), nnx.Linear(12, outputs))

    settings = {**SMALL, "epochs": 2}
    del settings["model"]
    by_function = NNClassifier(model, **settings).fit(DIGITS.x, DIGITS.y)
    given = model((64,), 10)
    settings["random_state"] = 7
    by_function.set_params(random_state=7).fit(DIGITS.x, DIGITS.y)
    by_module = NNClassifier(given, **settings).fit(DIGITS.x, DIGITS.y)
    np.testing.assert_array_equal(by_module.predict_proba(DIGITS.x), by_function.predict_proba(DIGITS.x))
    assert not given.initialized
    begun = given.copy().initialize(3)
    still = NNClassifier(begun, optimizer=nnx.optim.SGD(1e-12), epochs=1).fit(DIGITS.x, DIGITS.y).model_
    np.testing.assert_allclose(still.layers[1].weight, begun.layers[1].weight, rtol=1e-6)


def test_images():
    classifier = NNClassifier("cnn:4", image_shape=(8, 8, 1), epochs=1, dtype="float32").fit(DIGITS.x, DIGITS.y)
    assert classifier.predict_proba(DIGITS.x.astype("float64")).dtype == np.float32


def cut(run, record):
    raise KeyboardInterrupt


def test_control_c_keeps_what_was_learnt_and_ends_the_search_too():
    classifier = NNClassifier(**SMALL, callbacks=[cut])
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(DIGITS.x, DIGITS.y)
    assert classifier.n_iter_ == 1
    assert classifier.predict(DIGITS.x[:2]).shape == (2,)


TERMINATED = """
import os, signal, nnx
data = nnx.data.load("digits")
end = lambda run, record: os.kill(os.getpid(), signal.SIGTERM)
try:
    nnx.estimators.NNClassifier("linear", callbacks=[end]).fit(data.x, data.y)
except SystemExit as ended:
    print(ended.code)
"""


def test_sigterm_ends_the_program(tmp_path):
    assert run_python(TERMINATED, tmp_path) == "143\n"


def test_verbose(capsys):
    NNRegressor(**{**SMALL, "epochs": 2}, verbose=1).fit(DIGITS.x, DIGITS.x[:, 20])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("NNRegressor epoch 2/2 loss ")


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"model": "mpl:3"}, ConfigError, "Did you mean 'mlp'"),
        ({"optimizer": "adm"}, ConfigError, "Did you mean"),
        ({"validation_fraction": 1.0}, ConfigError, "expected 0 ≤ validation_fraction < 1, got 1.0"),
        ({"epochs": 0}, ConfigError, "epochs a whole number ≥ 1"),
    ],
)
def test_mistakes(settings, error, match):
    with pytest.raises(error, match=match):
        NNClassifier(**{**SMALL, **settings}).fit(DIGITS.x, DIGITS.y)


def test_one_class():
    with pytest.raises(DataError, match="at least two classes, got one class, 'a'"):
        NNClassifier(**SMALL).fit(DIGITS.x, ["a"] * 300)


def test_scikit_learn_is_loaded_when_asked_for_and_missed_by_name(monkeypatch, tmp_path):
    seen = "import sys, nnx.estimators; print('sklearn' in sys.modules)"
    assert run_python(seen, tmp_path) == "False\n"
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(nnx.estimators.EstimatorsUnavailable, match=r'not installed. Run: .*"nnx-array\[sklearn\]"'):
        nnx.estimators.NNClassifier  # noqa: B018
    with pytest.raises(AttributeError, match="no 'NNCluster'"):
        nnx.estimators.NNCluster  # noqa: B018
