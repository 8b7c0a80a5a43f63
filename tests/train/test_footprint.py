"""What ``footprint`` estimates is what a training takes: measured bytes of whole trainings, the sum of its parts, and what it refuses."""

import gc
import math
import tracemalloc

import numpy as np
import pytest

import nnx
from nnx import backends, models, tree
from nnx.backends.fast import crew
from nnx.errors import ConfigError, ShapeError
from nnx.train import footprint
from nnx.train.memory import nbytes, spoken

WITHIN = 0.25
"""The share by which an estimate may miss the measured peak."""

MODELS = {"mlp": ("mlp:512,256", (64,)), "cnn": ("cnn:8,16", (16, 16, 3)), "transformer": ("transformer:32,1", (16, 8))}


def made(name):
    text, shape = MODELS[name]
    return models.build(text, shape, 10, standardize=False).initialize(0), shape


def peak(name, train, rows, **settings):
    """The most that a training takes, beside its model and its data: memory as it is asked for from NumPy and Python."""
    model = made(name)[0]
    gc.collect()
    tracemalloc.start()
    nnx.fit(model, train, batch_size=rows, **settings)
    measured = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return measured


ADAM, LBFGS = nnx.optim.Adam(1e-3), nnx.optim.LBFGS(history=3, tolerance=1e-12)
CASES = [
    ("mlp", ADAM, None), ("mlp", ADAM, False), ("cnn", ADAM, None), ("transformer", ADAM, None), ("mlp", LBFGS, False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "optimizer", "compile"), CASES)
def test_the_peak_is_what_is_measured(monkeypatch, name, optimizer, compile):
    monkeypatch.setattr(crew, "size", lambda: 1)  # every further thread has a block of its own, which is not counted
    rows, full = 128, optimizer is LBFGS
    model, shape = made(name)
    x = np.random.default_rng(0).normal(size=(rows * (1 if full else 3), *shape)).astype(np.float32)
    train = nnx.data.load((x, np.arange(len(x)) % 10), task="classification")
    how = {"optimizer": optimizer, "compile": compile, "epochs": 5 if full else 1}
    estimated = footprint(model, (rows, *shape), optimizer=optimizer, compile=compile)
    peak(name, train.take(range(48)), 16, **how)  # what is loaded late is there
    measured = peak(name, train, rows, **how) + estimated.parameters + estimated.buffers
    assert math.isclose(estimated.peak, measured, rel_tol=WITHIN), (spoken(estimated.peak), spoken(measured))


@pytest.mark.skip_backends("jax", reason="compiles each operation, six seconds: its parts are counted alike everywhere")
def test_its_parts_are_those_of_a_run(backend):
    model = nnx.Sequential(nnx.Linear(64, 12), nnx.BatchNorm(12), nnx.Linear(12, 8)).initialize(0).to(backend)
    model.layers[0].freeze()
    x = np.zeros((8, 64), dtype=np.float32)
    run = nnx.fit(model, nnx.data.load((x, np.arange(8)), task="classification"), epochs=1, batch_size=4, compile=False)
    found = footprint(model, (4, 64), compile=False)
    frozen = sum(map(nbytes, model.parameters(frozen=True).values()))
    assert found.backend == backends.of(next(iter(model.state().values()))).spec == backend.spec
    assert found.gradients == sum(map(nbytes, model.parameters().values())) == found.parameters - frozen
    assert frozen > 0
    assert found.buffers == sum(map(nbytes, model.buffers().values()))
    assert found.state == sum(nbytes(leaf) for leaf in tree.leaves(run.state) if hasattr(leaf, "shape"))
    assert found.peak == sum(
        [found.parameters, found.buffers, found.gradients, found.state, found.activations, found.copies]
    )
    assert footprint(model, (8, 64)).activations > found.activations > 0


def test_the_state_of_lbfgs_is_that_of_a_full_memory():
    model = nnx.Sequential(nnx.Linear(3, 2), nnx.Tanh(), nnx.Linear(2, 1)).initialize(0)
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    train = nnx.data.load((x, np.sin(x[:, :1])), task="regression")
    optimizer = nnx.optim.LBFGS(history=3, tolerance=1e-9)
    found = footprint(model, (16, 3), optimizer=optimizer)
    run = nnx.fit(model, train, epochs=6, optimizer=optimizer)
    assert found.state == sum(nbytes(leaf) for leaf in tree.leaves(run.state) if hasattr(leaf, "shape"))
    assert found.optimizer == "lbfgs"


def test_it_is_told_in_lines():
    chained = nnx.optim.chain(nnx.optim.clip_by_global_norm(1.0), nnx.optim.AdamW(1e-3))
    found = footprint(made("mlp")[0], (1, 64), optimizer=chained)
    lines = str(found).splitlines()
    assert lines[0] == "memory of a training in batches of 1 row on numpy"
    assert [line.split("  ")[0] for line in lines[2:8]] == [
        "parameters", "buffers", "gradients", "state of adamw", "activations", "copies",
    ]  # fmt: skip
    assert lines[-1].startswith("peak")
    assert lines[-1].endswith(f"{found.peak:,} bytes, {found.peak / 2**20:.1f} MiB")
    assert len({len(line) for line in lines[1:-1]}) == 1


def test_what_it_refuses():
    model = made("mlp")[0]
    with pytest.raises(ConfigError, match=r"footprint: expected the shape of a batch, rows first, got 64\."):
        footprint(model, 64)
    with pytest.raises(ConfigError, match=r"expected an optimizer, got 'adam'\. Write optimizer=nnx"):
        footprint(model, (8, 64), optimizer="adam")
    with pytest.raises(ShapeError, match=r"expected x of shape \(…, 64\), got \(1, 5\)"):
        footprint(model, (8, 5))
