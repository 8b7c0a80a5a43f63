"""What the course of a training says, judged at its bounds: courses written by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

import nnx
from nnx.doctor.course import doubling, of_run, usual
from nnx.doctor.trial import Course

CHECKS = {check.id: check for check in of_run(lambda subject: subject.course)}
STEPS = 60


def each(*columns):
    """(steps, parameters) of constants or of whole columns."""
    return np.stack([np.broadcast_to(np.asarray(column, dtype=np.float64), (STEPS,)) for column in columns], axis=1)


def judged(id, *, axes=(2, 2), unit=1.0, links=(), **arrays):
    """A verdict on a course that is well but for some arrays: two weights of size 1 that move by 1e-3, gradients of 1."""
    well = {"loss": np.linspace(1, 0.5, STEPS), "penalty": np.zeros(STEPS), "update": each(1e-3, 1e-3)}
    well |= {"gradient": each(1, 1), "mean_gradient": each(1, 1), "weight": each(1, 1)}
    course = Course(("a", "b"), axes, **(well | arrays))
    return CHECKS[id].run(SimpleNamespace(course=course, loss_unit=unit, links=links), CHECKS[id])


def steps(first, then, count=20):
    return np.where(np.arange(STEPS) < count, first, then)


@pytest.mark.parametrize("id", ["T3", "T6", "T7", "T10", "T12"])
def test_a_course_that_is_well(id):
    found = judged(id)
    assert (found.severity, found.remedy) == ("pass", "")


@pytest.mark.parametrize(
    ("update", "severity", "where"),
    [
        ((0.1, 1e-3), "pass", "a"), ((1e-3, 0.11), "warn", "b"), ((10, 1e-3), "warn", "a"), ((1e-3, 10.1), "fail", "b"),
        ((1e-4, 1e-3), "pass", "b"), ((0.9e-4, 1e-3), "warn", "a"), ((1e-3, 1e-8), "warn", "b"), ((0.9e-8, 1e-3), "fail", "a"),
        ((np.nan, 1e-3), "fail", "a"), ((0, 1e-3), "fail", "a"), ((0.9e-4, 0.11), "warn", "b"), ((1e-9, 0.11), "fail", "b"),
        ((steps(0.3, 0.05), 1e-3), "pass", "a"), ((steps(0.31, 0.05), 1e-3), "warn", "a"), ((steps(1e-6, 1e-3), 1e-3), "pass", "b"),
        ((steps(1e-3, 1e-6), 1e-3), "pass", "b"), ((steps(0.2, 0.2), 1e-3), "warn", "a"), ((steps(1e-6, 1e-6), 1e-3), "warn", "a"),
    ],
)  # fmt: skip
def test_the_size_of_steps(update, severity, where):
    found = judged("T3", update=each(*update))
    assert (found.severity, found.where) == (severity, where if severity != "pass" else found.where)


def test_a_net_that_has_learnt_moves_little():
    for last, update, severity in ((0.09, 1e-5, "pass"), (0.1, 1e-5, "warn"), (0.09, 0, "fail"), (0.09, 0.2, "warn")):
        loss = steps(1.0, last, count=STEPS - 20)
        assert judged("T3", loss=loss, update=each(update, 1e-3)).severity == severity


def test_sizes_are_for_the_size_of_the_weight_and_weights_of_size_0_have_none():
    assert judged("T3", weight=each(1, 100), update=each(1e-3, 0.1)).severity == "pass"
    assert judged("T3", weight=each(1, 0), update=each(1e-3, 9)).severity == "pass"
    assert judged("T3", weight=each(0, 0)).severity == "skipped"
    assert judged("T3", axes=(1, 2), update=each(9, 1e-3)).severity == "pass"
    assert judged("T3", axes=(1, 1)).measured == "there is no weight with two axes that is not 0"


def test_what_to_do_about_the_size_of_steps():
    found = judged("T3", update=each(0.5, 1e-3))
    assert (found.remedy, found.values["factor"]) == ("Multiply the learning rate by about 0.002.", 0.002)
    assert (found.values["smallest"], found.values["largest"]) == (1e-3, 0.5)
    none = judged("T3", update=each(0, 1e-3))
    assert none.remedy.startswith("No gradient moves a: look at T6 and T10")
    assert none.values["factor"] == 1
    lost = judged("T3", update=each(np.inf, 1e-3))
    assert (lost.measured, lost.values["factor"]) == ("a step is no finite number", 0.1)


@pytest.mark.parametrize(
    ("mean", "unit", "severity"),
    [
        (1e-6, 1, "pass"), (0.9e-6, 1, "warn"), (1e-7, 1, "warn"), (0.9e-7, 1, "fail"), (1e-6, 2, "warn"), (0.9e-6, 10, "fail"),
        (steps(1e-3, 1e-9), 1, "pass"), (steps(1e-9, 1e-3), 1, "fail"),
    ],
)  # fmt: skip
def test_gradients_that_vanish(mean, unit, severity):
    found = judged("T6", mean_gradient=each(1, mean), unit=unit)
    assert found.severity == severity
    assert found.where == "b"


@pytest.mark.parametrize(
    ("gradient", "unit", "severity"),
    [
        ((9e-5, 0.1), 1, "warn"), ((1e-4, 1), 1, "pass"), ((1.5e-4, 1), 2, "warn"), ((9e-5, 0.09), 1, "pass"), ((1, 0), 1, "pass"),
        ((0.1, 9e-5), 1, "pass"), ((steps(9e-5, 1), 0.1), 1, "warn"), ((steps(1, 9e-5), 0.1), 1, "pass"),
    ],
)  # fmt: skip
def test_gradients_that_do_not_reach_the_first_layer(gradient, unit, severity):
    found = judged("T6", gradient=each(*gradient), unit=unit)
    assert found.severity == severity
    assert (found.values["ratio"] == 0) == (np.max(gradient[1]) == 0)


def test_without_weights_no_gradient_vanishes():
    assert judged("T6", axes=(1, 1)).measured == "there is no weight with two axes"
    assert judged("T7", axes=(1, 1), gradient=each(71, 1)).severity == "pass"


def test_a_gradient_that_is_not_finite_is_named_with_its_step():
    gradient = each(2, 2)
    gradient[7, 1] = np.inf
    gradient[9, 0] = np.nan
    found = judged("T7", gradient=gradient)
    assert (found.severity, found.where, found.measured) == ("fail", "b", "gradient inf at step 7")
    assert found.values["clip"] == pytest.approx(8**0.5)
    assert judged("T7", gradient=each(np.nan, 1)).values["clip"] == 1


def test_gradients_that_are_large_grow_or_come_from_one_end():
    assert judged("T7", gradient=each(0, 1e6)).severity == "pass"
    large = judged("T7", gradient=each(0, 1.1e6))
    assert (large.severity, large.where, large.values["norm"]) == ("fail", "b", 1.1e6)
    assert judged("T7", gradient=each(0, 1.1e6), unit=2.0).severity == "pass"
    assert judged("T7", gradient=each(70, 1)).severity == "pass"
    first = judged("T7", gradient=each(71, 1))
    assert (first.severity, first.where, first.values["ratio"]) == ("warn", "a", 71)
    assert judged("T7", gradient=each(71, 0)).severity == "pass"
    grows = judged("T7", gradient=each(*[2.0 ** np.minimum(np.arange(STEPS) // 5, 3)] * 2))
    assert grows.severity == "warn"
    assert grows.measured.endswith("doubles every 5 steps to step 15")
    assert "clip_by_global_norm(11.3)" in grows.remedy


def test_what_doubles_three_times_in_a_row_and_stays_is_told():
    assert doubling(np.repeat([1.0, 2, 4, 8], 5)) == 15
    assert doubling(np.repeat([1.0, 2, 4, 8, 17], 5)) == 15
    assert doubling(np.repeat([1.0, 2, 4, 7.9], 5)) is None
    assert doubling(np.repeat([9.0, 1, 2, 4, 8], 5)) is None
    assert doubling(np.repeat([1.0, 2, 4, 3, 6, 12], 5)) is None
    assert doubling(np.repeat([1.0, 2, 4, 3, 6, 12, 24], 5)) == 30
    assert doubling(np.repeat([0.0, 0, 0, 0], 5)) is None
    assert doubling(np.repeat([1.0, 2], 5), times=1) == 5
    assert usual(np.asarray([*range(11), np.inf])) == 9


@pytest.mark.parametrize("kind", [nnx.optim.clip_by_global_norm, nnx.optim.clip_by_norm])
def test_clipping_of_more_than_half_of_the_steps(kind):
    whole = kind is nnx.optim.clip_by_global_norm
    for count, severity in ((30, "pass"), (31, "warn")):
        large = steps(4.0, 1.0, count=count)
        found = judged("T9", links=(object(), kind(4.5 if whole else 3.5)), gradient=each(large, large))
        assert (found.severity, found.values["share"]) == (severity, count / STEPS)
    assert found.values["clip"] == pytest.approx(4 * 2**0.5 if whole else 4)
    assert judged("T9", links=(kind(1e9),)).severity == "pass"
    assert judged("T9").severity == "skipped"


def test_a_parameter_that_does_not_move():
    three = np.zeros(STEPS)
    three[[5, 30, 40]] = 0.4e-5
    assert judged("T10", update=each(three, 1e-3)).severity == "pass"
    still = judged("T10", update=each(1e-3, 0.8 * three), weight=each(1, 1))
    assert (still.severity, still.where, still.values) == ("fail", "b", {"count": 1.0, "cut": 0.0})
    assert still.measured == "1 of 2 parameters do not change in 3 steps: their steps are too small"
    cut = judged("T10", update=each(0.5 * three, 0), gradient=each(1, 0))
    assert (cut.where, cut.values) == ("b", {"count": 2.0, "cut": 1.0})
    assert cut.measured == "1 of 2 parameters do not change in 3 steps: the gradient is 0"
    assert cut.remedy.startswith("b is not in the loss")
    assert judged("T10", update=each(0, 1e-3), weight=each(0, 1)).severity == "fail"
    assert judged("T10", update=each(0, 0)).where == "a"


@pytest.mark.parametrize(
    ("loss", "severity", "measured"),
    [
        ([1, 0.951], "warn", "1 → 0.951 in 60 steps, least 0.951: it stalls"), ([1, 0.95], "pass", "least 0.95"),
        ([1, 0.2, 0.39], "pass", "least 0.2"), ([1, 0.2, 0.41], "fail", "least 0.2"), ([2, 0.2, 0.49], "pass", "least 0.2"),
        ([2, 0.2, 0.51], "fail", "least 0.2"), ([1, 1.9], "warn", "it stalls"), ([1, 2.1], "fail", "1 → 2.1 in 60 steps"),
        ([1, 0.99, 1, 0.99, 1, 0.99, 1, 0.99, 1, 0.99, 1, 0.99], "warn", "it turns in 100 % of the windows"),
    ],
)  # fmt: skip
def test_the_loss_falls(loss, severity, measured):
    values = np.asarray(loss, dtype=np.float64)
    found = judged("T12", loss=np.append(values, [values[-1]] * (12 - len(values))).repeat(5))
    assert found.severity == severity
    assert found.measured.endswith(measured) or measured in found.measured
    assert ("Lower the rate" in found.remedy, "nnx.lr_find" in found.remedy) == (severity == "fail", severity == "warn")


def test_the_noise_of_batches_of_two_rows_is_no_rise():
    noise = np.random.default_rng(0).exponential(size=1600)
    assert judged("T12", loss=noise * np.linspace(1, 0.4, 1600)).severity == "pass"
    assert (
        judged("T12", loss=noise * np.concatenate([np.linspace(1, 0.1, 800), np.linspace(0.1, 1, 800)])).severity
        == "fail"
    )


def test_a_loss_that_is_not_finite_is_named_with_its_step():
    loss = np.ones(STEPS)
    loss[[7, 9]] = np.inf, np.nan
    found = judged("T12", loss=loss)
    assert (found.severity, found.measured) == ("fail", "loss inf at step 7")


def test_turns_are_told_where_they_are_more_than_half():
    wave = np.asarray([1.0, 0.99, 1.0, 0.99, 1.0, 0.99, 1.0, 1.01, 1.02, 1.03, 1.04, 1.05])
    found = judged("T12", loss=wave.repeat(5))
    assert "stalls" in found.measured
    assert found.values["turns"] == pytest.approx(0.5)


def test_a_regulariser_that_becomes_the_larger_force():
    assert judged("T13").severity == "skipped"
    for penalty, severity in ((10, "pass"), (10.1, "warn"), (steps(99, 1), "pass")):
        found = judged("T13", penalty=np.broadcast_to(penalty, STEPS), gradient=each(1, 0))
        assert found.severity == severity
    grows = 1e-3 * 2.0 ** np.minimum(np.arange(STEPS) // 5, 3)
    assert judged("T13", penalty=grows).severity == "warn"
    assert judged("T13", penalty=np.full(STEPS, 15.0), gradient=each(1, 1), axes=(1, 1)).values["ratio"] == 15 / 2**0.5
