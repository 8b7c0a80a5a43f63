"""Parity: backends agree; and where one of them is wrong, the operation, the layer and the culprit are named."""

import json

import array_api_strict
import numpy as np
import pytest
from array_api_strict import _array_object as strict

import nnx
from nnx import backends
from nnx.backends import selector
from nnx.backends.recorded import recording
from nnx.cli import main
from nnx.errors import BackendUnavailable, ConfigError, DataError
from nnx.parity.tiers import EXACT, SUMS, ULP, Tier, measured

WIDTH = 80


def data():
    rng = np.random.default_rng(0)
    return nnx.data.load((rng.normal(size=(40, 5)).astype(np.float32), np.arange(40) % 3))


def network(*middle):
    middle = middle or (nnx.BatchNorm(6), nnx.GELU(), nnx.Dropout(0.2))
    return nnx.Sequential(nnx.Standardize(5), nnx.Linear(5, 6), *middle, nnx.Linear(6, 3)).initialize(seed=0)


def compared(model, spec="strict", **settings):
    settings = {"steps": 1, "batch_size": 16} | settings
    return nnx.parity(model, data(), backends=["numpy", spec], **settings)


def test_backends_agree(backend):
    model = network(nnx.BatchNorm(6), nnx.Tanh()) if backend.jit else network()  # each operation is compiled there
    report = compared(model, backend, steps=1 if backend.jit else 2)
    found = report[backend.spec]
    assert report.agrees
    assert (found.first, found.lost) == (None, "")
    assert found.operations > 40
    kinds = {row.kind for row in found.rows}
    assert kinds == {"forward", "loss", "gradient", "statistics", "step", "free"}
    assert [row.path for row in found.rows if row.kind == "gradient"] == list(model.parameters())
    assert all(row.measured < 1e-5 for row in found.rows if row.kind in ("forward", "loss"))
    assert all(len(line) <= WIDTH for line in str(report).splitlines())


def test_every_layer_takes_the_same_operations_in_the_same_order_everywhere():
    """Or nothing could be compared one by one. Convolution, pooling, attention and recurrence have the most of them."""
    rng = np.random.default_rng(0)
    images = nnx.data.load((rng.normal(size=(12, 6, 6, 2)).astype(np.float32), np.arange(12) % 3))
    words = nnx.data.load((rng.normal(size=(12, 5, 4)).astype(np.float32), np.arange(12) % 3))
    for model, whole in (
        (nnx.Sequential(nnx.Conv2d(2, 3, 3), nnx.ReLU(), nnx.MaxPool2d(2), nnx.Flatten(), nnx.Linear(12, 3)), images),
        (nnx.Sequential(nnx.TransformerBlock(4, 2), nnx.LSTM(4, 3), nnx.GlobalAvgPool(), nnx.Linear(3, 3)), words),
    ):
        found = nnx.parity(model.initialize(seed=0), whole, backends=["numpy", "strict:device1"], steps=1)["strict"]
        assert (found.agrees, found.lost) == (True, "")
        assert found.operations > 30


@pytest.mark.parametrize(
    "first", [nnx.Linear(5, 3), nnx.Sequential(nnx.Embedding(9, 3), nnx.GlobalAvgPool())], ids=["taken", "looked up"]
)
def test_whole_numbers_are_taken_as_in_a_training_or_looked_up(first):
    x = np.random.default_rng(0).integers(0, 9, size=(40, 5))
    model = nnx.Sequential(first, nnx.Linear(3, 3)).initialize(seed=0)
    whole = nnx.data.Dataset(x, np.arange(40) % 3, classes=("a", "b", "c"))
    assert nnx.parity(model, whole, backends=["numpy", "strict"], steps=1).agrees


@pytest.fixture
def plant(monkeypatch):
    """``plant(object, name, wrong)``; what was remembered of the namespaces is forgotten before and after."""

    def forget():
        recording.space_over.cache_clear()
        recording.backend_over.cache_clear()
        for name in [name for name in selector._by_namespace if "recording" in name]:
            del selector._by_namespace[name]

    forget()
    yield lambda *what: monkeypatch.setattr(*what)
    monkeypatch.undo()
    forget()


def test_a_matrix_product_like_tf32_is_named(plant):
    """Its operands rounded to 10 bits, as tensor cores do unless they are told otherwise."""
    real = strict.Array.__matmul__

    def rounded(x):
        bits = (np.asarray(x._array).view(np.int32) + 4096) & ~np.int32(8191)
        return strict.Array._new(bits.view(np.float32), device=x.device)

    plant(
        strict.Array,
        "__matmul__",
        lambda a, b: real(rounded(a), rounded(b)) if a.dtype == array_api_strict.float32 else real(a, b),
    )
    report = compared(network())
    first = report["strict"].first
    assert not report.agrees
    assert (first.op, first.layer, first.phase) == ("matmul", "layers.1", "forward")
    assert first.error > 100 * first.reference_error > 0.0
    assert 1.0 < first.magnitude < 5.0
    departing = [row for row in report["strict"].rows if row.departs]
    assert departing[0].path == "layers.1"
    assert departing[0].error > 10 * departing[0].reference_error
    step = next(row for row in report["strict"].rows if row.kind == "step")
    assert step.error > 10 * step.reference_error > 0.0
    text = str(report)
    assert "strict against numpy: DEPARTS" in text
    assert "first to depart  matmul, in layers.1 (forward)" in text
    assert f"of its terms, allowed {first.tier} = {first.tolerance:.1e}\n" in text
    assert f"off float64 by {first.error:.1e} here, {first.reference_error:.1e} on numpy" in text
    assert all(len(line) <= WIDTH for line in text.splitlines())


def test_a_function_that_is_a_little_wrong_is_named(plant):
    """A relative error of 1e-5 in exp alone: erf and GELU are made of it here, the softmax of the loss, too."""
    real = array_api_strict.exp
    plant(array_api_strict, "exp", lambda x: real(x) * (1 + 1e-5))
    first = compared(network())["strict"].first
    assert (first.op, first.layer) == ("erf", "layers.3")
    first = compared(network(nnx.ReLU()))["strict"].first
    assert (first.op, first.layer, first.phase) == ("exp", "loss", "forward")
    assert first.error > 10 * first.reference_error


class Uneven(nnx.Module):
    """A layer that computes otherwise on one backend."""

    def __init__(self, otherwise):
        self.otherwise = otherwise

    def forward(self, x):
        return self.otherwise(x) if backends.of(x).name.startswith("strict") else x * 2.0


def test_a_layer_that_is_wrong_on_one_backend_is_named():
    first = compared(network(nnx.Tanh(), Uneven(lambda x: x * 2.001), nnx.ReLU()))["strict"].first
    assert (first.op, first.layer, first.phase, first.tier) == ("multiply", "layers.3", "forward", "exact")


def test_a_derivative_that_is_wrong_on_one_backend_is_named():
    wrong = nnx.custom_vjp(
        lambda x: (x * 2.0, None),
        lambda _, g: (g * (2.0 if backends.of(g).name.startswith("numpy") else 2.01),),
    )

    class Wrong(nnx.Module):
        def forward(self, x):
            return wrong(x)

    found = compared(network(nnx.Tanh(), Wrong(), nnx.ReLU()))["strict"]
    assert (found.first.op, found.first.layer, found.first.phase) == ("multiply", "layers.3", "backward")
    departing = [(row.kind, row.path) for row in found.rows if row.departs]
    assert ("gradient", "layers.1.weight") in departing
    assert not any(kind == "forward" for kind, _ in departing)


def test_a_layer_that_is_called_twice_has_two_rows():
    twice = nnx.Tanh()
    paths = [row.path for row in compared(network(twice, twice))["strict"].rows if row.kind == "forward"]
    assert {"layers.2", "layers.2#2"} <= set(paths)


def test_another_course_of_operations_is_said():
    found = compared(network(Uneven(lambda x: x + x)))["strict"]
    assert "is add in layers.2 here, multiply in layers.2 on the reference" in found.lost
    assert found.agrees
    assert "note  operation" in str(compared(network(Uneven(lambda x: x + x))))


def test_a_step_that_is_wrong_on_one_backend_departs(plant):
    plant(strict.Array, "__truediv__", lambda a, b, real=strict.Array.__truediv__: real(a, b) * (1 + 1e-3))
    found = compared(network(nnx.ReLU()), loss=lambda out, y: nnx.namespace(out).sum(out * out))["strict"]
    assert [row.kind for row in found.rows if row.departs][-1] == "step"


def test_the_model_is_left_as_it_was_and_may_be_float64():
    model = network()
    before = {path: array.copy() for path, array in model.state().items()}
    compared(model, steps=3)
    assert all(np.array_equal(before[path], array) for path, array in model.state().items())
    report = compared(network().to("numpy", "float64"))
    assert (report.dtype, report.agrees) == ("float64", True)


def test_as_json():
    found = json.loads(json.dumps(compared(network()).to_dict(), allow_nan=False))
    assert found["agrees"]
    assert [one["spec"] for one in found["backends"]] == ["numpy", "strict"]
    assert {"version", "tf32", "blas"} <= set(found["backends"][0])
    assert found["comparisons"][0]["rows"][0]["departs"] is False


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"backends": ["numpy"]}, ConfigError, "expected two backends or more, the reference first, got numpy"),
        ({"backends": "numpy"}, ConfigError, "expected two backends or more"),
        ({"backends": ["numpy", "nunpy"]}, ConfigError, "Did you mean 'numpy'"),
        ({"backends": ["numpy", "numpy:1"]}, BackendUnavailable, "no such device"),
        ({"steps": 0}, ConfigError, "steps a whole number ≥ 1, got 0"),
        ({"batch_size": 2.5}, ConfigError, "batch_size a whole number ≥ 1, got 2.5"),
        ({"optimizer": nnx.optim.LBFGS()}, ConfigError, "an optimizer of batches"),
        ({"data": (np.zeros((3, 5)), None)}, DataError, "there are no targets"),
        ({"model": "mlp"}, ConfigError, "expected a Module, got str"),
    ],
)
def test_what_cannot_be_compared_is_said(settings, error, match):
    given = {"model": network(), "data": data(), "backends": ["numpy", "strict"]} | settings
    with pytest.raises(error, match=match):
        nnx.parity(given.pop("model"), given.pop("data"), **given)


# what is allowed ------------------------------------------------------------------------------------------------------
def test_every_operation_has_one_tier():
    assert not EXACT & set(ULP)
    assert not (EXACT | set(ULP)) & set(SUMS)


def test_so_many_terms_meet_in_one_result_of_a_convolution():
    x, weight, y = np.zeros((4, 8, 8, 2)), np.zeros((3, 3, 2, 5)), np.zeros((4, 6, 6, 5))
    assert SUMS["convolve"](x, weight) == 3 * 3 * 2
    assert SUMS["convolve_to_weight"](x, y) == 4 * 6 * 6
    assert SUMS["convolve_to_input"](y, weight) == 3 * 3 * 5


ULP_ONE, EQUAL, SCALED = Tier("ulp", 1.0), Tier("exact", 0.0), Tier("scaled", 1e-6, np.asarray([2.0, 2.0]))


@pytest.mark.parametrize(
    ("a", "b", "tier", "expected"),
    [
        ([], [], ULP_ONE, 0.0),
        ([1.0, 2.0], [1.0, 2.0], EQUAL, 0.0),
        ([1.0 + 2**-23, 2.0], [1.0, 2.0], EQUAL, 1.0),
        ([1.0 + 2**-21, 2.0], [1.0, 2.0], ULP_ONE, 4.0),
        ([1.0, 2.5], [1.0, 2.0], SCALED, 0.25),
        ([np.nan, np.inf], [np.nan, np.inf], EQUAL, 0.0),
        ([np.nan, 1.0], [1.0, 1.0], ULP_ONE, np.inf),
        ([-np.inf, 1.0], [np.inf, 1.0], SCALED, np.inf),
        ([1e-42, 0.0], [0.0, 0.0], EQUAL, 0.0),
        ([1e-37, 0.0], [0.0, 0.0], ULP_ONE, pytest.approx(7.1e7, rel=0.1)),
    ],
)
def test_differences_are_measured(a, b, tier, expected):
    assert measured(np.asarray(a, np.float32), np.asarray(b, np.float32), tier) == expected


def test_other_kinds_of_results_are_compared_by_value():
    assert measured(np.asarray([1, 2], np.int8), np.asarray([1, 2]), EQUAL) == 0.0
    assert measured(np.asarray([1, 3]), np.asarray([1, 2]), EQUAL) == np.inf
    assert measured(np.zeros(2, np.float32), np.zeros(2), EQUAL) == np.inf
    assert measured(np.zeros(2), np.zeros(3), EQUAL) == np.inf


# the command ----------------------------------------------------------------------------------------------------------
FLAGS = ["--model", "mlp:6", "--steps", "1", "--backends"]


def test_the_command_compares_data_and_runs(tmp_path, monkeypatch, capsys, plant):
    monkeypatch.chdir(tmp_path)
    assert main(["parity", "digits", *FLAGS, "numpy,strict"]) == 0
    assert capsys.readouterr().out.startswith("digits: Sequential of 466 parameters, 64 rows, float32\n")
    assert main(["train", "digits", "--model", "mlp:6", "--epochs", "1", "--out", "run", "--check", "off"]) == 0
    capsys.readouterr()
    assert main(["parity", "run", "--backends", "numpy,strict:device1", "--steps", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["path"] for row in found["comparisons"][0]["rows"] if row["kind"] == "step"] == ["0", "1"]
    plant(strict.Array, "__matmul__", lambda a, b, real=strict.Array.__matmul__: real(a, b) * (1 + 1e-3))
    assert main(["parity", "run", "--backends", "numpy,strict"]) == 3
    assert "first to depart  matmul, in layers.1 (forward)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (["--backends", "numpy"], "two backends or more"),
        (["--steps", "0"], "--steps: expected a whole number ≥ 1, got 0"),
    ],
)
def test_what_the_command_cannot_compare_is_said(flags, match, capsys):
    assert main(["parity", "digits", *flags]) == 2
    assert match in capsys.readouterr().err
