"""gradcheck: right derivatives pass, wrong ones are named, kinks are counted, and what cannot be checked is refused."""

import itertools
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.errors import ConfigError, DtypeError, GradientError

RNG = np.random.default_rng(0)


def wrong(factor: float) -> Any:
    """x² with a derivative off by a factor."""
    return nnx.custom_vjp(lambda x: (x * x, x), lambda x, g: (2.0 * factor * x * g,))


def mlp() -> Any:
    return nnx.Sequential(nnx.Linear(4, 6), nnx.Tanh(), nnx.Linear(6, 3)).initialize(seed=0)


METHODS = ["one-sided", "centred", "richardson"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_right_derivatives_pass(method: str, order: int, backend: Any) -> None:
    x = backend.asarray(RNG.uniform(0.5, 2.0, (3, 2)))
    report = nnx.gradcheck(lambda x: nnx.namespace(x).exp(x) * nnx.namespace(x).sin(x), x, order=order, method=method)
    assert report.passed
    assert [row.order for row in report.parameters] == list(range(1, order + 1))
    assert report.worst.error <= report.rtol
    assert report.parameters[0].checked == 9
    assert report.skipped == 0


@pytest.mark.parametrize("method, error", [("one-sided", 1e-5), ("centred", 1e-8), ("richardson", 1e-10)])
def test_how_close_each_difference_comes(method: str, error: float) -> None:
    report = nnx.gradcheck(
        lambda x: nnx.namespace(x).sum(nnx.namespace(x).tanh(x)), np.asarray([0.3, -0.7, 1.1]), method=method
    )
    assert report.worst.error < error


@pytest.mark.parametrize("method, factor", [("one-sided", 1.001), ("centred", 1.00001), ("richardson", 1.000001)])
def test_wrong_derivatives_are_named(method: str, factor: float, backend: Any) -> None:
    good, bad = backend.asarray(np.asarray([1.0, 2.0])), backend.asarray(np.asarray([[3.0, 4.0]]))

    def f(nest: Any) -> Any:
        return nest["good"] * wrong(factor)(nest["bad"])

    with pytest.raises(
        GradientError, match=r"x\.bad \[0, [01]\]: expected the numerical derivative .* got the analytic one"
    ):
        nnx.gradcheck(f, {"good": good, "bad": bad}, method=method)
    report = nnx.gradcheck(f, {"good": good, "bad": bad}, method=method, raises=False)
    assert not report.passed
    rows = {row.path: row for row in report.parameters}
    assert rows["x.good"].error <= report.rtol
    assert rows["x.bad"].error == pytest.approx(1 - 1 / factor, rel=0.2)
    assert rows["x.bad"].analytic == pytest.approx(rows["x.bad"].numeric * factor, rel=1e-5)


def test_a_single_wrong_entry_is_found() -> None:
    mask = np.ones((4, 4))
    mask[2, 3] = 1.01
    f = nnx.custom_vjp(lambda x: (x * x, x), lambda x, g: (2.0 * x * g * mask,))
    with pytest.raises(GradientError, match=r"^x \[2, 3\]: expected"):
        nnx.gradcheck(f, RNG.uniform(1.0, 2.0, (4, 4)))
    with pytest.raises(GradientError, match=r"^x direction"):
        nnx.gradcheck(f, RNG.uniform(1.0, 2.0, (4, 4)), entries=0)


def test_a_wrong_second_derivative_is_found_by_order_2_alone() -> None:
    """A backward function that hides part of its value from the tape has a right gradient and a wrong Hessian."""
    f = nnx.custom_vjp(lambda x: (x**3, x), lambda x, g: (3.0 * x * nnx.stop_gradient(x) * g,))
    x = np.asarray([1.0, 2.0])
    assert nnx.gradcheck(f, x).passed
    with pytest.raises(GradientError, match=r"x \[[01]\] \(order 2\)"):
        nnx.gradcheck(f, x, order=2)


def test_a_nan_gradient_fails() -> None:
    f = nnx.custom_vjp(lambda x: (x * x, x), lambda x, g: (x * g * float("nan"),))
    with pytest.raises(GradientError, match=r"got the analytic one nan"):
        nnx.gradcheck(f, np.asarray(1.0))


# arguments ------------------------------------------------------------------------------------------------------------
def test_models_layers_and_their_inputs(backend: Any) -> None:
    model = mlp().to(backend)
    before = {path: backend.to_numpy(value) for path, value in model.state().items()}
    x = backend.asarray(RNG.standard_normal((5, 4)))
    labels = backend.asarray(np.asarray([0, 1, 2, 0, 1]))
    loss = lambda model, x, labels: nnx.losses.cross_entropy(model(x), labels)  # noqa: E731
    report = nnx.gradcheck(loss, model, x, labels, order=2)
    assert [row.path for row in report.parameters if row.order == 1] == [*model.parameters(), "x1"]
    report = nnx.gradcheck(model, x)
    assert [row.path for row in report.parameters] == [*model.parameters(), "x"]
    for path, value in model.state().items():
        np.testing.assert_array_equal(backend.to_numpy(value), before[path])
        assert backend.to_numpy(value).dtype == np.float32


def test_float32_arguments_are_checked_in_float64(backend: Any) -> None:
    x = backend.asarray(np.asarray([0.3, 0.7], dtype=np.float32))
    assert nnx.gradcheck(lambda x: nnx.namespace(x).cos(x), x).worst.error < 1e-8


def test_complex_arguments_and_results(backend: Any) -> None:
    z = backend.asarray(RNG.standard_normal(3) + 1j * RNG.standard_normal(3))
    report = nnx.gradcheck(lambda z: (nnx.namespace(z).exp(z), nnx.namespace(z).abs(z)), z, order=2)
    assert report.parameters[0].checked == 3 + 2 * 3
    conjugated = nnx.custom_vjp(lambda z: (z * z, z), lambda z, g: (2.0 * nnx.namespace(z).conj(z) * g,))
    with pytest.raises(GradientError, match=r"x \[[012]\]"):
        nnx.gradcheck(conjugated, z)


def test_names_of_several_arguments() -> None:
    report = nnx.gradcheck(lambda a, n, b: a * n + b["c"][0], np.ones(2), 3, {"c": [np.ones(2)]})
    assert [row.path for row in report.parameters] == ["x0", "x2.c.0"]


def test_directions_and_entries_are_bounded() -> None:
    report = nnx.gradcheck(lambda x: x * x, np.ones((30, 30)), directions=2, entries=7)
    assert report.parameters[0].checked == 9
    assert nnx.gradcheck(lambda x: x * x, np.ones((0, 3))).parameters[0].checked == 0


def test_the_seed_says_where_to_look() -> None:
    f = wrong(1.1)
    x = RNG.uniform(1, 2, 1000)
    places = {nnx.gradcheck(f, x, seed=seed, raises=False).worst.at for seed in (0, 0, 1)}
    assert len(places) == 2


# kinks ----------------------------------------------------------------------------------------------------------------
def test_kinks_are_skipped_and_counted(backend: Any) -> None:
    x = backend.asarray(np.asarray([1.0, 0.0, -2.0, 0.0]))
    report = nnx.gradcheck(lambda x: nnx.namespace(x).abs(x), x, directions=0)
    assert (report.parameters[0].checked, report.skipped) == (2, 2)
    everywhere = nnx.gradcheck(lambda x: nnx.namespace(x).abs(x), 0.0 * x)
    assert (everywhere.parameters[0].checked, everywhere.skipped) == (0, 7)
    assert "every entry lies at a kink" in str(everywhere)


def test_a_kink_within_the_step_is_stepped_back_from() -> None:
    report = nnx.gradcheck(lambda x: nnx.namespace(x).abs(x) * 3.0, np.asarray([3e-6, -4e-6]), directions=0)
    assert (report.parameters[0].checked, report.skipped) == (2, 0)


def test_a_wrong_derivative_does_not_pass_for_a_kink() -> None:
    relu = nnx.custom_vjp(
        lambda x: (nnx.namespace(x).maximum(x, 0.0), x), lambda x, g: (nnx.namespace(x).where(x > -1.0, g, 0.0 * g),)
    )
    with pytest.raises(GradientError, match=r"x \[1\]: expected the numerical derivative 0,"):
        nnx.gradcheck(lambda x: nnx.namespace(x).sum(relu(x)), np.asarray([1.0, -0.5, 0.0]))


def test_strong_curvature_is_not_a_kink() -> None:
    report = nnx.gradcheck(lambda x: nnx.namespace(x).sum(x**2), np.asarray([1e-7, 0.0, -1e-6]))
    assert (report.parameters[0].checked, report.skipped) == (6, 0)


# randomness -----------------------------------------------------------------------------------------------------------
def test_dropout_inside_a_training_pass_is_held_fixed() -> None:
    model = nnx.Sequential(nnx.Linear(4, 16), nnx.Dropout(0.5), nnx.Linear(16, 1)).initialize(seed=0)
    x = RNG.standard_normal((3, 4))
    with nnx.training(seed=0, step=0):
        report = nnx.gradcheck(model, x)
    assert report.passed
    assert report.fixed
    assert "random draws of the function were held fixed" in str(report)
    assert not nnx.gradcheck(model, x).fixed


def test_a_pass_inside_the_function_is_fixed_anyway() -> None:
    model = nnx.Sequential(nnx.Linear(4, 16), nnx.Dropout(0.5)).initialize(seed=0)

    def f(model: Any, x: Any) -> Any:
        with nnx.training(seed=3, step=1):
            return model(x)

    assert nnx.gradcheck(f, model, RNG.standard_normal((3, 4))).passed


def test_batch_norm_statistics_of_the_model_stay() -> None:
    model = nnx.Sequential(nnx.Linear(4, 3), nnx.BatchNorm(3)).initialize(seed=0)
    before = {path: value.copy() for path, value in model.buffers().items()}
    with nnx.training(seed=0, step=0):
        assert nnx.gradcheck(model, RNG.standard_normal((8, 4))).passed
    for path, value in model.buffers().items():
        np.testing.assert_array_equal(value, before[path])


def test_a_function_with_two_values_is_refused() -> None:
    number = itertools.count()
    with pytest.raises(GradientError, match=r"two values for the same arguments.*nnx\.training\(seed=0, step=0\)"):
        nnx.gradcheck(lambda x: x * (1.0 + 0.001 * next(number)), np.ones(2))


# what cannot be checked -----------------------------------------------------------------------------------------------
REFUSED = [
    (lambda: nnx.gradcheck(lambda x: x, 3), DtypeError, "at least one floating-point array.*got int"),
    (lambda: nnx.gradcheck(lambda x: x, np.asarray([1, 2])), DtypeError, "at least one floating-point array"),
    (lambda: nnx.gradcheck(lambda x: 2.0, np.ones(2)), DtypeError, "f to return arrays, got float"),
    (lambda: nnx.gradcheck(lambda x: nnx.namespace(x).astype(x, np.float32), np.ones(2)), DtypeError, "f to return float64.*float32"),
    (lambda: nnx.gradcheck(lambda x: x / 0.0 if x is None else x * float("inf"), np.ones(2)), GradientError, "finite values of f"),
    (lambda: nnx.gradcheck(lambda x: x, np.ones(2), method="forward"), ConfigError, "one of one-sided, centred, richardson"),
    (lambda: nnx.gradcheck(lambda x: x, np.ones(2), order=0), ConfigError, "order ≥ 1"),
    (lambda: nnx.gradcheck(lambda x: x, np.ones(2), entries=0, directions=0), ConfigError, "at least one direction or entry"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, message", REFUSED, ids=[message[:25] for _, _, message in REFUSED])
def test_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_no_float64_says_what_to_do() -> None:
    import array_api_strict

    backend = nnx.backends.get("strict:no_float64")
    x = array_api_strict.asarray([1.0, 2.0], dtype=array_api_strict.float32, device=backend.device)
    with pytest.raises(DtypeError, match=r"differences in float32 could not tell.*check on the CPU"):
        nnx.gradcheck(lambda x: x * x, x)


# the report -----------------------------------------------------------------------------------------------------------
def test_the_report_is_a_table_of_80_columns() -> None:
    nest = {
        "a_rather_long_name_of_a_block": [
            {"another_long_name_for_a_layer": {"weight_of_the_projection": np.ones((11, 11, 11, 11))}}
        ]
    }

    def f(nest: Any) -> Any:
        return wrong(1.01)(
            nest["a_rather_long_name_of_a_block"][0]["another_long_name_for_a_layer"]["weight_of_the_projection"]
        )

    text = str(nnx.gradcheck(f, nest, raises=False, order=2, entries=3))
    assert max(map(len, text.splitlines())) <= 80
    assert "FAILED" in text
    assert "weight_of_the_projection" in text
    assert "  *" in text
    good = str(nnx.gradcheck(lambda x: x * x, np.ones(2))).splitlines()
    assert good[1].split() == ["parameter", "worst", "error", "at", "checked", "skipped"]
    assert [line.split()[-2:] for line in good[2:]] == [["5", "0"]]


def test_a_wrong_derivative_is_found_where_the_terms_cancel() -> None:
    doubled = nnx.custom_vjp(lambda x: (2.0 * x, None), lambda _, g: (3.0 * g,))
    with pytest.raises(GradientError, match="analytic one 3"):
        nnx.gradcheck(lambda x: nnx.namespace(x).sum(doubled(x)), np.asarray([-1.0, 0.0, 1.0]))


def test_a_direction_through_several_kinks_says_nothing():
    slopes = np.asarray([3.0, 1.0, 5.0, 2.0, 0.5])
    report = nnx.gradcheck(lambda x: nnx.namespace(x).sum(nnx.ops.relu(x) * slopes), np.zeros(5), raises=False)
    assert report.passed, report.worst
    assert report.parameters[0].checked == 0
