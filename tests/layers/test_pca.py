"""PCA against scikit-learn's, and what whitening promises."""

import numpy as np
import pytest

import nnx
from nnx.errors import ConfigError


def draw(n, f, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, f)) @ rng.normal(size=(f, f)) + rng.normal(size=f)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize(("n", "k"), [(50, 5), (50, 2), (4, 3)])
def test_scikit_learn_agrees(n, k, whiten, backend):
    decomposition = pytest.importorskip("sklearn.decomposition", reason="scikit-learn is not installed")
    x = draw(n, 5)
    theirs = decomposition.PCA(k, whiten=whiten, svd_solver="full").fit_transform(x)
    layer = nnx.PCA(5, k, whiten=whiten, eps=0.0).initialize(dtype="float64").to(backend).fit(x)
    ours = backend.to_numpy(layer(backend.asarray(x)))
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), rtol=1e-9, atol=1e-9)


def test_directions_do_not_flip():
    layer = nnx.PCA(5, 3).initialize(dtype="float64").fit(draw(40, 5))
    v = layer.directions
    assert (v[np.abs(v).argmax(axis=0), np.arange(3)] > 0).all()


def test_whitened_training_inputs_are_round():
    x = draw(200, 4)
    y = nnx.PCA(4, whiten=True, eps=0.0).initialize(dtype="float64").fit(x)(x)
    np.testing.assert_allclose(np.cov(y.T), np.eye(4), atol=1e-10)


def test_fewer_rows_than_features_leaves_directions_without_variance():
    layer = nnx.PCA(5, 5, whiten=True).initialize(dtype="float64").fit(draw(3, 5))
    np.testing.assert_allclose(layer.variances[2:], 0.0, atol=1e-20)
    np.testing.assert_allclose(layer.directions.T @ layer.directions, np.eye(5), atol=1e-10)
    assert np.isfinite(layer(draw(3, 5))).all()


def test_it_is_saved_with_the_model(tmp_path):
    model = nnx.Sequential(nnx.PCA(5, 2, whiten=True, eps=0.1), nnx.Linear(2, 3)).initialize(seed=1)
    model[0].fit(draw(20, 5))
    nnx.save(model, tmp_path / "model.safetensors")
    x = draw(4, 5).astype("float32")
    assert np.array_equal(nnx.load(tmp_path / "model.safetensors")(x), model(x))


def test_errors():
    with pytest.raises(ConfigError, match="PCA: expected at most 3 components of 3 features, got 4"):
        nnx.PCA(3, 4)
    with pytest.raises(ConfigError, match="PCA: expected eps ≥ 0, got -1"):
        nnx.PCA(3, eps=-1)
