"""The gallery: every script has its picture, its numbers and its place in the index, and the numbers are what it says.

The numbers of the committed CSVs are judged in every run: each ``lesson`` is asked to read them, and the index is made from them again.
The scripts that take a few seconds are run, on each backend chosen, and must give the committed numbers; `nox -s gallery`
runs them all, by ``NNX_GALLERY=all`` in the environment.

Tolerance: all lessons compute in float64, so two backends differ by rounding that a training carries on: 1e-3 of the value, and 1e-4 of the
largest value of its panel. Lines that a script calls ``LOOSE`` are not compared, for rounding decides where they go (a rate that is too high)
or is what they show: for them only the lesson must hold.
"""

import ast
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
sys.path.append(str(GALLERY))

import _gallery  # noqa: E402

QUICK = ("standardise", "initialisers", "signals", "activations", "gradient_checking", "schedules")
"""Each under 3 seconds on one core."""
COMPILES = pytest.mark.skip_backends("jax", reason="compiles anew for each step, half a minute for nothing new")
RUN = _gallery.LESSONS if os.environ.get("NNX_GALLERY") == "all" else QUICK
SCRIPTS = sorted(path.stem for path in GALLERY.glob("[a-z]*.py"))


def disagreements(new, old, rtol=1e-3, share=1e-4, loose=()):
    """What differs between two ``Numbers``: lines that one lacks, and values beyond the tolerance."""
    found = [f"{panel}, {line}: only in one of them" for panel, line in sorted(set(new.lines) ^ set(old.lines))]
    for panel, line in old.lines:
        if (panel, line) not in new.lines or line in loose:
            continue
        scale = max(np.nanmax(np.abs(old[panel, name][1]), initial=0.0) for name in old.names(panel))
        for axis, a, b in zip("xy", new[panel, line], old[panel, line]):
            atol = share * scale if axis == "y" else 1e-5 * np.nanmax(np.abs(b), initial=0.0)
            if a.shape != b.shape or not np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True):
                off = (
                    f"{np.nanmax(np.abs(a - b)):.2g} apart" if a.shape == b.shape else f"{a.size} points, not {b.size}"
                )
                found.append(f"{panel}, {line}: {axis} {off}")
    return found


def test_every_script_has_its_place_and_every_place_its_script():
    assert sorted(_gallery.LESSONS) == SCRIPTS
    assert len(set(_gallery.LESSONS)) == len(_gallery.LESSONS)


@pytest.mark.parametrize("suffix", ["png", "csv"])
def test_every_script_has_its_picture_and_numbers_and_no_other_lies_about(suffix):
    assert sorted(path.stem for path in GALLERY.glob(f"*.{suffix}")) == SCRIPTS


@pytest.mark.parametrize("lesson", _gallery.LESSONS)
def test_pictures_are_small(lesson):
    picture = (GALLERY / f"{lesson}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) <= 150 * 1024
    assert 600 <= int.from_bytes(picture[16:20], "big") <= 1000, "legible at 900 pixels"


@pytest.mark.parametrize("lesson", _gallery.LESSONS)
def test_scripts_are_short_and_use_the_public_face(lesson):
    source = (GALLERY / f"{lesson}.py").read_text(encoding="utf-8")
    assert source.count("\n") <= 120
    allowed = {"numpy", "nnx", "_gallery", "_optimizers", "dataclasses", "itertools"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.module in allowed
    assert not re.search(r"\bnnx(\.\w+)*\._[a-z]", source), "a private name"
    assert "Source: " in ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("lesson", _gallery.LESSONS)
def test_the_committed_numbers_show_the_lesson(lesson):
    said = _gallery.load(lesson).lesson(_gallery.Numbers.read(GALLERY / f"{lesson}.csv"))
    assert said
    assert all(isinstance(sentence, str) for sentence in said)


def test_the_index_is_what_scripts_and_numbers_say():
    index = (GALLERY / "README.md").read_text(encoding="utf-8")
    assert index == _gallery.index(), "run: python docs/gallery/_gallery.py"


@pytest.mark.parametrize("lesson", [pytest.param(name, marks=COMPILES) for name in RUN])
def test_a_run_gives_the_committed_numbers(lesson, backend):
    if lesson == "search":
        pytest.importorskip("optuna", reason="optuna is not installed (extra tune)")
    module = _gallery.load(lesson)
    numbers = module.measure(backend)
    module.lesson(numbers)
    committed = _gallery.Numbers.read(GALLERY / f"{lesson}.csv")
    assert disagreements(numbers, committed, loose=getattr(module, "LOOSE", ())) == []


@pytest.mark.parametrize("lesson", RUN)
def test_a_picture_is_drawn_from_the_numbers(lesson, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    numbers = _gallery.Numbers.read(GALLERY / f"{lesson}.csv")
    _gallery.picture(_gallery.load(lesson).draw, numbers, tmp_path / "picture.png", (9, 4))
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


# the checks themselves are seen to fail --------------------------------------------------------------------------------
def planted():
    numbers = _gallery.Numbers()
    numbers.add("loss", "a", [1, 2], [1.0, 0.5])
    numbers.add("loss", "b", [1, 2], [10.0, float("nan")])
    return numbers


def test_the_same_numbers_agree_also_through_a_file(tmp_path):
    planted().write(tmp_path / "numbers.csv")
    assert disagreements(planted(), _gallery.Numbers.read(tmp_path / "numbers.csv")) == []


@pytest.mark.parametrize(
    ("panel", "line", "x", "y", "match"),
    [
        ("loss", "a", [1, 2], [1.0, 0.51], "loss, a: y 0.01 apart"),
        ("loss", "a", [1, 2.1], [1.0, 0.5], "loss, a: x 0.1 apart"),
        ("loss", "a", [1], [1.0], "loss, a: x 1 points, not 2"),
        ("loss", "b", [1, 2], [10.0, 3.0], "loss, b: y"),
        ("loss", "c", [1], [1.0], "loss, c: only in one of them"),
    ],
)
def test_a_number_that_moved_is_seen(panel, line, x, y, match):
    moved = planted()
    moved.lines[panel, line] = (np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    with pytest.raises(AssertionError, match=match):
        assert disagreements(moved, planted()) == []


def test_a_lesson_fails_where_the_numbers_do_not_show_it():
    numbers = _gallery.Numbers.read(GALLERY / "standardise.csv")
    raw = ("cost above the minimum", "raw")
    numbers.lines[raw] = numbers["cost above the minimum", "standardised"]
    with pytest.raises(AssertionError, match="standardised"):
        _gallery.load("standardise").lesson(numbers)
