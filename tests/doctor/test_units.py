"""What is judged after a short training, at its bounds: layers and losses written by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

import nnx
from nnx.doctor.walk import Call

CHECKS = nnx.doctor.checks
FIRST = Call("first", nnx.Linear(1, 1).initialize(0), np.ones((20, 1)), np.ones((20, 1)))


def judged(id, *calls, **shared):
    run = SimpleNamespace(after=[FIRST, *calls], **shared)
    subject = SimpleNamespace(backend=nnx.backends.get("numpy"), _shared=run)
    return CHECKS[id].run(subject, CHECKS[id])


def relu(path, dead, value=0.0, rows=20):
    """100 units, some of which give a value for some rows."""
    out = np.ones((20, 100), dtype=np.float32)
    out[:rows, :dead] = value
    return Call(path, nnx.ReLU(), out, out)


@pytest.mark.parametrize(
    ("dead", "value", "rows", "severity"),
    [
        (39, 0, 20, "pass"), (41, 0, 20, "warn"), (50, 0, 20, "warn"), (51, 0, 20, "fail"), (99, 0, 19, "fail"), (99, 0, 18, "pass"),
        (99, 0.9e-5, 20, "fail"), (99, 1.1e-5, 20, "pass"),
    ],
)  # fmt: skip
def test_units_that_are_dead(dead, value, rows, severity):
    found = judged("T4", relu("a", 3), relu("b", dead, value, rows), relu("c", 30))
    assert found.severity == severity
    assert found.where == ("b (ReLU)" if severity != "pass" or dead == 39 else "c (ReLU)")
    assert found.values["share"] == pytest.approx({"b": dead, "c": 30}[found.where[0]] / 100)


def test_without_relu_none_is_dead():
    assert judged("T4").severity == "skipped"
    run = SimpleNamespace(after=[relu("before", 99), FIRST, relu("after", 3)])
    subject = SimpleNamespace(backend=nnx.backends.get("numpy"), _shared=run)
    assert CHECKS["T4"].run(subject, CHECKS["T4"]).where == "after (ReLU)"


def squashed(path, module, far, value):
    """100 inputs, of which some are far out."""
    x = np.zeros((10, 10), dtype=np.float32)
    x.reshape(-1)[:far] = value
    return Call(path, module, x, x)


@pytest.mark.parametrize(
    ("module", "far", "value", "severity"),
    [
        (nnx.Tanh(), 50, 9, "pass"), (nnx.Tanh(), 51, 9, "warn"), (nnx.Tanh(), 51, -9, "warn"), (nnx.Tanh(), 51, 5, "pass"),
        (nnx.Tanh(), 51, 5.1, "warn"), (nnx.Tanh(), 51, 9.4, "warn"), (nnx.Tanh(), 51, 9.6, "fail"), (nnx.Tanh(), 51, -9.6, "fail"),
        (nnx.Tanh(), 50, 9.6, "pass"), (nnx.Sigmoid(), 51, 16.9, "warn"), (nnx.Sigmoid(), 51, 17.1, "fail"),
        (nnx.Sigmoid(), 51, -22.9, "warn"), (nnx.Sigmoid(), 51, -23.1, "fail"),
    ],
)  # fmt: skip
def test_units_at_the_end_of_their_range(module, far, value, severity):
    found = judged(
        "T5", squashed("a", nnx.Tanh(), 3, 7.0), squashed("b", module, far, value), squashed("c", nnx.Sigmoid(), 2, 7.0)
    )
    assert found.severity == severity
    assert found.where == (f"b ({type(module).__name__})" if value != 5 else "a (Tanh)")
    assert found.values["out"] == pytest.approx((far if value != 5 else 3) / 100)
    assert judged("T5", relu("a", 9)).severity == "skipped"


@pytest.mark.parametrize(
    ("ours", "won", "rows", "severity"),
    [
        (0.9, 75, 20, "pass"), (0.9, 74, 20, "fail"), (1.0, 100, 20, "fail"), (0.9, 100, 19, "skipped"), (np.nan, 100, 20, "fail"),
    ],
)  # fmt: skip
def test_inputs_matter(ours, won, rows, severity):
    losses = np.full(200, 9.0)
    losses[100 : 100 + won] = ours
    found = judged("T2", trained=(None, losses), zeroed=np.ones(200), val=range(rows))
    assert found.severity == severity
    if severity != "skipped":
        assert "100 values" in found.measured
        assert found.values["zeroed"] == 1
        assert found.values["loss"] == pytest.approx(ours, nan_ok=True)


def test_inputs_that_win_often_but_little_do_not_matter():
    ours, zeroed = np.resize([0.0, 1.0, 2.0, 3.0], 200), np.resize([0.5, 1.5, 2.5, 0.0], 200)
    assert judged("T2", trained=(None, ours), zeroed=zeroed, val=range(20)).severity == "fail"
