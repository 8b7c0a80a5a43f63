"""What is said while ``nnx.fit`` runs: each thing once, and nothing of a healthy run."""

from dataclasses import replace

import numpy as np
import pytest
from cases.faults import FAULTS
from cases.programs import basic, deep, deeper, friedman, mlp, regression

import nnx
from nnx.doctor.during import R1, R2, R3, T12_EPOCHS, Whole


def fitted(program, watch, **options):
    task = "classification" if program.classes else "regression"
    train, val = (nnx.data.load(part, task=task) for part in (program.train, program.val))
    settings = {
        "epochs": program.epochs,
        "optimizer": program.optimizer,
        "batch_size": program.batch_size,
        "seed": program.seed,
    } | options
    model = program.model.copy()
    nnx.fit(model, train, val, loss=program.loss, callbacks=[watch] if watch else [], **settings)
    return model


@pytest.mark.parametrize("program", [basic(), regression()], ids=lambda program: program.name)
def test_nothing_is_said_of_a_healthy_run(program):
    told = []
    watch = nnx.doctor.Watch(program.train, tell=told.append)
    fitted(program, watch, epochs=30)
    assert [(verdict.id, verdict.measured) for verdict in told] == []
    assert {verdict.id for verdict in watch.report} >= {"T3", "T12", "R1", "R3"}
    assert not watch.report.failed


def test_the_steps_of_a_line_search_are_passed_over():
    watch = nnx.doctor.Watch(basic().train, tell=lambda verdict: None)
    fitted(basic(), watch, optimizer=nnx.optim.LBFGS(), epochs=6)
    assert "T3" not in {verdict.id for verdict in watch.report}
    fitted(basic(), watch, epochs=2, finish=nnx.optim.LBFGS(), finish_epochs=4)
    assert len(watch._steps) == 2, "those of Adam, one for each epoch"


def test_overfitting_is_told_once():
    program = next(fault for fault in FAULTS if fault.ids == ("R1",)).programs()[-1][1]
    told = []
    fitted(program, nnx.doctor.Watch(tell=told.append))
    assert [verdict.id for verdict in told].count("R1") == 1
    assert next(verdict for verdict in told if verdict.id == "R1").where.startswith("epoch")


def test_dead_units_and_small_steps_are_told_while_it_trains():
    told = []
    program = replace(basic(), optimizer=nnx.optim.Adam(0.5), epochs=5)
    fitted(program, nnx.doctor.Watch(program.train, tell=told.append))
    fitted(replace(program, optimizer=nnx.optim.SGD(1e-6)), nnx.doctor.Watch(program.train, tell=told.append))
    assert {"T3", "T4"} <= {verdict.id for verdict in told}
    assert len(told) == len({verdict.id for verdict in told})


def test_saturated_units_are_told():
    told = []
    model = mlp(10, 16, 1, between=nnx.Tanh, init=nnx.init.normal(30.0)).initialize(0)
    fitted(replace(regression(), model=model, epochs=2), nnx.doctor.Watch(friedman()[0], tell=told.append))
    assert "T5" in {verdict.id for verdict in told}


def test_watching_changes_no_bit():
    watch = nnx.doctor.Watch(regression().train, tell=lambda verdict: None)
    plain, watched = fitted(regression(), None, epochs=3).state(), fitted(regression(), watch, epochs=3).state()
    assert all(plain[path].tobytes() == watched[path].tobytes() for path in plain)


def test_accuracies_are_compared_in_inference():
    program = replace(deeper(), model=deep(64, 64, 10, dropout=0.7).initialize(0))
    watch = nnx.doctor.Watch(program.train, tell=lambda verdict: None)
    fitted(program, watch, epochs=4)
    assert watch.report["R2"].severity == "pass"
    shown = watch.report["R2"].measured
    swapped = nnx.doctor.Watch((program.train[0], (program.train[1] + 1) % 10), tell=lambda verdict: None)
    fitted(program, swapped, epochs=4)
    assert swapped.report["R2"].severity == "warn", shown


def test_it_speaks_on_standard_error(capsys):
    fitted(replace(basic(), optimizer=nnx.optim.Adam(0.5), epochs=4), nnx.doctor.Watch(basic().train))
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("doctor: ") and "bound" in line for line in lines)


def history(val, train=None, **more):
    train = np.linspace(1.0, 0.1, len(val)) if train is None else train
    return [
        {"epoch": i + 1, "loss": float(a), "val_loss": float(b), **more} for i, (a, b) in enumerate(zip(train, val))
    ]


def judged(check, records, epochs=None, **more):
    return check.run(Whole(records, epochs or len(records), **more), check)


def test_r1_wants_a_rise_that_lasts_while_training_falls():
    falls, rises = np.linspace(1, 0.5, 8), np.linspace(0.5, 1.0, 8)
    assert judged(R1, history([*falls, *rises])).severity == "warn"
    assert judged(R1, history([*falls, *falls[::-1][:3]])).severity == "pass"
    assert judged(R1, history([*falls, *rises], np.linspace(0.1, 1.0, 16))).severity == "pass"
    assert judged(R1, history([1.0, 2.0])).severity == "skipped"
    assert judged(R1, history([np.nan] * 16)).measured == "there are no validation losses"


def test_r2_compares_in_inference():
    records = history([0.5] * 3, val_accuracy=0.97)
    assert judged(R2, records, train_score=0.85).severity == "warn"
    assert judged(R2, records, train_score=0.95).severity == "pass"
    assert judged(R2, records).severity == "skipped"


def test_r3_knows_too_short_and_too_long():
    assert judged(R3, history(np.geomspace(1, 0.2, 20))).severity == "warn"
    assert "longer" in judged(R3, history(np.geomspace(1, 0.2, 20))).remedy
    assert judged(R3, history([1.0, 0.1, *np.linspace(0.2, 0.9, 28)])).severity == "warn"
    assert judged(R3, history([*np.geomspace(1, 0.2, 15), *[0.2] * 15])).severity == "pass"
    assert judged(R3, history(np.geomspace(1, 0.2, 20)), epochs=40).severity == "skipped"


def test_t12_sees_a_loss_that_climbs():
    assert judged(T12_EPOCHS, history([1.0] * 6, [1.0, 0.5, 0.2, 0.4, 0.8, 0.9])).severity == "fail"
    assert judged(T12_EPOCHS, history([1.0] * 6, [1.0, 0.5, 0.2, 0.21, 0.2, 0.19])).severity == "pass"
