"""Rows that live on a device: gathered, split and standardised there."""

import numpy as np
import pytest

import nnx
from nnx.data import Dataset, resident, split
from nnx.data.resident import Resident
from nnx.errors import ShapeError
from nnx.train.checks import prepare
from nnx.train.files.identity import identity

X = (np.random.default_rng(0).normal(size=(50, 3)) * [1.0, 30.0, 0.0] + [5.0, 0.0, 1e3]).astype(np.float32)
Y = np.arange(50) % 2


def test_it_is_indexed_on_its_device(backend):
    rows = Resident(backend.asarray(X))
    assert (rows.shape, rows.dtype, rows.ndim, rows.size, len(rows)) == ((50, 3), np.dtype("float32"), 2, 150, 50)
    index = np.asarray([7, 0, 7])
    for key, expected in [
        ((index, ...), X[index]),
        (slice(2, 9), X[2:9]),
        ((slice(40, 99), ...), X[40:]),
        (slice(3), X[:3]),
    ]:
        found = rows[key]
        assert nnx.backends.of(found).spec == backend.spec
        np.testing.assert_array_equal(backend.to_numpy(found), expected)
    assert repr(rows.take(index)) == f"Resident(3 rows of (3,) float32 on {backend.spec})"
    np.testing.assert_array_equal(backend.to_numpy(rows.reshape(-1, 3, 1)[:1]), X[:1, :, None])
    with pytest.raises(ShapeError, match="expected a shape of 50 rows"):
        rows.reshape(25, 6)


def test_a_data_set_of_them_is_split_and_identified_as_one_on_the_host(backend):
    def parts(x):
        return split(Dataset(x, Y, classes=("a", "b")), (0.6, 0.4), seed=3)

    for there, here in zip(parts(Resident(backend.asarray(X))), parts(X)):
        np.testing.assert_array_equal(backend.to_numpy(there.x[:]), here.x)
        np.testing.assert_array_equal(there.y, here.y)
        assert identity(there) == identity(here)


@pytest.mark.parametrize("block", [1 << 21, 24])
def test_preparation_is_that_of_the_host(backend, block, monkeypatch):
    monkeypatch.setattr(resident, "BLOCK", block)
    for make in (nnx.Standardize, nnx.MinMaxScale, nnx.PCA):
        there, here = (make(3).initialize(0).to(backend).fit(x) for x in (Resident(backend.asarray(X)), X))
        for path, value in here.buffers().items():
            np.testing.assert_allclose(
                backend.to_numpy(there.buffers()[path]), backend.to_numpy(value), rtol=1e-5, atol=1e-4, err_msg=path
            )
    assert float(backend.to_numpy(nnx.Standardize(3).to(backend).fit(Resident(backend.asarray(X))).scale)[2]) == 1.0


def test_preparation_behind_a_change_of_shape(backend):
    def fitted(x):
        model = nnx.Sequential(nnx.Reshape((3, 1)), nnx.Standardize(1), nnx.Flatten(), nnx.Linear(3, 2)).to(backend)
        prepare(model, Dataset(x, Y, classes=("a", "b")), 0)
        return backend.to_numpy(model.layers[1].mean)

    np.testing.assert_allclose(fitted(Resident(backend.asarray(X))), fitted(X), rtol=1e-6)
