"""Bit for bit the same on every backend: initial weights, batches, masks."""

import numpy as np
import pytest
from agreement.runs import batch, digits, model_on, rows_of, to_host
from support.compare import assert_agrees

import nnx
from nnx import backends, init

INITIALIZERS = {
    "constant": init.constant(0.1),
    "normal": init.normal(),
    "truncated": init.truncated_normal(),
    "uniform": init.uniform(),
    "glorot": init.glorot_uniform(),
    "orthogonal": init.orthogonal(),
}
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@DTYPES
def test_initial_weights(dtype, backend, others):
    ours = model_on(backend, dtype).state()
    for other in others:
        for path, array in model_on(other, dtype).state().items():
            assert_agrees(ours[path], to_host(array), exact=True, backend=backend, what=f"{path}, {other.spec}: ")


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initialiser(name, backend, others):
    def draws(backend):
        layer = nnx.Linear(7, 5, init=INITIALIZERS[name]).to(backend).initialize(seed=3)
        assert backends.of(layer.weight) is backend
        return to_host(layer.weight)

    for other in others:
        assert np.array_equal(draws(backend), draws(other))


@DTYPES
def test_batches(dtype, backend, others):
    n = len(digits())
    assert sorted(np.concatenate([rows_of(step) for step in range(-(-n // 64))]).tolist()) == list(range(n))
    for step in (0, 19, 20, 55):
        ours = batch(backend, dtype, step)
        for other in others:
            assert_agrees(ours, to_host(batch(other, dtype, step)), exact=True, backend=backend)


def test_dropout_masks(backend, others):
    def masks(backend, step):
        found = {}
        model = model_on(backend, "float32")

        def note(module, args, out):
            if isinstance(module, nnx.Dropout):
                found["mask"] = to_host(out)[to_host(args[0]) != 0] == 0

        with nnx.layers.observing(note), nnx.training(seed=0, step=step, write_back=False):
            model(batch(backend, "float32", step)[0])
        return found["mask"]

    for other in others:
        first, second = masks(backend, 0), masks(backend, 1)
        assert np.array_equal(first, masks(other, 0))
        assert np.array_equal(second, masks(other, 1))
        assert first.shape != second.shape or not np.array_equal(first, second)
        assert 0.15 < first.mean() < 0.25
