"""The same checks on every backend: healthy programs pass, faults are caught, one transfer for the figures of a check."""

import numpy as np
import pytest
from cases.faults import FAULTS
from cases.programs import deep, deeper, regression

import nnx

CHOSEN = (
    "inputs not normalised",
    "init constant",
    "softmax twice, or over one output",
    "rows mixed",
    "wrong custom derivative",
)

COMPILES = pytest.mark.skip_backends(
    "jax", reason="compiles every program anew; the checks run in a short training and on a model that is there"
)


@COMPILES
@pytest.mark.parametrize("make", [deeper, regression])
def test_healthy_programs_pass(make, backend):
    report = make().examine("quick", backend=backend)
    assert [(verdict.id, verdict.measured) for verdict in report.bad] == []


@COMPILES
@pytest.mark.parametrize("fault", [f for f in FAULTS if f.name in CHOSEN], ids=lambda fault: fault.name)
def test_faults_are_caught(fault, backend):
    program = fault.programs()[-1][1]
    report = program.examine("quick", backend=backend)
    assert {verdict.id for verdict in report.bad} & set(fault.ids)


def small(backend):
    x = nnx.random.normal(nnx.random.key(0, "small x"), (96, 6), dtype="float32")
    y = (x[:, :1] + x[:, 1:2] * x[:, 2:3] > 0).astype(np.int64)[:, 0]
    model = deep(6, 16, 16, 2).initialize(0)
    only = ("T3", "T4", "T6", "T7", "T10", "T11", "T12")  # one training of 200 steps
    return nnx.doctor(model, (x, y), batch_size=32, backend=backend, optimizer=nnx.optim.Adam(3e-3), only=only)


def test_a_short_training(backend):
    report = small(backend)
    assert not report.failed, str(report)
    assert {v.id for v in report if v.severity != "skipped"} == {"T3", "T4", "T6", "T7", "T10", "T11", "T12"}


def test_the_model_may_be_there_already(backend):
    model = regression().model.copy().to(backend)
    x, y = regression().train
    report = nnx.doctor(model, (backend.asarray(x), backend.asarray(y)), check="quick")
    assert not report.bad
    assert all(nnx.backends.of(array).name == backend.name for array in model.state().values())


def test_figures_come_to_the_host_together(backend, monkeypatch):
    pulls = []
    kind = type(backend)
    plain = kind.to_numpy
    monkeypatch.setattr(kind, "to_numpy", lambda self, x: (pulls.append(getattr(x, "shape", ())), plain(self, x))[1])
    for id in ("D3", "I4", "I5", "I6", "I8"):
        pulls.clear()
        deeper().examine(only=(id,), backend=backend)
        moves = len(deeper().model.state()) + 1  # the model to its backend, and one for whether it is fitted
        assert len(pulls) <= 2 * moves + 3, (id, len(pulls))
