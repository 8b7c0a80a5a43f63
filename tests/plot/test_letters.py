"""Names in other writings are drawn with a font that has them, and where none has it is said once."""

import numpy as np
import pytest

import nnx
from nnx import plot

pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")


def confusion(path, *classes):
    model = nnx.Sequential(nnx.Linear(2, 2, bias=False)).initialize(0)
    data = nnx.data.Dataset(np.eye(2, dtype=np.float32), np.asarray([0, 1]), classes=classes)
    return plot.confusion(model, data, path)


@pytest.fixture
def one_font(monkeypatch, tmp_path):
    """A machine with matplotlib's own font alone; what is in tmp_path/fonts is found as installed."""
    from matplotlib import font_manager

    own = [entry for entry in font_manager.fontManager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    folder = tmp_path / "fonts"
    folder.mkdir()
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path) for path in folder.iterdir()])
    return folder


def install(folder, name, letters):
    """A font whose every letter is a square with a square hole."""
    builder = pytest.importorskip("fontTools.fontBuilder", reason="needs fontTools").FontBuilder(1000)
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    for square in ([(0, 0), (0, 900), (900, 900), (900, 0)], [(300, 300), (600, 300), (600, 600), (300, 600)]):
        pen.moveTo(square[0])
        for point in square[1:]:
            pen.lineTo(point)
        pen.closePath()
    glyph, names = pen.glyph(), [".notdef", *(f"u{ord(letter):04X}" for letter in letters)]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, letters), names[1:])))
    builder.setupGlyf(dict.fromkeys(names, glyph))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=0)
    builder.setupNameTable({"familyName": name, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(folder / f"{name}.ttf")


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_letters_are_drawn_with_the_fonts_that_have_them(kind, one_font, tmp_path, monkeypatch):
    install(one_font, "Beasts", "猫狗")
    install(one_font, "Birds", "鸟狗")
    families = []
    save = plot.style.letters.complete
    monkeypatch.setattr(
        plot.style.letters,
        "complete",
        lambda figure: (save(figure), families.extend(figure.axes[0].get_yticklabels()))[0],
    )
    confusion(tmp_path / f"c.{kind}", "猫狗", "鸟 and 猫")  # a warning would be an error here
    assert [set(label.get_fontfamily()) for label in families] == [{"sans-serif", "Beasts", "Birds"}] * 2


def test_what_no_font_has_is_said_once(one_font, tmp_path):
    with pytest.warns(plot.style.letters.LettersMissing, match="c.png shows boxes for 狗猫: no installed font") as told:
        confusion(tmp_path / "c.png", "猫", "猫狗")
    assert len(told) == 1
    confusion(tmp_path / "c.svg", "猫", "狗")  # its letters are text, which the viewer draws


def test_other_texts_keep_their_font(one_font, tmp_path):
    confusion(tmp_path / "plain.png", "cat", "dog")
    install(one_font, "Beasts", "猫狗")
    confusion(tmp_path / "again.png", "cat", "dog")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "again.png").read_bytes()
