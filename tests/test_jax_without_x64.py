"""JAX as it comes: fully optimised, and without x64 there is no float64 and no int64. Other tests switch x64 on."""

import json

import pytest
from support.process import run_python

pytest.importorskip("jax", reason="jax is not installed")

AS_IT_COMES = {"JAX_ENABLE_X64": "0", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}

STEPS = """
import json, warnings
warnings.simplefilter("error")
import nnx

def loss_fn(model, x, y):
    return nnx.losses.cross_entropy(model(x), y)

def losses(spec):
    backend = nnx.backends.get(spec)
    data = nnx.data.load("digits")
    x, y = backend.asarray(data.x[:64] / 16), backend.asarray(data.y[:64])
    model = nnx.Sequential(
        nnx.Linear(64, 16, bias=False), nnx.BatchNorm(16), nnx.ReLU(), nnx.Dropout(0.2), nnx.Linear(16, 10)
    )
    model.initialize(seed=0)
    model.to(backend)
    optimizer, params = nnx.optim.Adam(1e-2), model.parameters()
    state, seen = optimizer.init(params), []
    for step in range(5):
        with nnx.training(seed=0, step=step):
            loss, grads = nnx.value_and_grad(loss_fn)(model, x, y)
        params, state = optimizer.update(grads, state, params)
        model.load(params)
        seen.append(float(backend.to_numpy(loss)))
    return seen, sorted({str(array.dtype) for array in model.state().values()})

print(json.dumps([losses("numpy"), losses("jax")]))
"""

BITS = """
import json, warnings
warnings.simplefilter("error")
import numpy as np
import nnx
def draws(spec):
    backend = nnx.backends.get(spec)
    words = backend.to_numpy(backend.random_words((1, 2), 9))
    index = backend.asarray(np.asarray([0, 2, 0, 1], dtype=np.int32))
    rows = backend.asarray(np.arange(8, dtype=np.float32).reshape(4, 2))
    return [np.ascontiguousarray(words).view(np.uint32).tolist(), backend.to_numpy(backend.scatter_add(backend.xp, index, rows, 3)).tolist()]
print(json.dumps([draws("numpy"), draws("jax")]))
"""


def test_five_steps_of_training_are_those_of_numpy(tmp_path):
    (expected, numpy_dtypes), (got, jax_dtypes) = json.loads(run_python(STEPS, tmp_path, **AS_IT_COMES))
    assert got == pytest.approx(expected, rel=1e-5)
    assert got != [got[0]] * 5
    assert jax_dtypes == numpy_dtypes == ["float32"]


def test_random_bits_and_scattered_sums_are_those_of_numpy(tmp_path):
    expected, got = json.loads(run_python(BITS, tmp_path, **AS_IT_COMES))
    assert got == expected


def test_x64_is_off_there_and_on_here(tmp_path):
    ask = "import jax; print(jax.numpy.ones(1).dtype)"
    assert run_python(ask, tmp_path, **AS_IT_COMES).strip() == "float32"
    assert run_python(ask, tmp_path).strip() == "float64"
