"""The page that is read, and what explains what."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from cases.programs import basic, regression

import nnx
from nnx.doctor.report import CAUSES, Report, with_causes
from nnx.doctor.verdict import Verdict


def bad(id, severity="warn", **values):
    return Verdict(
        id, "data", f"title of {id}", severity, "seen " * 30, "bound", "layers.0", "Do this.", "K", "", values
    )


def test_no_check_explains_itself_by_way_of_others():
    def reached(id, way):
        assert id not in way, f"{id} explains itself: {way}"
        for cause in CAUSES.get(id, ()):
            reached(cause, (*way, id))

    for id in CAUSES:
        reached(id, ())
    assert set(CAUSES) | {cause for causes in CAUSES.values() for cause in causes} <= set(nnx.doctor.checks)


def test_a_consequence_stands_under_its_cause():
    verdicts = with_causes(
        [bad("D3"), bad("I1", "fail"), bad("I10"), bad("T8", "fail", ratio=300.0), bad("T3", "fail")]
    )
    report = Report(verdicts, "a model")
    assert {v.id: v.caused_by for v in report} == {"D3": "", "I1": "D3", "I10": "", "T8": "I10", "T3": "T8"}
    assert [v.id for v in report.roots] == ["D3", "I10"]
    lines = str(report).splitlines()
    order = [line.split()[1] for line in lines if line.strip().startswith(("warn  ", "FAIL  "))]
    assert order == ["D3", "I1", "I10", "T8", "T3"]
    assert [line for line in lines if "Do this." in line] == ["      do    Do this."] * 2, (
        "that of the cause comes first"
    )
    assert max(map(len, lines)) <= 80


def test_where_no_rate_helps_the_rate_is_not_the_cause():
    report = Report(with_causes([bad("T8", "fail"), bad("T4", "fail")]), "a model")
    assert [v.id for v in report.roots] == ["T4"]
    assert report["T8"].caused_by == "T4"
    assert Report(with_causes([bad("T8", "fail", ratio=100.0), bad("T4", "fail")]), "a model")["T4"].caused_by == "T8"


def test_a_gradient_that_is_cut_is_not_blamed_on_the_rate():
    verdicts = with_causes([bad("T8", "warn", ratio=1e-4), bad("T10", "fail", cut=1.0)])
    assert verdicts[1].caused_by == ""


def test_steps_that_are_too_small_explain_that_nothing_is_learnt_and_are_not_explained_by_it():
    for factor, root in ((10.0, "T3"), (0.01, "T2")):
        verdicts = with_causes([bad("T2", "fail"), bad("T3", factor=factor), bad("T12")])
        assert [v.id for v in Report(verdicts, "a model").roots] == [root]


def test_roots_with_failures_below_come_first():
    verdicts = with_causes([bad("D4"), bad("I10"), bad("T8", "fail", ratio=300.0)])
    assert [v.id for v in Report(verdicts, "a model").roots] == ["I10", "D4"]


@pytest.mark.parametrize("program", [basic(), regression()], ids=lambda program: program.name)
def test_the_page_fits_eighty_columns(program):
    broken = replace(
        program, optimizer=nnx.optim.Adam(5.0), model=nnx.Sequential(*program.model.layers[1:], nnx.Softmax())
    )
    report = broken.examine("quick")
    assert report.failed
    assert max(map(len, str(report).splitlines())) <= 80
    assert "I9" in str(report)
    assert str(report).splitlines()[0].startswith("doctor: Sequential on")


def test_a_flag_is_not_broken_at_its_hyphen():
    for padding in range(40):
        told = replace(bad("D3"), remedy=f"{'x' * padding} and another sentence before it: take --clip-norm 0.5.")
        assert "--clip-norm" in str(Report((told,), "a model")).split()


def test_what_passed_and_what_was_left_out_is_said_in_the_end():
    x, y = np.random.default_rng(0).normal(size=(9, 3)).astype("float32"), np.arange(9) % 2
    report = nnx.doctor(nnx.Sequential(nnx.Linear(3, 2)).initialize(0), (x, y), only=("D9", "D4", "D7", "D10"))
    assert str(report).splitlines()[-2:] == [
        "pass    D9 D4",
        "skipped D7 fewer than 20 training rows; D10 there are no validation rows",
    ]


def test_the_report_as_json():
    report = basic().examine("quick")
    read = json.loads(json.dumps(report.to_dict()))
    assert read["failed"] is False
    assert {verdict["id"] for verdict in read["verdicts"]} == {verdict.id for verdict in report}
    assert all(math.isfinite(value) for verdict in read["verdicts"] for value in verdict["values"].values())
    assert set(read["verdicts"][0]) == {
        "id", "moment", "title", "severity", "measured", "bound", "where", "remedy", "source", "caused_by", "values"
    }  # fmt: skip


def test_a_failure_of_the_first_checks_ends_the_examination():
    x, y = basic().train
    report = nnx.doctor(basic().model, (x, y + 1))
    assert report.stopped.startswith("D2 failed")
    assert [verdict.id for verdict in report] == ["D1", "D2"]
    assert "It stops here" in str(report)


def test_wrong_derivatives_leave_the_short_training_out():
    class Wrong(nnx.Module):
        def forward(self, x):
            return nnx.custom_vjp(lambda x: (2.0 * x, None), lambda saved, g: (3.0 * g,))(x)

    model = nnx.Sequential(*regression().model.layers[:3], Wrong(), *regression().model.layers[3:]).initialize(0)
    report = replace(regression(), model=model).examine()
    assert report["I7"].severity == "fail"
    assert report["I7"].where.startswith("layers.1")
    assert not any(verdict.id.startswith("T") for verdict in report)


def test_a_quick_look_trains_nothing_and_is_quick():
    report = basic().examine("quick")
    assert "short training" not in report.seconds
    assert sum(report.seconds.values()) < 5  # 0.2 s on an idle machine


def test_every_check_is_documented():
    for id, check in nnx.doctor.checks.items():
        assert (check.id, bool(check.title), bool(check.remedy), bool(check.source)) == (id, True, True, True)
