"""Checks of data and start, judged at their bounds."""

import numpy as np
import pytest

import nnx
from nnx.doctor.rows import rows_of
from nnx.doctor.splits import _by_chance
from nnx.optim import SGD, Adam

ROWS = 64
SIGN = np.where(np.arange(ROWS) % 2, 1.0, -1.0)


def linear(weight, bias=0.0):
    """A dense layer with these weights."""
    weight = np.asarray(weight, dtype=np.float32)
    model = nnx.Linear(*weight.shape).initialize(0)
    model.load({"weight": weight, "bias": np.full(weight.shape[1], bias, dtype=np.float32)})
    return model


def verdict(id, x, y, *, model=None, **options):
    x = np.asarray(x, dtype=np.float32)
    x = x[:, None] if x.ndim == 1 else x
    model = nnx.Linear(x.shape[1], 2).initialize(0) if model is None else model
    return nnx.doctor(model, (x, y), only=(id,), **options)[id]


def few(*values):
    """Zeros, but for these values."""
    x = np.zeros(ROWS)
    x[: len(values)] = values
    return x


LABELS = np.arange(ROWS) % 2


@pytest.mark.parametrize(
    ("x", "severity"),
    [
        (0.5 + 0 * SIGN, "pass"), (0.49 + 0 * SIGN, "warn"), (1 + 0 * SIGN, "pass"), (1.1 + 0 * SIGN, "warn"), (0.25 + 0.2 * SIGN, "warn"),
        (2 * SIGN, "pass"), (2.1 * SIGN, "warn"), (few(2, -2, 2, -2), "pass"), (few(2, -2, 2), "warn"), (1.5 * SIGN + 0.1875, "pass"),
        (1.5 * SIGN + 0.25, "warn"), (1.5 * SIGN - 0.25, "warn"), (49 * SIGN, "warn"), (51 * SIGN, "fail"), (0.0105 * SIGN, "warn"),
        (0.0095 * SIGN, "fail"), (few(1e-3, 0.9), "pass"),
    ],
)  # fmt: skip
def test_the_scale_of_inputs(x, severity):
    assert verdict("D3", x, LABELS).severity == severity


def test_the_scale_of_inputs_is_told():
    x = np.stack([SIGN, 60 * SIGN + 3, 30 * SIGN], axis=1)
    found = verdict("D3", x, LABELS)
    assert found.measured == "max 63 in column 1, middle mean 0, std 38.7, RMS 38.8"
    assert set(found.values) == {"largest", "mean", "std", "rms"}
    assert found.remedy == "Put `nnx.Standardize(3)` first, and scale only once."
    prepared = nnx.Sequential(nnx.Standardize(3), nnx.Linear(3, 2)).initialize(0)
    prepared.layers[0].fit(x[:9].astype("float32") / 100)
    assert "has a preparation layer already" in verdict("D3", x, LABELS, model=prepared).remedy


@pytest.mark.parametrize(
    ("columns", "severity", "where"),
    [
        ([SIGN, 0 * SIGN], "warn", "column 1"), ([SIGN, 0 * SIGN, SIGN.cumsum()], "pass", "column 1"), ([SIGN, SIGN], "warn", "column 1"),
        ([0 * SIGN, 1 + 0 * SIGN], "fail", "column 0"), ([0 * SIGN, 0 * SIGN, SIGN, 2 * SIGN], "warn", "column 0"),
        ([SIGN, 2 * SIGN], "pass", "train.x"),
    ],
)  # fmt: skip
def test_columns_that_tell_nothing(columns, severity, where):
    found = verdict("D4", np.stack(columns, axis=1), LABELS)
    assert (found.severity, found.where) == (severity, f"train.x, {where}")


def test_a_scale_of_zero_divides_by_it():
    x = np.stack([SIGN, 2 * SIGN], axis=1)
    model = nnx.Sequential(nnx.Standardize(2), nnx.Linear(2, 2)).initialize(0)
    model.layers[0].fit(x.astype("float32"))
    model.load(model.state() | {"layers.0.scale": np.asarray([1, 0], dtype="float32")})
    found = verdict("D4", x, LABELS, model=model)
    assert (found.severity, found.where, found.measured) == ("fail", "layers.0.scale", "layers.0 divides by 0")


def test_ten_times_the_rows_are_allowed():
    for most, severity in ((50, "pass"), (51, "warn")):
        y = np.repeat([0, 1], [most, 5])
        found = verdict("D8", np.arange(len(y)), y)
        assert (found.severity, found.values["ratio"]) == (severity, most / 5)
        assert "class 1 has 5 rows" in found.where


@pytest.mark.parametrize(
    ("size", "severity"),
    [
        (1, "pass"),
        (10, "pass"),
        (10.5, "warn"),
        (0.1001, "pass"),
        (0.09, "warn"),
        (999, "warn"),
        (1100, "fail"),
        (9e-4, "fail"),
    ],
)
def test_the_size_of_targets(size, severity):
    y = np.full((ROWS, 1), size, dtype=np.float32)
    for x, bias, weight in ((SIGN, 0.0, 1.0), (3 * SIGN, 0.0, 1 / 3)):
        assert verdict("D11", x, y, model=linear([[weight]], bias)).severity == severity
    assert verdict("D11", SIGN, y + 7, model=linear([[1.0]], 7.0)).severity == severity
    assert verdict("D11", SIGN, y, model=linear([[0.0]])).severity == "skipped"


@pytest.mark.parametrize(
    ("missing", "rows", "severity"), [("val", 40, "warn"), ("val", 50, "fail"), ("train", 9, "fail"), ("", 50, "pass")]
)
def test_a_class_that_is_missing(missing, rows, severity):
    ours, theirs = np.arange(100) % 10, np.arange(rows) % 10
    ours, theirs = ours - (ours == 7) * (missing == "train"), theirs - (theirs == 7) * (missing == "val")
    found = verdict("D10", ours, ours, model=linear(np.ones((1, 10))), val=(theirs[:, None].astype("float32"), theirs))
    assert (found.severity, found.where) == (severity, f"{missing}.y, class 7" if missing else "val.y")


def test_shares_and_means_may_differ_by_luck():
    def classes(part):
        ours, theirs = np.arange(800) % 2, (np.arange(200) >= part).astype("int64")
        return verdict("D10", ours, ours, val=(theirs[:, None].astype("float32"), theirs))

    assert classes(100).values["z"] == pytest.approx(-(0.5**0.5))
    assert [classes(part).severity for part in (127, 128)] == ["pass", "warn"]
    assert classes(127).values["z"] == pytest.approx(7.55, abs=0.1)

    def means(shift):
        x, y = np.arange(400.0), SIGN[np.arange(400) % 64][:, None].astype("float32")
        return verdict("D10", x, y, model=nnx.Linear(1, 1), val=(x[::4, None].astype("float32"), shift + y[:100]))

    assert [means(shift).severity for shift in (0.0, 0.88, -0.92, 2.5)] == ["pass", "pass", "warn", "fail"]
    assert means(0.5).values["z"] == pytest.approx(0.5 / (1 / 400 + 1 / 100) ** 0.5, rel=1e-3)


def test_rows_agree_by_chance_as_their_columns_do():
    def share(*columns):
        return _by_chance(
            rows_of((np.stack(columns, axis=1).astype("float32"), np.zeros(1000, dtype="int64")), "train")
        )

    n = np.arange(1000)
    tens, hundreds, thousands = n % 10, n // 10 % 10, n // 100
    together = 1 - (1 - 9 / 999 * 99 / 999) ** 1000
    assert share(tens, hundreds, thousands) == pytest.approx(together)
    assert share(tens, hundreds, thousands, 3 * tens, 9 - hundreds) == pytest.approx(together)
    assert share(*(tens == value for value in range(10)), hundreds, thousands) == pytest.approx(together)
    assert share(tens, hundreds) == pytest.approx(1 - (1 - 9 / 999) ** 1000)
    assert share(n % 200) == pytest.approx(1 - (1 - 4 / 999) ** 1000)  # five alike: four others
    assert share(n % 250, n // 250) == pytest.approx(1 - (1 - 3 / 999 * 249 / 999) ** 1000)
    assert share(tens, n) == 0
    assert share(0 * n) == 1


def test_units_begin_different():
    x = np.stack([SIGN] * 4, axis=1)
    for weight, severity in (
        (np.ones((4, 4)), "fail"),
        (np.eye(4), "pass"),
        (np.zeros((4, 1)), "fail"),
        (np.eye(4, 1), "pass"),
    ):
        model = nnx.Sequential(nnx.Linear(*weight.shape), nnx.Linear(weight.shape[1], 2)).initialize(0)
        model.load(model.state() | {"layers.0.weight": weight.astype("float32")})
        assert verdict("I4", x, LABELS, model=model).severity == severity
    assert verdict("I4", x, LABELS, model=linear(np.ones((4, 2)))).severity == "pass"


@pytest.mark.parametrize(
    ("ratio", "severity"),
    [(1, "pass"), (0.26, "pass"), (0.24, "warn"), (3.9, "pass"), (4.1, "warn"), (0.011, "warn"), (0.009, "fail"), (99, "warn"), (101, "fail")],
)  # fmt: skip
def test_weights_begin_near_a_rule(ratio, severity):
    x = np.stack([SIGN] * 16, axis=1)
    nearest = 2 / 16 if ratio > 1 else 2 / 18  # of He's, Glorot's and LeCun's with 16 inputs and 2 outputs
    nearest = min(nearest, 1 / 16) if ratio < 1 else nearest
    weight = (ratio * nearest) ** 0.5 * np.stack([np.resize([1, -1], 16), np.ones(16)], axis=1)
    found = verdict("I5", x, LABELS, model=linear(weight))
    assert found.severity == severity
    assert found.values["ratio"] == pytest.approx(ratio, rel=1e-4)


def test_what_begins_at_zero_at_the_end_or_is_small_is_not_judged_by_a_rule():
    x = np.stack([SIGN] * 16, axis=1)
    assert verdict("I5", x, LABELS, model=linear(np.zeros((16, 2)))).measured == "the only weight begins at 0"
    assert verdict("I5", x[:, :5], LABELS, model=linear(99 * np.ones((5, 3)))).severity == "skipped"
    assert verdict("I5", x[:, :8], LABELS, model=linear(99 * np.ones((8, 2)))).severity == "fail"
    assert verdict("I4", x, LABELS, model=nnx.LayerNorm(16).initialize(0)).severity == "skipped"


@pytest.mark.parametrize(
    ("first", "second", "severity", "way"),
    [
        (1, 1, "pass", ""), (1.9, 1.9, "pass", ""), (2.1, 2.1, "warn", "blows up"), (19, 19, "warn", "blows up"), (21, 21, "fail", "blows up"),
        (0.051, 0.051, "pass", ""), (0.049, 0.049, "warn", "dies"), (0.011, 0.011, "warn", "dies"), (0.009, 0.009, "fail", "dies"),
        (1.9, 0.2, "pass", ""), (1.9, 0.18, "warn", "blows up"), (19, 0.2, "warn", "blows up"), (19, 0.18, "fail", "blows up"),
    ],
)  # fmt: skip
def test_the_signal_keeps_its_size(first, second, severity, way):
    model = nnx.Sequential(nnx.Linear(1, 1), nnx.Tanh(), nnx.Linear(1, 1), nnx.Tanh(), nnx.Linear(1, 2)).initialize(0)
    weights = {"layers.0.weight": [[first]], "layers.2.weight": [[second / np.tanh(first)]]}
    model.load(model.state() | {path: np.asarray(w, dtype="float32") for path, w in weights.items()})
    found = verdict("I6", SIGN, LABELS, model=model)
    assert found.severity == severity
    assert way in found.remedy
    assert (found.values["low"], found.values["high"]) == pytest.approx(
        (min(first, second), max(first, second)), rel=1e-3
    )


def test_a_loss_that_grows_with_the_batch():
    def change(power):
        scaled = lambda out, y: nnx.losses.cross_entropy(out, y) * out.shape[0] ** power  # noqa: E731
        return verdict("I11", SIGN, LABELS, loss=scaled)

    assert [change(power).severity for power in (0, 0.02, -0.02, 0.03, -0.04, 1)] == ["pass"] * 3 + ["fail"] * 3
    assert change(1).values["change"] == pytest.approx(31, rel=1e-3)
    assert verdict("I11", SIGN, LABELS, loss=lambda out, y: 0 * nnx.losses.cross_entropy(out, y)).severity == "skipped"
    assert (
        verdict("I11", SIGN, LABELS, loss=lambda out, y: 1e300 * nnx.losses.cross_entropy(out, y)).severity == "skipped"
    )


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"optimizer": Adam(1e-2)}, {}), ({"optimizer": Adam(1.1e-2)}, {"adam_rate": 1.1e-2}), ({"optimizer": SGD(5.0)}, {}),
        ({"optimizer": SGD(1e-7)}, {}), ({"optimizer": SGD(0.9e-7)}, {"rate": 0.9e-7}), ({"optimizer": SGD(0.1, momentum=0.99)}, {}),
        ({"optimizer": SGD(0.1, momentum=0.991)}, {"momentum": 0.991}), ({"optimizer": Adam(1e-3, eps=1e-10)}, {}),
        ({"optimizer": Adam(1e-3, eps=0.9e-10)}, {"eps": 0.9e-10}), ({"optimizer": nnx.optim.AdamW(1e-3, weight_decay=1.0)}, {}),
        ({"optimizer": nnx.optim.AdamW(1e-3, weight_decay=1.1)}, {"weight_decay": 1.1}),
    ],
)  # fmt: skip
def test_usual_settings(settings, found):
    told = verdict("I10", SIGN, LABELS, **settings)
    assert (told.severity, dict(told.values)) == ("warn" if found else "pass", found)


@pytest.mark.parametrize(("drop", "severity"), [(0.5, "pass"), (0.51, "warn")])
def test_usual_dropout(drop, severity):
    model = nnx.Sequential(nnx.Linear(1, 2), nnx.Dropout(drop), nnx.Dropout(0.1), nnx.Linear(2, 2)).initialize(0)
    found = verdict("I10", SIGN, LABELS, model=model)
    assert (found.severity, found.where) == (severity, "layers.1" if severity == "warn" else "optimizer")


@pytest.mark.parametrize(
    ("l2", "share", "severity"),
    [(1.0, 0.5, "pass"), (1.1, None, "warn"), (0.0, None, "skipped"), (100.0, None, "warn")],
)
def test_the_share_of_a_regulariser(l2, share, severity):
    loss = lambda out, y: nnx.losses.cross_entropy(out, y) * 0 + 8.0  # noqa: E731
    links = nnx.optim.chain(nnx.optim.penalize(l2=l2), Adam()) if l2 else Adam()
    found = verdict("I2", SIGN, LABELS, model=linear([[4.0, 0.0]]), loss=loss, optimizer=links)
    assert found.severity == severity
    if l2:
        assert found.values["share"] == pytest.approx(8 * l2 / (8 * l2 + 8))
        assert found.values["factor"] == {1.0: 10, 1.1: 10, 100.0: 100}[l2]


def test_a_penalty_that_is_negative_or_no_number_fails():
    for value, severity in ((-1.0, "fail"), (np.nan, "fail"), (np.inf, "warn")):

        def penalty(params, value=value):
            return next(iter(params.values())).sum() * 0 + value

        assert verdict("I2", SIGN, LABELS, penalty=penalty).severity == severity


@pytest.mark.parametrize(
    ("fitted", "apart", "severity"),
    [
        (0.0, 0.5, "pass"), (0.19, 0.5, "pass"), (0.21, 0.5, "warn"), (0.79, 0.5, "warn"), (0.81, 0.5, "fail"), (1.0, 0.5, "fail"),
        (1.0, 0.12, "fail"), (1.0, 0.08, "warn"), (1.19, 0.5, "fail"), (1.21, 0.5, "warn"), (-0.5, 0.5, "warn"),
    ],
)  # fmt: skip
def test_whose_mean_was_taken_away(fitted, apart, severity):
    """``fitted``: how far from the mean of train to that of all rows, which is ``apart`` standard deviations away."""
    model = nnx.Sequential(nnx.Standardize(1), nnx.Linear(1, 2)).initialize(0)
    model.layers[0].fit(SIGN[:, None].astype("float32"))
    model.load(model.state() | {"layers.0.mean": np.asarray([fitted * apart], dtype="float32")})
    others = (SIGN + 2 * apart)[:, None].astype("float32"), LABELS
    found = verdict("D5", SIGN, LABELS, model=model, val=others)
    assert (found.severity, found.where) == (severity, "layers.0.mean")
    assert found.values["train"] == pytest.approx(abs(fitted) * apart, rel=1e-4, abs=1e-7)
    assert found.values["all"] == pytest.approx(abs(1 - fitted) * apart, rel=1e-4, abs=1e-7)


def test_whose_mean_was_taken_away_is_not_always_to_be_told():
    val = (SIGN[:, None] + 1).astype("float32"), LABELS
    unfitted = nnx.Sequential(nnx.Standardize(1), nnx.Linear(1, 2))
    assert verdict("D5", SIGN, LABELS, model=unfitted, val=val).measured == "it will be fitted on train"
    assert verdict("D5", SIGN, LABELS, val=(SIGN[:, None].astype("float32"), LABELS)).severity == "skipped"
    assert verdict("D5", SIGN, LABELS).measured == "there are no other rows to compare with"
    assert verdict("D5", SIGN + 0.5, LABELS, val=val).measured == "the inputs come as they are"
    assert verdict("D5", SIGN, LABELS, val=val).severity == "pass"
    assert verdict("D5", SIGN + 0.3, LABELS, val=val).measured == "the inputs come as they are"
    shifted = verdict("D5", SIGN - 0.4, LABELS, test=(val[0] - 0.6, LABELS))
    assert (shifted.severity, shifted.where) == ("fail", "train.x")


def test_a_layer_alone_is_named_by_its_kind():
    assert verdict("D3", SIGN, LABELS, model=linear([[1.0, 1.0]])).where == "input of Linear"


@pytest.mark.parametrize(("bias", "severity"), [(0.0, "warn"), (1e-3, "pass"), (-1e-3, "pass")])
def test_the_last_bias_of_unbalanced_classes(bias, severity):
    y = np.repeat([0, 1], [60, 4])
    report = nnx.doctor(linear([[1.0, 0.0]], bias), (SIGN[:, None].astype("float32"), y), only=("D8", "I3"))
    assert (report["I3"].severity, report["I3"].where) == (severity, "bias")
    if severity == "warn":
        assert (report["I3"].remedy, report["I3"].bound) == ("Start the last bias at log prior.", "not 0, as D8 warns")
    assert verdict("I3", SIGN, LABELS).severity == "pass"


@pytest.mark.parametrize(
    ("first", "severity"),
    [(0.9, "pass"), (25.9, "pass"), (26.1, "warn"), (100.9, "warn"), (101.1, "fail"), (0.26, "pass"), (0.24, "warn"), (-0.1, "warn"), (np.nan, "fail")],
)  # fmt: skip
def test_the_first_loss_of_real_targets(first, severity):
    """The loss is that of the mean target, 1, for outputs that are constant and ``first`` for the model's."""

    def loss(out, y):
        xp = nnx.namespace(out)
        return xp.where(xp.max(out) > xp.min(out), xp.sum(out) * 0 + first, xp.sum(out) * 0 + 1.0)

    y = np.zeros((ROWS, 1), dtype="float32")
    assert verdict("I1", SIGN, y, model=linear([[1.0]]), loss=loss).severity == severity
