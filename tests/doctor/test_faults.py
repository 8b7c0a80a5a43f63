"""Every check fires on its fault, at the right place; all of the zoo is run by ``benchmarks/doctor.py``."""

import json
from dataclasses import replace

import numpy as np
import pytest
from cases.faults import FAULTS
from cases.programs import PROGRAMS, basic, friedman, images, regression

import nnx
from nnx.doctor.during import R4, Search

FAST = "RBD"


def one_of(fault):
    """The cheapest program that the fault fits."""
    kind = next(kind for kind in FAST if kind in fault.broken)
    index = list(fault.broken).index(kind)
    return fault.programs()[index][1]


EXAMINED = [fault for fault in FAULTS if fault.ids != ("R1",)]


@pytest.mark.parametrize("fault", EXAMINED, ids=lambda fault: fault.name)
def test_the_fault_is_caught_at_its_place(fault):
    report = one_of(fault).examine(only=fault.ids)
    found = [verdict for verdict in report.bad if verdict.id in fault.ids]
    assert found, [f"{verdict.id} {verdict.severity} {verdict.measured}" for verdict in report]
    assert any(fault.where in verdict.where for verdict in found)
    assert all(verdict.remedy and verdict.bound and verdict.source for verdict in found)
    json.dumps(report.to_dict())


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if "C" in fault.broken], ids=lambda fault: fault.name)
def test_the_fault_is_caught_in_a_convolutional_net(fault):
    index = list(fault.broken).index("C")
    report = fault.programs()[index][1].examine(only=fault.ids)
    found = [verdict for verdict in report.bad if verdict.id in fault.ids]
    assert any(fault.where in verdict.where for verdict in found), [(v.id, v.measured, v.where) for v in report]


def test_a_convolutional_net_begun_by_the_usual_rules_does_not_fail():
    layers = [nnx.Standardize(1)]
    for before, after in ((1, 16), (16, 32)):
        layers += [nnx.Conv2d(before, after, 3, padding="same"), nnx.ReLU(), nnx.MaxPool2d(2)]
    for seed in range(4):
        model = nnx.Sequential(*layers, nnx.Flatten(), nnx.Linear(128, 10, init=nnx.init.glorot_normal()))
        report = nnx.doctor(model.initialize(seed), *images()[:2], check="quick")
        assert [verdict.id for verdict in report if verdict.severity == "fail"] == []


def test_transposed_convolutions_begin_by_the_inputs_that_meet():
    model = nnx.Sequential(
        nnx.Standardize(1), nnx.Conv2d(1, 8, 3, stride=2, padding=1), nnx.ReLU(), nnx.ConvTranspose2d(8, 8, 4, stride=2),
        nnx.ReLU(), nnx.Flatten(), nnx.Linear(800, 10, init=nnx.init.glorot_normal()),
    ).initialize(0)  # fmt: skip
    found = nnx.doctor(model, *images()[:2], only=("I5",))["I5"]
    assert found.severity == "pass", found.measured


def test_a_convolution_in_groups_may_feed_the_one_that_joins_them():
    def said(groups):
        model = nnx.Sequential(nnx.Conv2d(1, 8, 3), nnx.Conv2d(8, 8, 3, groups=groups), nnx.Conv2d(8, 8, 1), nnx.ReLU())
        model = nnx.Sequential(
            *model.layers[1:] if groups > 1 else model.layers, nnx.GlobalAvgPool(), nnx.Linear(8, 10)
        )
        x = nnx.random.normal(nnx.random.key(0, "x"), (80, 8, 8, 8 if groups > 1 else 1)).astype("float32")
        return nnx.doctor(model.initialize(0), (x, np.arange(80) % 10), only=("I9",))["I9"]

    assert said(8).severity == "pass"
    assert (said(1).severity, said(1).where) == ("warn", "layers.1 (Conv2d)")


def test_the_zoo_is_as_large_as_was_promised():
    assert len(FAULTS) >= 20
    assert sum(len(fault.broken) >= 3 for fault in FAULTS) >= 20
    assert {kind for fault in FAULTS for kind in fault.broken} == set(PROGRAMS)


def test_every_check_has_a_fault_or_a_test_of_its_own():
    here = {"T1", "I3", "T7", "R2", "R3", "R4"}  # below, and in test_watch.py
    assert here | {id for fault in FAULTS for id in fault.ids} == set(nnx.doctor.checks)


def verdict(program, id, **options):
    return program.examine(only=(id,), **options)[id]


def changed(program, **changes):
    return replace(program, **changes)


def test_random_labels_with_one_input_cannot_be_learnt_by_heart():
    x = np.ones((64, 4), dtype=np.float32)
    model = nnx.Linear(4, 2).initialize(0)
    report = nnx.doctor(model, (x, np.arange(64) % 2), only=("T1",))
    assert report["T1"].severity == "fail"
    assert "% wrong" in report["T1"].measured


def test_a_bias_of_zero_is_named_where_the_targets_are_far():
    x, y = friedman()[0]
    report = nnx.doctor(regression().model, (x, 100 + y), check="quick")
    assert report["D11"].severity == "warn"
    assert (report["I3"].severity, report["I3"].where, report["I3"].caused_by) == ("warn", "layers.5.bias", "D11")
    assert "the mean target" in report["I3"].remedy


def test_a_gradient_that_is_no_number_explodes():
    found = verdict(changed(regression(), optimizer=nnx.optim.SGD(1e6)), "T7")
    assert found.severity == "fail"
    assert found.bound == "finite" or found.bound.startswith("norm ≤ ")


@pytest.mark.parametrize("unit", [1e-4, 1e6])
def test_gradients_are_judged_in_the_units_of_the_targets(unit):
    program = regression()
    model = nnx.Sequential(*program.model.layers, nnx.Unstandardize(1)).initialize(0)
    train, val = ((x, unit * y) for x, y in (program.train, program.val))
    adam = nnx.optim.Adam(1e-2)
    report = changed(program, model=model, train=train, val=val, optimizer=adam).examine(only=("T6", "T7"))
    assert [report[id].severity for id in ("T6", "T7")] == ["pass", "pass"]


def test_plain_descent_on_targets_of_large_numbers_is_told_before_it_diverges():
    program = regression()
    (x, y), clip = program.train, nnx.optim.clip_by_global_norm(1.0)
    program = changed(program, train=(x, 1e4 * y))
    found = verdict(program, "I10", check="quick")
    assert found.severity == "warn"
    assert "with SGD where the mean target has a loss of" in found.measured
    for optimizer in (nnx.optim.Adam(1e-3), nnx.optim.chain(clip, nnx.optim.SGD(0.05))):
        assert verdict(changed(program, optimizer=optimizer), "I10", check="quick").severity == "pass"
    model = nnx.Sequential(*program.model.layers, nnx.Unstandardize(1)).initialize(0)
    assert verdict(changed(program, model=model), "I10", check="quick").severity == "pass", "its loss has no unit"


def test_the_best_trial_at_the_border():
    space = {"lr": (1e-5, 1e-1, True), "width": (16, 256, False)}
    at_end = R4.run(Search(space, {"lr": 0.099, "width": 100}, trials=30), R4)
    assert (at_end.severity, at_end.where) == ("warn", "lr")
    few = R4.run(Search(space, {"lr": 1e-5, "width": 100}, trials=5), R4)
    assert "tune the rate only" in few.remedy
    assert R4.run(Search(space, {"lr": 1e-3, "width": 100}, trials=30), R4).severity == "pass"


def test_integer_inputs_are_told():
    x, y = basic().train
    report = nnx.doctor(basic().model, (x.astype(np.int32), y), only=("D2",))
    assert report["D2"].severity == "warn"
    assert "int32" in report["D2"].measured
    words = nnx.Sequential(nnx.Embedding(17, 2), nnx.Flatten(), nnx.Linear(128, 10))
    report = nnx.doctor(words, (x.astype(np.int32), y), only=("D2", "I8"))
    assert report["D2"].severity == "pass"
    assert "cannot be differentiated by its inputs" in report["I8"].measured


def test_a_negative_loss_fails():
    found = verdict(changed(basic(), loss=lambda out, y: -nnx.losses.cross_entropy(out, y)), "I1")
    assert found.severity == "fail"


def test_a_loss_that_already_knows_is_told():
    model = nnx.Sequential(nnx.Linear(4, 4, init=nnx.init.zeros())).initialize(0)
    x = np.eye(4, dtype=np.float32)[np.arange(80) % 4]
    model.load({"layers.0.weight": 8 * np.eye(4, dtype=np.float32), "layers.0.bias": np.zeros(4, dtype=np.float32)})
    found = nnx.doctor(model, (x, np.arange(80) % 4), only=("I1",))["I1"]
    assert found.severity == "warn"
    assert "below" in found.measured


def test_linear_layers_with_dropout_between_are_still_linear():
    model = nnx.Sequential(nnx.Linear(10, 8), nnx.Dropout(0.2), nnx.Linear(8, 1)).initialize(0)
    found = nnx.doctor(model, friedman()[0], only=("I9",))["I9"]
    assert (found.severity, found.where) == ("warn", "layers.2 (Linear)")


X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
LABELS = np.arange(40) % 2
PLAIN = [
    ("D4", [nnx.Linear(2, 2)], X[:, [0, 0]], LABELS, {}, "0 constant and 1 copied of 2 columns", "column 1"),
    ("D8", [nnx.Linear(3, 3)], X, 2 * LABELS, {}, "class 1 has no training rows", "class 1"),
    ("D9", [nnx.Linear(3, 2)], X, LABELS, {"loss": "mse"}, 'classes with loss="mse"', "loss"),
    ("D9", [nnx.Linear(3, 1)], X, X[:, :1], {"loss": "cross_entropy"}, 'real targets with loss="cross_entropy"', "loss"),
    ("D9", [nnx.Linear(3, 1)], X, X[:, 0], {"loss": "mse"}, "targets (N,), outputs (N, 1)", "train.y"),
    ("D9", [nnx.Linear(3, 2)], X, LABELS[:, None], {}, "targets (N, 1), outputs (N, 2)", "train.y"),
    ("D9", [nnx.Linear(3, 2)], X, LABELS, {"loss": lambda out, y: out[:, 0]}, "a loss of shape (8,)", "loss"),
    ("D9", [nnx.Linear(3, 2)], X, LABELS, {"loss": lambda out, y: nnx.losses.mse(out, y)}, "targets of the shape of", "mse"),
    ("D10", [nnx.Linear(3, 2)], X, LABELS, {"val": (X, 0 * LABELS)}, "class 1 is missing in val", "val.y, class 1"),
    ("D10", [nnx.Linear(3, 2)], X, 0 * LABELS, {"val": (X, LABELS)}, "class 1 is missing in train", "train.y, class 1"),
    ("T12", [nnx.Linear(3, 2)], X, LABELS, {"optimizer": nnx.optim.SGD(1e38)}, "loss inf at step 1", "loss"),
    ("I9", [nnx.Linear(3, 2), nnx.ReLU()], X, LABELS, {}, "logits only in [0, inf]", "layers.1 (ReLU)"),
    ("I9", [nnx.Linear(3, 1), nnx.Tanh()], X, 3 * X[:, :1], {"loss": "mse"}, "of the targets are outside [-1, 1]", "(Tanh)"),
]  # fmt: skip


@pytest.mark.parametrize(
    "id, layers, x, y, options, measured, where", PLAIN, ids=[f"{row[0]} {row[5]}" for row in PLAIN]
)
def test_plain_mistakes_are_told(id, layers, x, y, options, measured, where):
    found = nnx.doctor(nnx.Sequential(*layers).initialize(0), (x, y), only=(id,), **options)[id]
    assert found.severity == ("warn" if id == "D4" else "fail")
    assert measured in found.measured
    assert where in found.where
