"""Memory that runs out is told with need, room and what fits; nothing is lost; and the count is right."""

import json
import math
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support.trust import Case, data, sha, trained

import nnx
from nnx import backends
from nnx.errors import OutOfMemoryError
from nnx.train.course import Course
from nnx.train.files.checkpoint import listed
from nnx.train.memory import memory_of, spoken
from nnx.train.training import Training
from nnx.train.trouble.exhausted import frugally

CHILD = Path(__file__).parent.parent / "support" / "limited.py"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system tells no sizes of processes")
def test_where_the_address_space_ends_it_says_what_fits_and_that_fits(tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", str(CHILD), "96", "numpy", "16384", str(tmp_path)], capture_output=True, text=True, timeout=120,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert not said["done"]
    expected = (
        r"fit: out of memory in step 1 \(batch 1 of epoch 1, 16384 rows\), expected a need of at most \d+\.\d MiB, which are free, "
        r"got about 2\d\d\.\d MiB\. The state before it is saved in .*checkpoints\. Use batch_size=(\d+), which needs about \d+\.\d MiB\."
    )
    found = re.fullmatch(expected, said["message"])
    assert found, said["message"]
    assert said["again"] == int(found[1]) in (1024, 2048, 4096)
    assert done.stderr == ""
    assert len(listed(tmp_path / "checkpoints")) == 1


class Exhausts(nnx.optim.SGD):
    """Its memory runs out at one update: after the gradient, and after batch norm has moved."""

    at = 8

    def update(self, grads, state, params):
        if state["step"] + 1 == self.at:
            self.raised()
        return super().update(grads, state, params)

    def raised(self):
        raise MemoryError


def test_the_state_before_the_step_is_saved_and_goes_on_with_the_same_bits(tmp_path):
    case = Case(Exhausts(0.05), "both")
    with pytest.raises(
        OutOfMemoryError, match=r"in step 8 \(batch 2 of epoch 3, 16 rows\).*The state before it is saved"
    ):
        trained(case, "numpy", directory=tmp_path)
    usual = case._replace(optimizer=nnx.optim.SGD(0.05))
    resumed = nnx.resume(tmp_path, *data(), optimizer=usual.optimizer)
    assert sha(resumed.model) == sha(trained(usual, "numpy").model)


def test_without_a_directory_and_without_a_count_it_says_what_it_can(monkeypatch):
    monkeypatch.setattr("nnx.train.trouble.exhausted.memory_of", lambda *args, **kwargs: 1 / 0)
    expected = (
        r"16 rows\).* The model has the weights of the step before\. Use batch_size=4, or a smaller model, or free"
    )
    with pytest.raises(OutOfMemoryError, match=expected):
        trained(Case(Exhausts(0.05)), "numpy")


def test_other_errors_are_left_as_they_are():
    class Fails(Exhausts):
        def raised(self):
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        trained(Case(Fails(0.05)), "numpy")


def test_each_library_knows_its_own_words(backend):
    errors = {"numpy": [], "strict": [], "cupy": [], "torch": [], "jax": []}
    if backend.name == "cupy":
        import cupy

        errors["cupy"] = [cupy.cuda.memory.OutOfMemoryError(8, 0)]
    if backend.name == "torch":
        import torch

        errors["torch"] = [
            torch.OutOfMemoryError("CUDA out of memory."),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        ]
    if backend.name == "jax":
        import jax

        errors["jax"] = [jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.")]
    assert all(map(backend.exhausted, [MemoryError(), *errors[backend.name]]))
    assert not backend.exhausted(RuntimeError("something else"))
    room = backend.room()
    assert room is None or room > 0


def test_validation_takes_fewer_rows_where_memory_runs_out():
    asked = []

    def judge(rows):
        asked.append(rows)
        if rows > 16:
            raise MemoryError
        return {"loss": 1.0}

    problem = type("Problem", (), {"device": backends.get("numpy")})
    assert frugally(problem, judge) == {"loss": 1.0}
    assert asked == [1024, 256, 64, 16]
    with pytest.raises(ZeroDivisionError, match="zero"):
        frugally(problem, lambda rows: 1 / 0)


# the count ------------------------------------------------------------------------------------------------------------
MODELS = {
    "dense": (lambda: nnx.Sequential(nnx.Linear(64, 256), nnx.BatchNorm(256), nnx.ReLU(), nnx.Dropout(0.2), nnx.Linear(256, 10)), (64,)),
    "convolutional": (
        lambda: nnx.Sequential(nnx.Conv2d(3, 8, 3), nnx.ReLU(), nnx.MaxPool2d(2), nnx.Flatten(), nnx.Linear(8 * 7 * 7, 10)), (16, 16, 3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("rows", [128, 1024])
@pytest.mark.parametrize("name", MODELS)
def test_the_count_of_a_step_is_what_is_measured(name, rows):
    make, shape = MODELS[name]
    x = np.random.default_rng(0).normal(size=(rows, *shape)).astype(np.float32)
    train = nnx.data.load((x, np.arange(rows) % 10), task="classification")
    course = Course("cross_entropy", nnx.optim.Adam(1e-3), 1, rows, None, 1, 0, False)
    training = Training(make().initialize(0), train, None, course, [], None)
    training.begin()
    counted = memory_of(training.problem, training.run.state, recorded=False)
    (batch,) = training.way.rest(0)
    training.way.take(training.run, batch)  # what is loaded late is there
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    training.way.take(training.run, batch)
    measured = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert math.isclose(counted.step(rows), measured, rel_tol=0.3), (spoken(counted.step(rows)), spoken(measured))
    assert counted.parameters == sum(4 * w.size for w in training.model.parameters().values())
    assert counted.fitting(counted.step(64), rows) == 64
    assert counted.fitting(10, rows) == 0
