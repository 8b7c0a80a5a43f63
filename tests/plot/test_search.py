"""The pictures of a search: what stands on them."""

import pytest

from nnx.errors import DataError
from nnx.plot import search, style

CURVES = {"first": {1: 0.5, 2: 0.9}, "0": {1: 0.2}, "1": {1: 0.7, 2: 1.0}, "2": {1: 0.1, 2: float("nan")}, "3": {}}


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """``drawn(function, …)`` draws, and gives the axes."""
    pytest.importorskip("matplotlib", reason="needs matplotlib (extra plot)")
    figures = []
    save = style.save
    monkeypatch.setattr(style, "save", lambda figure, path: figures.append(figure) or save(figure, path))

    def draw(function, *arguments, **options):
        function(*arguments, tmp_path / "picture.png", **options)
        assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
        return figures[-1].axes[0]

    return draw


def test_every_curve_is_drawn_and_two_are_named(drawn):
    axes = drawn(search.trials, CURVES, name="val_accuracy", best="1")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["2 other trials", "the settings as given", "the best: trial 1"]
    assert (axes.get_xlabel(), axes.get_yscale()) == ("epoch", "symlog"), "logarithmic, but with a place for none wrong"
    assert axes.get_ylabel() == "share of validation rows that are wrong"
    heights = [[round(float(y), 6) for y in line.get_ydata()] for line in axes.get_lines()]
    assert heights[2:] == [[0.5, 0.1], [0.3, 0.0]], "what was measured, nothing else"
    assert any(text.get_text() in ("0", "$\\mathdefault{0}$") for text in axes.get_yticklabels())
    assert str(heights[1][1]) == "nan"
    assert [line.get_linestyle() for line in axes.get_lines()][2:] == ["--", "-"], "told apart in print"


def test_a_loss_is_drawn_as_it_is(drawn):
    axes = drawn(search.trials, {"first": {1: 2.0, 2: 1.0}}, name="val_loss", best="first", maximise=False)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["the best: the settings as given"]
    assert (axes.get_ylabel(), axes.get_yscale()) == ("validation loss", "log")
    assert list(axes.get_lines()[0].get_ydata()) == [2.0, 1.0]


def test_importances_are_bars_with_their_shares(drawn):
    axes = drawn(search.importances, {"lr": 0.75, "batch_size": 0.25})
    assert [round(bar.get_width(), 2) for bar in axes.patches] == [0.75, 0.25]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["lr", "batch-size"]
    assert [text.get_text().strip() for text in axes.texts] == ["75%", "25%"]


def test_nothing_is_no_picture(tmp_path):
    with pytest.raises(DataError, match="no curve to draw"):
        search.trials({"0": {}}, tmp_path / "c.png", name="val_loss")
    with pytest.raises(DataError, match="Run ten trials or more"):
        search.importances({}, tmp_path / "c.png")
