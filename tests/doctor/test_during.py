"""Whole runs and searches, judged at their bounds: histories written by hand."""

import numpy as np
import pytest

from nnx.doctor.during import R1, R2, R3, R4, T12_EPOCHS, Search, Whole


def judged(check, val=None, train=None, *, epochs=None, score=None, **more):
    length = len(val if val is not None else train)
    train = np.linspace(1, 0.1, length) if train is None else train
    records = [{"epoch": i + 1, "loss": float(loss), **more} for i, loss in enumerate(train)]
    for record, loss in zip(records, () if val is None else val):
        record["val_loss"] = float(loss)
    return check.run(Whole(records, epochs or length, score), check)


@pytest.mark.parametrize(
    ("val", "train", "severity"),
    [
        ([1, 0.5, *[0.58] * 5], None, "warn"), ([1, 0.5, *[0.57] * 5], None, "pass"), ([1, 0.5, *[0.58] * 4], None, "pass"),
        ([1, 0.5, *[0.58] * 5], [2, *np.linspace(0.9, 0.1, 6)], "pass"), ([1, 0.5, *[0.58] * 5], [1.25, *[0.9] * 3, *[0.8] * 3], "warn"),
        ([1, 0.5, *[0.58] * 5], [1, 0.9, *[0.9] * 5], "pass"), ([1, 0.5, 0.9, 0.9, 0.58, 0.58, 0.5], None, "warn"),
        ([1, 0.5, 0.9, 0.9, 0.58, 0.5, 0.5], None, "pass"), ([1, 0.5, *[0.58] * 5], [1, 0.5, 0.1, 0.1, 0.6, 0.6, 0.1], "pass"),
        ([1, 0.5, 0.58, 0.58, 0.58], None, "skipped"), ([np.nan, 0.5, *[0.58] * 5], None, "pass"),
    ],
)  # fmt: skip
def test_overfitting_is_a_rise_of_a_size_for_a_time(val, train, severity):
    found = judged(R1, val, train)
    assert found.severity == severity
    if severity == "warn":
        assert (found.where, found.remedy[:15]) == ("epoch 2", "Stop at epoch 2")


def test_the_gap_of_overfitting_is_told():
    assert judged(R1, [1, 0.5, *[0.75] * 5], [1, 1, 1, 0.25, 0.25, 0.25, 0.25]).values["gap"] == pytest.approx(2)
    assert judged(R1, None, [1.0] * 9).measured == "there are no validation losses"


@pytest.mark.parametrize(
    ("val", "score", "severity"),
    [
        (0.5, 0.4375, "warn"),
        (0.5, 0.453125, "pass"),
        (0.5, 0.75, "pass"),
        (None, 0.5, "skipped"),
        (0.5, None, "skipped"),
    ],
)
def test_validation_is_not_better(val, score, severity):
    assert judged(R2, [1, 1], score=score, val_accuracy=val).severity == severity
    records = [{"loss": 1.0, "val_accuracy": accuracy} for accuracy in (0.1, 0.9, val)]
    assert R2.run(Whole(records, 3, score), R2).severity == severity


def test_what_ran_not_at_all_is_not_judged():
    assert R2.run(Whole([], 3, 0.5), R2).severity == "skipped"


@pytest.mark.parametrize(
    ("val", "severity", "way"),
    [
        ([1, 1, 1, 1, 0.8, 0.8, 0.59, 0.59], "warn", "longer"), ([1, 1, 1, 1, 0.8, 0.8, 0.601, 0.601], "pass", ""),
        ([9, 1, 1, 1, 0.8, 0.8, 0.59, 0.59], "pass", ""), ([4, 1, 1, 1, 0.8, 0.8, 0.59, 0.59], "warn", "longer"),
        ([1, 1, 1, 1, 0.8, 0.8, 0.59], "warn", "longer"), ([9, 1, 0.7, 0.6, 0.5, 0.4, 0.35], "pass", ""), ([1], "skipped", ""),
        ([1, 0.74], "warn", "longer"), ([1, 0.76], "pass", ""), ([2, 1, 0.74], "warn", "longer"), ([9, 1, 0.74], "pass", ""), ([1, 1, 1, 1, 1, 0.5, 0.59, 0.55], "pass", ""),
        ([1, 0.1, *[0.2] * 18], "warn", "shorter"), ([1, 0.1, *[0.106] * 18], "warn", "shorter"),
        ([1, 0.1, *[0.104] * 18], "pass", ""), ([1, 0.2, 0.1, *[0.2] * 17], "pass", ""), ([0.1, *[0.2] * 18], "pass", ""),
        ([*[1] * 8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.59, 0.59, 0.59, 0.59], "warn", "longer"),
    ],
)  # fmt: skip
def test_the_length_of_a_run(val, severity, way):
    found = judged(R3, val)
    assert found.severity == severity
    assert way in found.remedy
    if severity != "skipped":
        assert found.values["best"] == int(found.where.split()[1]) == 1 + int(np.argmin(val))


def test_a_run_that_has_not_ended_is_not_judged_and_one_without_validation_is_by_its_training():
    assert judged(R3, [1, 1, 1, 1, 0.8, 0.8, 0.59, 0.59], epochs=9).severity == "skipped"
    assert "val_loss 1 → 0.6 in the last epoch" in judged(R3, [1, 0.6]).measured
    assert "loss 0.8 → 0.59 in the last quarter" in judged(R3, None, [1, 1, 1, 1, 0.8, 0.8, 0.59, 0.59]).measured


@pytest.mark.parametrize(
    ("loss", "severity"),
    [
        ([1, 0.2, 0.41], "fail"), ([1, 0.2, 0.39], "pass"), ([2, 0.2, 0.49], "pass"), ([2, 0.2, 0.51], "fail"),
        ([1, 0.2], "skipped"), ([1, np.nan, 0.9], "pass"),
    ],
)  # fmt: skip
def test_a_loss_that_climbs(loss, severity):
    found = judged(T12_EPOCHS, None, loss)
    assert found.severity == severity
    if severity != "skipped":
        assert (found.where, found.values["least"]) == ("epoch 3", np.nanmin(loss))


def test_a_loss_that_is_no_number_ends_badly_in_any_epoch():
    for loss in ([np.nan], [1, 0.2, np.inf]):
        found = judged(T12_EPOCHS, None, loss)
        assert (found.severity, found.measured, found.where) == (
            "fail",
            "no finite training loss",
            f"epoch {len(loss)}",
        )


@pytest.mark.parametrize(
    ("best", "where"),
    [
        ({"a": 4.9}, "a"), ({"a": 5.1}, ""), ({"a": 94.9}, ""), ({"a": 95.1}, "a"), ({"b": 10**-4.9}, "b"), ({"b": 10**-4.7}, ""),
        ({"b": 10**-1.1}, "b"), ({"b": 10**-1.3}, ""), ({"c": 1.0}, ""), ({"d": 7.0}, ""), ({"a": 50.0, "b": 0.1}, "b"),
    ],
)  # fmt: skip
def test_the_best_trial_at_an_end(best, where):
    space = {"a": (0.0, 100.0, False), "b": (1e-5, 0.1, True), "c": (1.0, 1.0, False)}
    for trials, few in ((10, False), (9, True)):
        found = R4.run(Search(space, best, trials=trials), R4)
        assert (found.severity, found.where) == ("warn" if where else "pass", where)
        assert ("tune the rate only" in found.remedy) == (few and bool(where))


def test_each_end_is_named():
    space = {"a": (0.0, 100.0, False), "b": (1e-5, 0.1, True)}
    found = R4.run(Search(space, {"a": 1.0, "b": 0.1}, trials=30), R4)
    assert found.measured == "a = 1 at the lower end; b = 0.1 at the upper end"
    assert found.values == {"count": 2}
