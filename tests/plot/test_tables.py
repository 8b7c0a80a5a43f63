"""The confusion matrix, the histograms of the weights, and numbers as CSV."""

import csv

import numpy as np
import pytest
from support.clouds import blobs, network

import nnx
from nnx import plot
from nnx.errors import ConfigError, DataError, ShapeError, StateError


def host(array):
    return nnx.backends.of(array).to_numpy(array)


def say(backend, *labels):
    """A model whose class is the place of its largest input, and rows for which that is ``labels``."""
    model = nnx.Sequential(nnx.Linear(3, 3, bias=False)).initialize(0)
    return model.load({"layers.0.weight": np.eye(3, dtype="float32")}).to(backend), np.eye(3, dtype="float32")[
        list(labels)
    ]


def test_the_confusion_of_a_known_model(backend):
    model, x = say(backend, 0, 0, 1, 2, 2, 2, 2)
    data = nnx.data.load((x, np.asarray(["cat", "cat", "cat", "dog", "dog", "emu", "emu"])))
    found = plot.confusion(model, data)
    assert found.classes == ("cat", "dog", "emu")
    assert found.counts.tolist() == [[2, 1, 0], [0, 0, 2], [0, 0, 2]]
    np.testing.assert_allclose(found.shares, [[2 / 3, 1 / 3, 0], [0, 0, 1], [0, 0, 1]])
    assert found.accuracy == 4 / 7
    rows = list(zip(*found.columns().values()))
    assert rows[1] == ("cat", "dog", 1, 1 / 3)
    assert rows[5] == ("dog", "emu", 2, 1.0)


def test_a_class_without_rows_has_no_share():
    model, x = say("numpy", 0, 1)
    data = nnx.data.Dataset(x, np.asarray([0, 1]), classes=("a", "b", "c"))
    assert plot.confusion(model, data).shares[2].tolist() == [0, 0, 0]
    assert plot.confusion(model, data.take([0])).shares.sum() == 1  # of one row


def test_the_confusion_agrees_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed (extra sklearn)")
    model, data = network(), blobs()
    nnx.fit(model, data, epochs=1)
    said = np.argmax(nnx.predict(model, data.x), axis=1)
    np.testing.assert_array_equal(plot.confusion(model, data).counts, metrics.confusion_matrix(data.y, said))


def test_real_targets_have_no_confusion():
    with pytest.raises(DataError, match="rows with classes, got regression data"):
        plot.confusion(network(outputs=1), blobs(task="regression"))


# weights --------------------------------------------------------------------------------------------------------------
def test_histograms_count_every_weight_once(backend):
    model = network().initialize(0).to(backend)
    found = plot.weights(model)
    for i, (path, w) in enumerate((p, host(w)) for p, w in model.parameters().items()):
        assert found.paths[i] == path
        assert found.mean[i] == pytest.approx(w.mean(), abs=1e-7)
        assert found.std[i] == pytest.approx(w.std(), abs=1e-7)
        assert found.counts[i].sum() == w.size
        low, high = found.edges[i][:-1], found.edges[i][1:]
        inside = [np.sum((w >= a) & (w < b)) for a, b in zip(low[:-1], high[:-1])]
        np.testing.assert_allclose(found.counts[i][:-1], inside, atol=1)  # a weight on an edge, in another precision
    columns = found.columns()
    assert len({len(column) for column in columns.values()}) == 1
    assert sum(columns["count"]) == sum(c.sum() for c in found.counts)


def test_the_first_layer_as_images(backend):
    model = nnx.Sequential(nnx.Flatten(), nnx.Linear(12, 5), nnx.ReLU(), nnx.Linear(5, 2)).initialize(0).to(backend)
    w = host(model.layers[1].weight)
    grey = plot.weights(model, image_shape=(3, 4, 1)).images
    colour = plot.weights(model, image_shape=(2, 2, 3)).images
    assert (grey.shape, colour.shape) == ((5, 3, 4), (5, 2, 2))
    np.testing.assert_allclose(grey[2, 1, 3], w[1 * 4 + 3, 2], rtol=1e-6)
    np.testing.assert_allclose(colour[4, 1, 0], w[6:9, 4].mean(), rtol=1e-5)
    with pytest.raises(ShapeError, match=r"a first weight of shape \(64, units\).*got layers.1.weight of \(12, 5\)"):
        plot.weights(model, image_shape=(8, 8, 1))
    with pytest.raises(ShapeError, match=r"a first weight of shape \(4, units\) .*got none"):
        plot.weights(nnx.BatchNorm(4), image_shape=(2, 2, 1))


def test_weights_that_are_not_finite_or_not_there():
    model = nnx.Sequential(nnx.Linear(2, 2)).initialize(0)
    model.load(
        {"layers.0.weight": np.full((2, 2), np.nan, dtype="float32"), "layers.0.bias": np.zeros(2, dtype="float32")}
    )
    assert plot.weights(model).counts[0].sum() == 0
    with pytest.raises(StateError, match="a model with trainable weights, got none"):
        plot.weights(nnx.ReLU())


# files ----------------------------------------------------------------------------------------------------------------
def test_numbers_read_back_exactly(tmp_path):
    found = plot.contour(lambda x, y: np.exp(x) / 3 + y, points=4)
    path = found.save(tmp_path / "f.csv")
    with open(path, newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["x", "y", "f(x, y)"]
    assert np.asarray(rows, dtype=float)[:, 2].tolist() == found.values.reshape(-1).tolist()
    assert path.read_bytes() == found.save(tmp_path / "again.csv").read_bytes()


def test_names_with_commas_are_quoted(tmp_path):
    model, x = say("numpy", 0, 1, 2)
    data = nnx.data.Dataset(x, np.asarray([0, 1, 2]), classes=('a, "b"', "c\nd", "e"))
    with open(plot.confusion(model, data).save(tmp_path / "c.csv"), newline="") as file:
        assert [row["true"] for row in csv.DictReader(file)][::3] == ['a, "b"', "c\nd", "e"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    found = plot.contour(lambda x, y: x + y, points=2)
    with pytest.raises(ConfigError, match=r"cannot write .*none/f.csv: No such file"):
        found.save(tmp_path / "none" / "f.csv")
    with pytest.raises(ConfigError, match=r"a name that ends in .csv, got .*f.txt.*Name it f.csv"):
        found.save(tmp_path / "f.txt")
