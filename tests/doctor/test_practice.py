"""What people bring: small tables, few columns, targets in their own units, settings that went wrong. Each was judged wrongly once."""

import numpy as np
import pytest

import nnx
from nnx.doctor.report import Report, with_causes
from nnx.doctor.verdict import Verdict
from nnx.optim import SGD, Adam, AdamW, Constant, CosineDecay, StepDecay, Warmup, chain, clip_by_global_norm

LINEAR = nnx.Linear


def draw(name, *shape):
    return nnx.random.normal(nnx.random.key(0, name), shape).astype("float32")


def groups(rows=120, columns=4, classes=3, apart=2.0):
    """Classes around centres, such as flowers."""
    y = np.arange(rows) % classes
    return apart * draw("centres", classes, columns)[y] + draw("rows", rows, columns), y


def line(rows=200, columns=10, noise=1.0):
    """A linear target with noise, of mean 0 and variance 1."""
    x = draw("x", rows, columns)
    y = x @ draw("slope", columns, 1) + noise * draw("noise", rows, 1)
    return x, (y - y.mean()) / y.std()


def net(inputs, outputs, *, between=nnx.ReLU, width=32, first=()):
    hidden = [LINEAR(inputs, width), between(), LINEAR(width, width), between()]
    return nnx.Sequential(*first, *hidden, LINEAR(width, outputs, init=nnx.init.glorot_normal())).initialize(0)


def verdict(id, model, train, val=None, **options):
    return nnx.doctor(model, train, val, only=(id,), **options)[id]


# what is well -----------------------------------------------------------------------------------------------------------
def test_a_schedule_that_ends_early_and_a_net_that_has_learnt_take_steps_of_the_right_size():
    schedule = CosineDecay(3e-3, length=30)
    assert verdict("T3", net(4, 3), groups(), optimizer=Adam(schedule)).severity == "pass"
    assert verdict("T3", net(4, 3), groups(apart=3.0), optimizer=SGD(0.1)).severity == "pass"


def test_gradients_of_targets_in_their_own_unit_do_not_explode():
    x, y = line()
    model = net(10, 1).layers
    model = nnx.Sequential(*model, nnx.Unstandardize(1)).initialize(0)
    assert verdict("T7", model, (x, 2e5 + 1e5 * y)).severity == "pass"


def test_targets_whose_unit_the_last_layer_gives_are_as_large_as_the_outputs():
    x, y = line()
    hidden = [layer for _ in range(6) for layer in (LINEAR(10, 10), nnx.Sigmoid())]  # outputs that hardly differ
    model = nnx.Sequential(*hidden, LINEAR(10, 1), nnx.Unstandardize(1)).initialize(0)
    assert verdict("D11", model, (x, 2e5 + 1e5 * y)).severity == "pass"
    model.layers[-1].fit(y)
    assert verdict("D11", model, (x, 2e5 + 1e5 * y)).severity == "fail", "a unit that is none of theirs"


def test_derivatives_are_right_of_targets_far_from_0():
    x, y = line()
    model = nnx.Sequential(*net(10, 1).layers, nnx.Unstandardize(1)).initialize(0)
    assert verdict("I7", model, (x, 1.7e9 + 2e2 * y)).severity == "pass"


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_the_luck_of_the_first_weights_is_no_fault(columns):
    x, y = groups(columns=columns, classes=2)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    for seed in range(10):
        found = verdict("I1", net(columns, 2).initialize(seed), (x, y))
        assert found.severity == "pass", (seed, found.measured)


def test_a_column_that_others_know_as_well_is_no_leak():
    x, y = groups(400, 2, 2)
    twin = x[:, :1] + 0.1 * draw("twin", 400, 1)
    own = (y + 0.35 * draw("own", 400)).astype("float32")[:, None]
    noise = draw("noise", 400, 3)
    assert verdict("D7", net(4, 2), (np.concatenate([own, own + 0.05 * noise], axis=1), y)).severity == "pass"
    assert verdict("D7", net(1, 2), (own, y)).severity == "pass"
    leaked = verdict("D7", net(5, 2), (np.concatenate([noise, own, twin - x[:, :1]], axis=1), y))
    assert (leaked.severity, leaked.where) == ("warn", "train.x, column 3")


def test_a_column_that_explains_much_of_a_real_target_is_no_leak_but_its_double_is():
    x, y = line(400, 5, noise=0.3)
    best = 0.35 * draw("other", 400, 1) + y
    assert verdict("D7", net(6, 1), (np.concatenate([x, best], axis=1), y)).severity == "pass"
    told = verdict("D7", net(6, 1), (np.concatenate([0.5 * draw("no", 400, 5), 1.2 * y], axis=1), y))
    assert (told.severity, told.where) == ("fail", "train.x, column 5")


@pytest.mark.parametrize("rate", [1e3, 1e5])
def test_derivatives_are_not_blamed_for_a_rate_that_throws_the_weights_away(rate):
    found = verdict("I7", net(4, 3), groups(), optimizer=SGD(rate))
    assert found.severity in ("pass", "skipped"), found.measured


def test_derivatives_are_not_blamed_for_a_loss_that_is_0_but_for_rounding():
    x, y = groups(apart=9.0)
    model = nnx.Sequential(LINEAR(4, 16), nnx.ReLU(), LINEAR(16, 3)).initialize(1)
    found = verdict("I7", model, (300 * x, y), optimizer=SGD(1e-2))
    assert found.severity in ("pass", "skipped"), found.measured


def test_the_rows_of_a_table_are_drawn_by_no_rule():
    model = nnx.models.build("transformer:32,2", (8, 8, 1), 10).initialize(0)
    assert nnx.doctor(model, (draw("images", 40, 8, 8, 1), np.arange(40) % 10), only=("I5",))["I5"].severity == "pass"


def test_single_rows_are_steps_where_nothing_is_normalised_by_them():
    assert verdict("T10", net(4, 3), groups(), batch_size=1, optimizer=Adam(1e-3)).severity == "pass"


def test_a_line_need_not_go_through_16_points():
    assert verdict("T1", nnx.Sequential(LINEAR(10, 1)).initialize(0), line(), optimizer=SGD(0.05)).severity == "pass"


def test_equal_rows_of_different_classes_need_not_be_learnt_by_heart():
    x, y = np.arange(240) % 12, np.arange(240) % 5 % 2
    x = np.eye(12, dtype="float32")[x]
    assert verdict("T1", net(12, 2), (x, y)).severity == "pass"


def test_a_schedule_that_ends_does_not_end_what_is_learnt_by_heart():
    assert verdict("T1", net(10, 1), line(), optimizer=Adam(CosineDecay(1e-3, length=30))).severity == "pass"


def test_small_batches_are_given_time():
    x, y = groups(300)
    first = (nnx.Standardize(4),)
    found = verdict(
        "T2", net(4, 3, first=first), (x[:240], y[:240]), (x[240:], y[240:]), batch_size=4, optimizer=SGD(3e-3)
    )
    assert found.severity == "pass", found.measured


def test_a_handful_of_rows_is_not_judged_by():
    x, y = groups(24)
    assert verdict("T2", net(4, 3), (x[:19], y[:19]), (x[19:], y[19:])).severity == "skipped"


def test_rows_that_are_equal_by_chance_are_not_in_both_parts():
    few = np.stack([draw("a", 700) > 0, draw("b", 700) > 1, np.round(2 * draw("c", 700))], axis=1).astype("float32")
    y = (draw("y", 700) > 0).astype("int64")
    assert verdict("D6", net(3, 2), (few[:500], y[:500]), (few[500:], y[500:])).severity == "pass"
    x = draw("x", 500, 3)
    copied = verdict("D6", net(3, 2), (x, y[:500]), (x[:1], y[:1]))
    assert copied.remedy.startswith("1 row is in both")


def test_rows_of_many_columns_are_compared_by_some():
    x, y = draw("wide", 100, 999), np.arange(100) % 2
    told = verdict("D6", LINEAR(999, 2), (x[:80], y[:80]), (x[70:], y[70:]))
    assert (told.severity, told.measured) == ("fail", "10 of 30 rows of val are in train (33 %)")


def people(rows, seed):
    """Age, its months, and four categories in one-hot code: people are often alike."""
    draws = np.random.default_rng([rows, seed])
    age = np.clip(np.round(draws.normal(40, 12, (rows, 1))), 18, 90)
    codes = [np.eye(k)[draws.integers(0, k, rows)] for k in (2, 3, 4, 5)]
    return np.concatenate([age, 12 * age, 90 - age, *codes], axis=1).astype("float32"), draws.integers(0, 2, rows)


def test_people_who_are_alike_are_no_rows_in_two_parts():
    for seed in range(2):
        x, y = people(2000, seed)
        train, val = (x[:1600], y[:1600]), (x[1600:], y[1600:])
        assert verdict("D6", LINEAR(17, 2), train, val).severity == "pass"
        shared = np.concatenate([val[0], x[:1600:4]]), np.concatenate([val[1], y[:1600:4]])
        assert verdict("D6", LINEAR(17, 2), train, shared).severity == "fail"


@pytest.mark.parametrize(("twins", "copies", "severity"), [(1, 0, "pass"), (150, 0, "warn"), (150, 120, "fail"), (1000, 0, "fail")])  # fmt: skip
def test_rows_that_stand_twice_are_no_copies_from_part_to_part(twins, copies, severity):
    x, y = line(1000)
    order = np.random.default_rng(6).permutation(1000 + twins) % 1000
    x, y = x[order], y[order]
    train, val = slice(len(x) - 200 + copies), slice(len(x) - 200, None)
    assert verdict("D6", LINEAR(10, 1), (x[train], y[train]), (x[val], y[val])).severity == severity


def test_inputs_of_another_kind_are_no_sane_split():
    x, y = groups(400)
    x[:, 2] += 5
    train, val = (x[:300], y[:300]), (x[300:], y[300:])
    assert verdict("D10", net(4, 3), train, val).severity == "pass"
    assert verdict("D10", net(4, 3), train, (x[300:303], y[300:303])).severity == "pass"
    told = verdict("D10", net(4, 3), train, ((val[0] - val[0].mean(axis=0)) / val[0].std(axis=0), val[1]))
    assert (told.severity, told.where) == ("warn", "val.x, column 2")
    assert told.remedy.endswith("prepare both parts alike.")


def test_a_mean_of_all_rows_that_is_that_of_the_training_rows_but_for_luck_does_no_harm():
    x, y = groups(400)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    assert verdict("D5", net(4, 3), (x[:300], y[:300]), (x[300:], y[300:])).severity == "warn"
    order = np.argsort(x[:, 0])
    x, y = x[order], y[order]
    assert verdict("D5", net(4, 3), (x[:300], y[:300]), (x[300:], y[300:])).severity == "fail"


def test_noise_of_dropout_is_no_rise_of_the_loss():
    first = (nnx.Dropout(0.9),)
    found = verdict("T8", net(20, 3, first=first), groups(400, 20), optimizer=Adam(1e-7), batch_size=16)
    assert found.values["rises"] == 0, found.measured


# what is named ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("optimizer", "seen", "advice"),
    [
        (SGD(0.1, momentum=0.999), "momentum 0.999 (≤ 0.99)", "Start from momentum 0.9."),
        (AdamW(1e-3, weight_decay=50.0), "weight decay 50 (≤ 1)", "Start from weight decay 0.01."),
        (Adam(StepDecay(1e-3, every=1, factor=0.1)), "learning rate below 1 % of its peak", "a schedule as long as"),
        (Adam(0.5, eps=1e-12), "eps 1e-12 (≥ 1e-10)", "Start from a learning rate of 1e-3, eps 1e-8."),
    ],
)
def test_a_setting_is_named_with_one_that_is_usual(optimizer, seen, advice):
    found = verdict("I10", net(4, 3), groups(), optimizer=optimizer, epochs=30)
    assert found.severity == "warn"
    assert seen in found.measured
    assert advice in found.remedy


def test_without_epochs_no_schedule_is_too_short():
    assert verdict("I10", net(4, 3), groups(), optimizer=Adam(StepDecay(1e-3, every=1, factor=0.1))).severity == "pass"
    whole = Adam(CosineDecay(1e-3, length=30))
    assert verdict("I10", net(4, 3), groups(), optimizer=whole, epochs=30).severity == "pass"


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge"])
def test_a_sigmoid_before_a_loss_on_logits(loss):
    x, y = groups(classes=2)
    if loss == "binary_cross_entropy":
        y = y[:, None].astype("float32")
    model = nnx.Sequential(LINEAR(4, 8), nnx.ReLU(), LINEAR(8, 1 if y.ndim > 1 else 2), nnx.Sigmoid()).initialize(0)
    found = verdict("I9", model, (x, y), loss=loss)
    assert (found.severity, found.where) == ("fail", "layers.3 (Sigmoid)")
    assert f"`{loss}` takes logits" in found.remedy


def test_dropout_of_inputs_and_of_outputs():
    x, y = line()
    layers = net(10, 1).layers
    model = nnx.Sequential(*layers, nnx.Dropout(0.1), nnx.Unstandardize(1)).initialize(0)
    found = verdict("I9", model, (x, y))
    assert (found.severity, found.where) == ("fail", "layers.5 (Dropout)")
    assert "Remove the dropout at the end" in found.remedy
    for p, severity in ((0.2, "pass"), (0.3, "warn")):
        model = nnx.Sequential(nnx.Standardize(10), nnx.Dropout(p), *layers[:3], nnx.Dropout(0.5), *layers[3:])
        found = verdict("I10", model.initialize(0), (x, y))
        assert (found.severity, found.remedy.startswith("Start from dropout 0.2 of the inputs")) == (severity, p > 0.2)


def test_batches_of_few_rows_are_too_few_for_batch_norm():
    def said(rows, size, *norm):
        x, y = groups(rows)
        return verdict("I10", nnx.Sequential(LINEAR(4, 8), *norm, LINEAR(8, 3)).initialize(0), (x, y), batch_size=size)

    told = said(60, 4, nnx.BatchNorm(8))
    assert (told.severity, told.measured) == ("warn", "batches of 4 rows for batch norm (≥ 8)")
    assert told.remedy == "Start from batches of 32 rows."
    assert {said(60, 8, nnx.BatchNorm(8)).severity, said(6, 8, nnx.BatchNorm(8)).severity, said(60, 4).severity} == {
        "pass"
    }


def test_a_penalty_is_to_be_divided_by_enough():
    found = verdict("I2", net(4, 3), groups(), optimizer=chain(nnx.optim.penalize(l2=30.0), Adam(1e-3)))
    assert found.remedy == "Divide λ by 1,000."


def test_a_value_that_is_none_a_column_that_is_large_and_targets_of_another_shape_are_told_plainly():
    x, y = line()
    x[7, 3] = np.nan
    found = verdict("D1", net(10, 1), (x, y))
    assert found.measured == "1 of 2000 values are not finite"
    x[7, 3] = 5e6
    assert "in column 3" in verdict("D3", net(10, 1), (x, y)).measured
    assert "y[:, None]" in verdict("D9", net(10, 1), (x, y[:, 0])).remedy
    assert 'loss="mse"' in verdict("D9", net(10, 1), (x, y), loss="cross_entropy").remedy
    labels = (y[:, 0] > 0).astype("int64")
    told = verdict("D9", net(10, 1), (x, labels), loss="binary_cross_entropy")
    assert told.measured == "expected targets of the shape of the outputs, (8, 1), got (8,)"


def test_what_is_frozen_is_mentioned_where_it_does_not_learn():
    model = net(4, 3)
    for layer in (model.layers[0], model.layers[2]):
        layer.freeze()
    found = verdict("T1", model, groups(), optimizer=SGD(1e-6))
    assert "4 of 6 parameters are frozen" in found.measured
    assert found.values["adam"] == ("Adam 1e-3 learns them" in found.remedy)
    assert "model.unfreeze()" in found.remedy


def test_steps_that_are_too_small_have_a_cause_and_are_none():
    found = verdict("T10", net(4, 3), groups(), optimizer=chain(clip_by_global_norm(1e-6), SGD(0.1)))
    assert "their steps are too small" in found.measured
    assert "raise the learning rate" in found.remedy

    def bad(id, severity, **values):
        return Verdict(id, "short training", id, severity, "seen", values=values)

    for cause in ("T9", "T6"):
        verdicts = with_causes([bad(cause, "warn"), bad("T10", "fail", cut=0.0), bad("T3", "warn")])
        assert Report(verdicts, "a model").roots[0].id == cause
        assert verdicts[1].caused_by == cause


def test_a_warm_up_trains_every_parameter():
    slow = Warmup(Constant(0.1, per="step"), length=100, start=1e-9, per="step")
    assert verdict("T10", net(4, 3), groups(), optimizer=SGD(slow)).severity == "pass"
