"""Decision regions: the border of a linear model is its line; with more features the plane is that of the components."""

import numpy as np
import pytest
from support.clouds import blobs

import nnx
from nnx import plot
from nnx.errors import ConfigError, DataError
from nnx.plot import style


def linear(weights, bias, backend="numpy"):
    """A model with these weights (in, out)."""
    weights, bias = np.asarray(weights, dtype="float32"), np.asarray(bias, dtype="float32")
    model = nnx.Sequential(nnx.Linear(*weights.shape)).initialize(0)
    return model.load({"layers.0.weight": weights, "layers.0.bias": bias}).to(backend)


def test_the_border_of_a_linear_model_is_a_line(backend):
    draws = np.random.default_rng(0)
    data = nnx.data.load((draws.normal(size=(60, 2)).astype("float32"), np.arange(60) % 2))
    found = plot.boundary(linear([[2.0, -1.0], [0.5, 1.0]], [0.25, 0.0], backend), data, points=41)
    x, y = np.meshgrid(found.x, found.y)
    margin = 3 * x - 0.5 * y + 0.25  # the first score less the second
    clear = np.abs(margin) > 1e-4
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(found.values[clear], (margin < 0).astype(int)[clear])
    np.testing.assert_allclose(found.points, data.x, rtol=1e-12)
    assert found.axes == ("feature 1", "feature 2")
    assert set(found.columns()["class"]) == {"0", "1"}
    assert found.x[0] < data.x[:, 0].min() < data.x[:, 0].max() < found.x[-1]


def test_more_features_are_seen_in_the_plane_of_their_components(backend):
    data = blobs(n=120)
    scaled = nnx.data.load((data.x * np.asarray([1, 100, 1e-3, 1], dtype="float32") + 7, data.y))
    z = (scaled.x - scaled.x.mean(axis=0, dtype="float64")) / scaled.x.std(axis=0, dtype="float64")
    values, vectors = np.linalg.eigh(z.T @ z)
    found = plot.boundary(linear(np.eye(4)[:, :3], np.zeros(3), backend), scaled, points=9)
    for i in (0, 1):
        v = vectors[:, -1 - i]
        v = v * np.sign(v[np.abs(v).argmax()])
        np.testing.assert_allclose(found.points[:, i], z @ v, atol=1e-5)
        np.testing.assert_allclose(found.directions[i], v * scaled.x.std(axis=0, dtype="float64"), rtol=1e-5)
        share = f"{100 * values[-1 - i] / values.sum():.0f} %"
        assert found.axes[i] == f"principal component {i + 1} ({share} of the variance)"
    inputs = found.origin + found.x[3] * found.directions[0] + found.y[5] * found.directions[1]
    assert found.values[5, 3] == np.argmax(inputs[:3].astype("float32")), (
        "the model is asked in the units of its inputs"
    )


def test_real_targets_give_the_first_output_and_images_keep_their_shape(backend):
    x = np.random.default_rng(0).normal(size=(30, 2)).astype("float32")
    data = nnx.data.load((x, x[:, :1] * 2), task="regression")
    found = plot.boundary(linear([[2.0], [0.0]], [1.0], backend), data, points=7)
    np.testing.assert_allclose(found.values, np.broadcast_to(2 * found.x + 1, (7, 7)), rtol=1e-5)
    assert "value" in found.columns()
    images = nnx.data.load((x.reshape(-1, 1, 2, 1), np.arange(30) % 2))
    model = nnx.Sequential(nnx.Flatten(), nnx.Linear(2, 2)).initialize(0).to(backend)
    assert plot.boundary(model, images, points=3).values.shape == (3, 3)


def test_constant_features_and_few_rows_have_a_plane():
    x = np.asarray([[1.0, 5.0, 0.0, 2.0], [2.0, 5.0, 0.0, 1.0]], dtype="float32")
    data = nnx.data.load((x, np.asarray([0, 1])))
    found = plot.boundary(linear(np.eye(4)[:, :2], np.zeros(2)), data, points=3)
    assert np.isfinite(found.points).all()
    assert found.values.shape == (3, 3)


def test_few_rows_are_shown_of_many():
    assert len(plot.boundary(linear(np.eye(4)[:, :3], np.zeros(3)), blobs(90), points=2, rows=10).points) == 10


def test_what_cannot_be_drawn_is_refused():
    one = nnx.data.load((np.zeros((4, 1), dtype="float32"), np.asarray([0, 1, 0, 1])))
    with pytest.raises(DataError, match="two features or more, got one"):
        plot.boundary(linear([[1.0, 2.0]], [0.0, 0.0]), one)
    with pytest.raises(ConfigError, match="2 points or more"):
        plot.boundary(linear(np.eye(4)[:, :3], np.zeros(3)), blobs(), points=1)


@pytest.mark.parametrize("picture", [plot.boundary, plot.confusion])
def test_a_row_that_is_taken_for_no_class_is_told(picture):
    data = nnx.data.load((np.eye(2, dtype="float32"), np.asarray([0, 1])))
    assert picture(linear(np.eye(2, 3), [0.0, 0.0, -9.0]), data).classes == ("0", "1")
    with pytest.raises(DataError, match="one output for each of the 2 classes, got 3 outputs, of which number 2"):
        picture(linear(np.eye(2, 3), [0.0, 0.0, 9.0]), data)


def test_of_several_real_targets_the_first_is_shown_and_named(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs matplotlib (extra plot)")
    figures, save = [], style.save
    monkeypatch.setattr(style, "save", lambda figure, path: figures.append(figure) or save(figure, path))
    x = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")
    for k in (1, 3):
        data = nnx.data.load((x, x @ np.ones((2, k), dtype="float32") * 1e5))
        plot.boundary(nnx.Sequential(nnx.Linear(2, k)).initialize(0), data, tmp_path / "b.png", points=5)
    names = [figure.axes[1].get_ylabel() for figure in figures]
    assert names == ["target (background: the model's)", "target, first of 3 (background: the model's)"]
    assert all(float(tick).is_integer() and tick % 1e4 == 0 for tick in figures[0].axes[1].get_yticks())
