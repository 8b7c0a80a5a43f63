"""What is named where something is wrong, and what only looks wrong."""

import numpy as np
import pytest

import nnx
from nnx.doctor.measure import pull
from nnx.doctor.report import Report
from nnx.doctor.subject import Subject
from nnx.doctor.verdict import Verdict
from nnx.errors import ConfigError

X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
LABELS = np.arange(64) % 2


def verdict(id, layers, x=X, y=LABELS, **options):
    model = layers if isinstance(layers, nnx.Module) else nnx.Sequential(*layers).initialize(0)
    return nnx.doctor(model, (x, y), only=(id,), **options)[id]


class Last(nnx.Module):
    """A layer of one's own that ends in a softmax and does a little more."""

    def __init__(self):
        self.layer, self.softmax = nnx.Linear(3, 2), nnx.Softmax()

    def forward(self, x):
        return 1.0 * self.softmax(self.layer(x))


def test_probabilities_of_a_layer_of_ones_own_are_no_hidden_ones():
    found = verdict("I9", Last().initialize(0))
    assert (found.measured, found.where) == ("probabilities go into a loss on logits", "softmax (Softmax)")
    found = verdict("I9", [nnx.Linear(3, 4), nnx.Softmax(), nnx.Linear(4, 2)])
    assert (found.measured, found.where) == ("softmax between hidden layers", "layers.1 (Softmax)")
    found = verdict("I9", [nnx.Linear(3, 1), nnx.Softmax()], y=X[:, :1])
    assert found.measured == "softmax over one output is always 1"


@pytest.mark.parametrize("last", [nnx.LeakyReLU, nnx.GELU, nnx.SiLU, nnx.Maxout])
def test_an_activation_that_reaches_all_numbers_may_be_the_last(last):
    width = 4 if last is nnx.Maxout else 2
    assert verdict("I9", [nnx.Linear(3, width), last()]).severity == "pass"


@pytest.mark.parametrize(
    ("last", "low", "high"),
    [(nnx.Sigmoid, 0, 1), (nnx.Tanh, -1, 1), (nnx.ReLU, 0, 99), (nnx.Softplus, 0, 99), (nnx.ELU, -1, 99)],
)
def test_targets_outside_of_what_the_last_activation_reaches(last, low, high):
    layers = [nnx.Linear(3, 1), last()]
    for value, severity in (
        (low, "pass"),
        (high, "pass"),
        (low - 0.01, "fail"),
        (high + 0.01, "fail" if high == 1 else "pass"),
    ):
        y = np.full((64, 1), value, dtype="float32")
        found = verdict("I9", layers, y=y)
        assert found.severity == severity, value
        assert found.where == ("" if severity == "pass" else f"layers.1 ({last.__name__})")
        scaled = nnx.Sequential(*layers, nnx.Unstandardize(1)).initialize(0)
        scaled.layers[2].fit(np.asarray([[30.0], [50.0]], dtype="float32"))
        assert verdict("I9", scaled, y=40 + 10 * y).severity == severity, value
    many = np.full((100, 1), high - 0.5, dtype="float32")
    for wrong, severity in ((1, "pass"), (2, "fail")):
        many[:wrong] = low - 1
        assert verdict("I9", layers, x=X[np.arange(100) % 64], y=many).severity == severity


@pytest.mark.parametrize("last", [nnx.Softmax, nnx.Sigmoid])
def test_a_loss_of_ones_own_may_take_what_is_between_0_and_1(last):
    def likelihood(out, y):
        xp = nnx.namespace(out)
        return -xp.mean(xp.log(xp.take_along_axis(out, y[:, None], axis=1)))

    layers, y = [nnx.Linear(3, 3), last()], np.arange(64) % 3
    assert verdict("I9", layers, y=y, loss=likelihood).severity == "pass"
    if last is nnx.Softmax:
        assert verdict("I1", layers, y=y, loss=likelihood).values["known"] == pytest.approx(np.log(3))


@pytest.mark.parametrize(("y", "severity"), [([0.25, 0.75], "pass"), ([-0.25, 1.25], "fail"), ([0.5, 1.0], "fail")])
def test_shares_are_targets_of_cross_entropy(y, severity):
    y = np.broadcast_to(np.asarray(y, dtype="float32"), (64, 2))
    assert verdict("D9", [nnx.Linear(3, 2)], y=y, loss="cross_entropy").severity == severity


def test_figures_keep_the_digits_of_the_device():
    assert pull({"a": np.asarray(1 + 1e-12), "b": np.asarray(2.0, dtype="float32")}) == {"a": 1 + 1e-12, "b": 2.0}


def test_losses_are_known_as_functions_too():
    assert verdict("D9", [nnx.Linear(3, 2)], loss=nnx.losses.mse).measured == 'classes with loss="mse"'
    assert verdict("D9", [nnx.Linear(3, 2)], loss=lambda out, y: nnx.losses.cross_entropy(out, y)).severity == "pass"


def test_the_first_label_out_of_range_is_named():
    y = LABELS.copy()
    y[[5, 9]] = 7, -1
    found = verdict("D2", [nnx.Linear(3, 2)], y=y)
    assert (found.measured, found.where) == ("label 7; 2 of 64 labels are out of range", "train.y, row 5")
    assert found.remedy == "Label 7 at train.y, row 5, but the last layer has 2 outputs: relabel or widen it."
    assert verdict("D2", [nnx.Linear(3, 2)], val=(X, y)).where == "val.y, row 5"
    y[5] = 0
    assert verdict("D2", [nnx.Linear(3, 2)], y=y).where == "train.y, row 9"
    assert verdict("D2", [nnx.Linear(3, 1)]).severity == "pass", "one output is no score of a class"


def test_a_class_that_is_declared_but_has_no_rows():
    data = nnx.data.Dataset(X, LABELS, task="classification", classes=("a", "b", "c"))
    found = nnx.doctor(nnx.Linear(3, 3).initialize(0), data, only=("D8",))["D8"]
    assert (found.measured, found.where) == ("class c has no training rows", "train.y, class c")


def test_classes_have_the_names_of_the_table_and_one_row_cannot_be_in_two_parts():
    x, y = X[:60], np.repeat([0, 1, 2], [48, 11, 1])
    data = nnx.data.Dataset(x, y, task="classification", classes=("700", "730", "800"))
    train, val = data.take(np.arange(2, 60)), data.take(np.arange(20, 58))
    report = nnx.doctor(nnx.Linear(3, 3).initialize(0), train, val, only=("D8", "D10"))
    assert report["D8"].measured.startswith("class 700 has 46 times the rows of class 800")
    assert report["D8"].where == "train.y, class 800 has 1 row"
    assert report["D10"].severity == "pass"
    report = nnx.doctor(nnx.Linear(3, 3).initialize(0), train, data.take(np.arange(40)), only=("D10",))
    assert (report["D10"].severity, report["D10"].where) == ("fail", "val.y, class 730")


def test_where_all_rows_are_of_one_class_no_column_tells_it():
    found = verdict("D7", [nnx.Linear(3, 2)], y=0 * LABELS)
    assert (found.severity, found.values["score"]) == ("pass", 0)


@pytest.mark.parametrize(("noise", "severity"), [(0.5, "pass"), (0.36, "pass"), (0.15, "warn"), (0.01, "fail")])
def test_a_column_that_tells_most_of_a_target(noise, severity):
    draw = np.random.default_rng(1)
    x = draw.normal(size=(2000, 3)).astype("float32")
    y = (x[:, 1] + noise * draw.normal(size=2000)).astype("float32")[:, None]
    found = verdict("D7", [nnx.Linear(3, 1)], x=x, y=y)
    assert (found.severity, found.where) == (severity, "train.x, column 1")
    assert found.values["score"] == pytest.approx(1 - noise / (1 + noise**2) ** 0.5, abs=0.05)


def test_dropout_is_no_part_of_the_signal():
    plain = [nnx.Linear(3, 16), nnx.Tanh(), nnx.Linear(16, 16), nnx.Tanh(), nnx.Linear(16, 2)]
    dropped = nnx.Sequential(*plain[:2], nnx.Dropout(0.9), *plain[2:]).initialize(0)
    model = nnx.Sequential(*plain).initialize(0)
    dropped.load({path.replace("4", "5").replace("2", "3"): array for path, array in model.state().items()})
    assert verdict("I6", dropped).values == verdict("I6", model).values


def test_a_training_of_the_doctors_own_has_dropout_unless_it_is_left_out():
    model = nnx.Sequential(nnx.Linear(3, 2), nnx.Dropout(0.5)).initialize(0)
    subject = Subject(model, (X, LABELS))
    assert [subject.fresh(dropout=on).layers[1].p for on in (True, False)] == [0.5, 0.0]
    assert model.layers[1].p == 0.5


def test_the_settings_that_are_not_given_are_those_of_fit():
    assert verdict("I10", [nnx.Linear(3, 2)]).measured == "adam, learning rate 0.001"
    subject = Subject(nnx.Linear(3, 2), (X, LABELS), epochs=3, batch_size=30)
    assert (subject.steps, subject.batch_size, subject.loss_name) == (9, 30, "cross_entropy")
    assert Subject(nnx.Linear(3, 2), (X, LABELS), batch_size=99).batch_size == 64


def test_a_gradient_that_is_cut_is_told_as_such():
    class Cut(nnx.Module):
        def forward(self, x):
            return nnx.stop_gradient(x)

    found = verdict("I7", [nnx.Linear(3, 4), Cut(), nnx.Linear(4, 2)])
    assert found.severity == "fail"
    assert found.remedy.startswith(f"The loss depends on {found.where}, but no gradient comes back to it")


@pytest.mark.parametrize("rows", [slice(0, 1), slice(-1, None)])
def test_rows_that_feel_the_first_or_the_last(rows):
    class Felt(nnx.Module):
        def forward(self, x):
            return x + 0.5 * x[rows, :]

    found = verdict("I8", [nnx.Linear(3, 2), Felt()])
    assert (found.severity, found.where) == ("fail", "outputs")
    assert found.measured.startswith("|∂out_4/∂x_j| up to")
    assert found.values["others"] > 0
    assert verdict("I8", [nnx.Linear(3, 2)]).values == {"others": 0}


def test_more_than_one_array_is_no_output_and_more_than_two_are_no_rows():
    class Two(nnx.Module):
        def __init__(self):
            self.layer = nnx.Linear(3, 2)

        def forward(self, x):
            return self.layer(x), x

    with pytest.raises(ConfigError, match="expected a model whose output is one array"):
        nnx.doctor(Two(), (X, LABELS))
    with pytest.raises(ConfigError, match="expected train as a Dataset or a pair"):
        nnx.doctor(nnx.Linear(3, 2), (X, LABELS, X))
    assert verdict("D9", [nnx.Linear(3, 2)], val=[X, LABELS]).severity == "pass"


def test_the_last_lines_hang_below_their_names():
    told = [Verdict(f"T{i}", "data", "", "skipped", "for this reason") for i in range(9)]
    lines = str(Report(tuple(told), "a model")).splitlines()
    assert lines[2].startswith("skipped T0 for this reason; T1")
    assert all(line[:8] == " " * 8 and line[8] != " " for line in lines[3:])
