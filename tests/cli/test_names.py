"""Paths and columns with blanks, quotes and letters of other writings: what the command says can be typed as it stands."""

import os
import shlex

import pytest

QUICK = ("--epochs", 1, "--model", "linear", "--check", "off", "--no-record")


def commands(lines):
    """The words of each command that a report ends with."""
    after = lines[next(i for i, line in enumerate(lines) if line.startswith("next ")) :]
    return [shlex.split(line[10:])[1:] for line in after if line[10:].startswith("nnx ")]


def test_what_comes_next_can_be_typed(nnx, here):
    done = nnx("train", "digits", *QUICK, "--out", "my runs/it's one")
    evaluate, predict, plot, again = commands(done.out.splitlines())
    assert nnx(*evaluate).code == 0
    assert predict == ["predict", "my runs/it's one", "NEW_DATA", "-o", "predictions.csv"]
    assert plot[1] == "my runs/it's one"
    assert nnx(*again).code == 0


def test_advice_can_be_typed(nnx, here):
    rows = [f"c{i},{i % 5},{'yn'[i % 2]}" for i in range(120)]
    (here / "a b.csv").write_text("\n".join(["customer's id,size,answer", *rows]))
    done = nnx("train", "a b.csv", *QUICK)
    assert done.code == 2
    advice = shlex.split(done.err.partition("leave it out with ")[2].strip().rstrip("."))
    assert nnx("train", "a b.csv", *QUICK, *advice).code == 0


def test_notes_name_flags(nnx, here):
    (here / "a.csv").write_text("\n".join(["size,answer", *(f"{i},{i % 2}.0" for i in range(50))]))
    done = nnx("train", "a.csv", *QUICK)
    assert "'answer' holds real numbers; pass --task classification if they are classes " in " ".join(done.out.split())


def test_one_is_one(nnx, here):
    (here / "a.csv").write_text("size,answer\n1,u\n2,v\n")
    out = nnx("train", "a.csv", *QUICK, "--val", 0.5, "--out", "r").out
    assert "data   a.csv: 2 rows, 1 feature, 2 classes\nsplit  1 row to train, 1 to validate" in out
    assert "on 1 row, none" in out
    assert "1 feature, 2 classes" in nnx("summary", "r").out
    assert ": 1 row, on numpy" in nnx("evaluate", "r").out
    (here / "b.csv").write_text("size\n1\n")
    assert nnx("predict", "r", "b.csv", "-o", "p.csv").out == "1 prediction in p.csv\n"


def test_a_rate_that_was_found_can_be_tried(nnx, here):
    (here / "a b.csv").write_text("\n".join(["size,answer", *(f"{i},{'yn'[i % 2]}" for i in range(120))]))
    done = nnx("lr-find", "a b.csv")
    (line,) = (line for line in done.out.splitlines() if line.startswith("next "))
    assert shlex.split(line)[3] == "a b.csv"


def test_a_rate_is_not_looked_for_where_it_cannot_be_kept(nnx, here, monkeypatch):
    monkeypatch.setattr("nnx.cli.lr_find.find", None)
    (here / "lr-find").write_text("a file")
    assert nnx("lr-find", "digits").err == "nnx: lr-find: File exists\n"


def test_a_run_that_is_not_there_names_the_last_that_is(nnx, here):
    for name, time in (("b", 1), ("my run", 3), ("z", 2)):
        (here / "runs" / name).mkdir(parents=True)
        (here / "runs" / name / "config.toml").touch()
        os.utime(here / "runs" / name / "config.toml", (time, time))
    assert "The last run is 'runs/my run'." in nnx("evaluate", "runs/other").err


@pytest.mark.filterwarnings("default::nnx.plot.letters.LettersMissing")
def test_letters_that_no_font_has_are_told_in_a_line(nnx, here, monkeypatch):
    font_manager = pytest.importorskip("matplotlib.font_manager", reason="matplotlib is not installed (extra plot)")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    (here / "动物.csv").write_text("\n".join(["size,answer", *(f"{i},{'yn'[i % 2]}" for i in range(50))]), "utf-8")
    done = nnx("train", "动物.csv", *QUICK)
    assert done.code == 0
    assert done.err.count("\n") == 1
    assert done.err.startswith("nnx: runs/动物-001/curves.png shows boxes for 动物: no installed font has them.")
