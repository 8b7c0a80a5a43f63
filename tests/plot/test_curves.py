"""Learning curves: what is on the picture, and what is said when it cannot be drawn."""

import subprocess
import sys

import pytest

from nnx import plot
from nnx.errors import DataError
from nnx.plot import style

HISTORY = [
    {"epoch": i, "loss": 2.0 / i, "accuracy": 1 - 0.5 / i, "val_loss": 2.5 / i, "val_accuracy": 1 - 0.6 / i}
    for i in range(1, 13)
]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """``drawn(history)`` draws, and gives the axes."""
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed (extra plot)")
    figures = []
    monkeypatch.setattr(
        style, "figure_class", lambda: lambda **kwargs: figures.append(figure.Figure(**kwargs)) or figures[-1]
    )

    def draw(history, **kwargs):
        plot.curves(history, tmp_path / "curves.png", **kwargs)
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
        return figures[-1].axes

    return draw


def test_loss_and_metric_have_their_panels_labels_and_numbers(drawn):
    loss, accuracy = drawn(HISTORY, title="digits")
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy (share of rows)")
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        train, val = axes.get_lines()
        assert list(train.get_xdata()) == list(range(1, 13))
        assert list(train.get_ydata()) == [record[name] for record in HISTORY]
        assert list(val.get_ydata()) == [record[f"val_{name}"] for record in HISTORY]
        assert (train.get_linestyle(), val.get_linestyle()) == ("-", "--"), "told apart in print"
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training, as it learns", "validation"]


def test_regression_shows_r2_and_training_alone_is_drawn_alone(drawn):
    records = [{"epoch": i, "loss": 1.0, "mae": 2.0, "val_loss": 1.0, "val_r2": 0.5, "val_mae": 2.0} for i in (1, 2)]
    assert [axes.get_ylabel() for axes in drawn(records)] == ["loss", "R²"]
    alone = drawn([{"epoch": 1, "loss": 1.0, "mae": 2.0}])
    assert [axes.get_ylabel() for axes in alone] == ["loss", "mean absolute error (unit of the target)"]
    assert [len(axes.get_lines()) for axes in alone] == [1, 1]


def test_a_value_that_was_not_finite_is_a_gap(drawn):
    line = drawn([{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": None}, {"epoch": 3, "loss": 0.5}])[0].get_lines()[0]
    assert str([float(y) for y in line.get_ydata()]) == "[1.0, nan, 0.5]"


def test_one_epoch_is_one_mark_on_the_axis(drawn):
    axes = drawn(HISTORY[:1])[0]
    assert [tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]] == [1.0]


def test_a_panel_without_a_finite_value_says_so(drawn):
    loss, accuracy = drawn([HISTORY[0] | {"loss": None, "val_loss": float("nan")}])
    assert [text.get_text() for text in loss.texts] == ["no finite value"]
    assert not accuracy.texts


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return sum(w * c**2.2 for w, c in zip((0.2126, 0.7152, 0.0722), channels))


def test_the_colours_differ_in_grey_too():
    light, dark = sorted((luminance(style.TRAIN), luminance(style.VAL)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 1.2


def test_no_epoch_is_no_picture(tmp_path):
    with pytest.raises(DataError, match="Train for an epoch first"):
        plot.curves([], tmp_path / "c.png")


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(plot.PlotUnavailable, match=r'python -m pip install "nnx-array\[plot\]"'):
        plot.curves(HISTORY, tmp_path / "c.png")


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, nnx.plot; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
