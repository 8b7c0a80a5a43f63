"""``nnx gradcheck``: a line for each parameter, and the exit code 3 where a derivative is wrong."""

import json

import numpy as np
import pytest

import nnx.ops.activation as activation
from nnx.autodiff import Primitive


def test_a_line_for_each_parameter(nnx):
    done = nnx("gradcheck", "digits", "--model", "mlp:8,6", "--rows", "3", "--entries", "5")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "digits: mlp:8,6, 3 training rows, on numpy"
    assert lines[1].startswith("gradcheck: 8 parameters, centred differences, allowed 1e-06: passed")
    assert [line.split()[0] for line in lines[3:11]] == [
        "layers.1.weight", "layers.2.gamma", "layers.2.beta", "layers.5.weight", "layers.6.gamma", "layers.6.beta",
        "layers.9.weight", "layers.9.bias",
    ]  # fmt: skip
    assert all(len(line) <= 80 for line in lines)
    assert "random draws of the function were held fixed" in done.out


@pytest.mark.parametrize("method", ["one-sided", "richardson"])
def test_as_json_for_real_targets_too(nnx, tables, method):
    done = nnx("gradcheck", "diabetes.csv", "--model", "mlp:4", "--activation", "tanh", "--method", method, "--json")
    found = json.loads(done.out)
    assert done.code == 0
    assert found["passed"]
    assert found["method"] == method
    assert all(row["error"] <= found["rtol"] for row in found["parameters"])


def test_a_wrong_derivative_ends_with_code_3(nnx, monkeypatch):
    wrong = Primitive(
        lambda xp, x: (np.tanh(x) if isinstance(x, np.ndarray) else xp.tanh(x), x), lambda xp, needs, x, g: (g * 0.9,)
    )
    monkeypatch.setattr(activation, "_tanh", wrong, raising=False)
    monkeypatch.setattr("nnx.ops.tanh", lambda x: wrong(x))
    done = nnx("gradcheck", "digits", "--model", "mlp:4", "--activation", "tanh", "--entries", "3")
    assert done.code == 3
    assert "FAILED" in done.out
    assert "  *" in done.out


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        (("--method", "centered"), "--method: expected one of one-sided, centred, richardson, got 'centered'"),
        (("--rows", "1"), "--rows: expected a whole number ≥ 2, got 1"),
        (("--entries", "0"), "--entries: expected a whole number ≥ 1, got 0"),
    ],
)
def test_mistakes_are_one_line(nnx, flags, answer):
    done = nnx("gradcheck", "digits", *flags)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"nnx: {answer}")
