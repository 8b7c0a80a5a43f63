"""The curriculum's table is true: each row has a public name, a test and, where its lesson is in the gallery, a picture.

Names are imported (with the arguments that stand in their brackets), commands are asked for their help, links lead to files
that define what they name, tests exist, and so does the row of a table that stands in brackets behind one.
"""

import importlib
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from support.process import run_python

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "curriculum.md"
LINK = re.compile(r"\[`?(?P<text>(?:[^\[\]]|\[[^\[\]]*\])+?)`?\]\((?P<target>[^)]+)\)")
HEADER = ["item", "what it is", "public name", "tests", "picture"]

PICTURES = (
    "why: elongated and round cost", "vanishing and exploding signals", "zeros, constant", "vanilla dropout",
    "effect on the decision boundary", "training speed with and without", "robustness to initialisation",
    "covariate shift seen by a later layer", "regularising noise by batch size", "side by side", "loss-surface slices",
    "trajectory", "universal approximation",
)  # fmt: skip
"""The rows that the curriculum asks a picture of."""


def rows(text):
    """(chapter, cells) of each row of each table."""
    chapter, found = "", []
    for line in text.splitlines():
        if line.startswith("## "):
            chapter = line[3:]
        elif line.startswith("|") and not re.fullmatch(r"[|\-: ]+", line):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if cells != HEADER:
                found.append((chapter, cells))
    return found


def links(cell):
    return [(match["text"], match["target"]) for match in LINK.finditer(cell)]


def resolve(dotted):
    """The object of a dotted name: an attribute where it can be one, for a function may bear the name of its module."""
    parts, absent = dotted.split("."), None
    for length in range(1, len(parts) + 1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
            for part in parts[length:]:
                found = getattr(found, part)
        except (AttributeError, ModuleNotFoundError) as error:
            name = getattr(error, "name", None) or ""
            if isinstance(error, ModuleNotFoundError) and not name.startswith("nnx"):
                absent = name  # a library of an extra
            continue
        return found
    raise ModuleNotFoundError(dotted, name=absent or dotted)


@cache
def help_of(verb):
    """What ``nnx VERB --help`` prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "nnx", verb, "--help"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return done.stdout if done.returncode == 0 else ""


def complaints(cells):
    """What is wrong with a row."""
    if len(cells) != len(HEADER):
        return [f"{len(cells)} cells"]
    item, what, names, tests, picture = cells
    found = [f"no {head}" for head, cell in zip(HEADER, cells) if not cell]
    found += ["no public name"] * (not links(names)) + ["no test"] * (not links(tests))
    if item in PICTURES and not links(picture):
        found.append("no picture")
    for text, target in links(names) + links(tests) + links(picture) + links(what):
        if not (DOCUMENT.parent / target).is_file():
            found.append(f"{text}: there is no {target}")
    if found:
        return found
    for text, target in links(names):
        source = (DOCUMENT.parent / target).read_text(encoding="utf-8")
        found += command(text) if text.startswith("nnx ") else public(text, source)
    for text, target in links(tests):
        found += test(text, (DOCUMENT.parent / target).resolve())
    return found


def command(text):
    _, verb, *flags = text.split()
    page = help_of(verb)
    if not page:
        return [f"{text}: there is no nnx {verb}"]
    return [f"{text}: nnx {verb} has no {flag}" for flag in flags if not re.search(rf"{flag}\b", page)]


def public(text, source):
    name, _, arguments = text.rstrip(")").partition("(")
    if "._" in name or not name.startswith("nnx"):
        return [f"{name} is not public"]
    try:
        thing = resolve(name)
    except ModuleNotFoundError as error:
        if not (error.name or "nnx").startswith("nnx"):
            pytest.skip(f"{name} needs {error.name}, which is not installed")
        return [f"there is no {name}"]
    last = name.rpartition(".")[2]
    found = []
    if not inspect.ismodule(thing) and not re.search(rf"^ *(def|class) {last}\b|^{last} *[:=]", source, re.MULTILINE):
        found.append(f"{name}: its file does not define {last}")
    wanted = [argument.strip() for argument in arguments.split(",") if argument.strip()]
    known = inspect.signature(thing).parameters if wanted else {}
    return found + [f"{name} takes no {argument}" for argument in wanted if argument not in known]


def test(text, file):
    name, _, function = text.partition("::")
    function, _, case = function.rstrip("]").partition("[")
    source = file.read_text(encoding="utf-8")
    found = [] if file.name == name else [f"{text} leads to {file.name}"]
    if not function.startswith("test_") or not re.search(rf"^def {function}\(", source, re.MULTILINE):
        found.append(f"there is no {text}")
    if case:
        tables = [file, ROOT / "docs" / "gallery" / "_gallery.py", *(ROOT / "tests" / "cases").glob("*.py")]
        if not any(f'"{case}"' in table.read_text(encoding="utf-8") for table in tables):
            found.append(f"{text}: no table has a row {case!r}")
    return found


test.__test__ = False
TEXT = DOCUMENT.read_text(encoding="utf-8")
ROWS = rows(TEXT)


def test_its_names_are_there_once_nnx_is_imported(tmp_path):
    names = {text.partition("(")[0] for _, cells in ROWS for text, _ in links(cells[2]) if text.startswith("nnx.")}
    code = "import nnx\n" + "".join(
        f"try: {name}\nexcept AttributeError: print({name!r})\nexcept ImportError: pass\n" for name in sorted(names)
    )
    assert run_python(code, tmp_path) == ""


@pytest.mark.parametrize("cells", [cells for _, cells in ROWS], ids=[cells[0] for _, cells in ROWS])
def test_a_row_has_its_name_its_test_and_its_picture(cells):
    assert complaints(cells) == []


def test_every_chapter_is_there():
    assert list(dict.fromkeys(chapter for chapter, _ in ROWS)) == [
        "Input preparation", "Initialisation", "Activations", "Losses", "Regularisation", "Batch normalisation", "Gradients",
        "Optimizers", "Learning-rate decay", "Hyper-parameter search", "Watching training", "Backends",
    ]  # fmt: skip
    assert set(PICTURES) <= {cells[0] for _, cells in ROWS}


def test_every_lesson_of_the_gallery_belongs_to_a_row():
    shown = {target for _, cells in ROWS for _, target in links(cells[4])}
    assert shown == {f"gallery/{path.name}" for path in (ROOT / "docs" / "gallery").glob("*.png")}


GOOD = [
    "ReLU", "max(x, 0)", "[`nnx.ReLU`](../nnx/layers/activation.py)",
    "[`test_table.py::test_value[relu]`](../tests/layers/test_table.py)", "–",
]  # fmt: skip


def test_a_good_row_has_no_complaints():
    assert complaints(GOOD) == []


@pytest.mark.parametrize(
    ("cell", "content", "complaint"),
    [
        (2, "nnx.ReLU", "no public name"),
        (3, "–", "no test"),
        (0, "trajectory", "no picture"),
        (4, "[x](gallery/none.png)", "there is no gallery/none.png"),
        (2, "[`nnx.ReLu`](../nnx/layers/activation.py)", "there is no nnx.ReLu"),
        (2, "[`nnx.nothing.ReLU`](../nnx/layers/activation.py)", "there is no nnx.nothing.ReLU"),
        (2, "[`nnx.ReLU`](../nnx/layers/linear.py)", "its file does not define ReLU"),
        (2, "[`nnx.LeakyReLU(alpha)`](../nnx/layers/activation.py)", "nnx.LeakyReLU takes no alpha"),
        (2, "[`nnx.layers.module._structure`](../nnx/layers/module.py)", "is not public"),
        (2, "[`nnx trian`](../nnx/cli/train.py)", "there is no nnx trian"),
        (2, "[`nnx train --nothing`](../nnx/cli/train.py)", "nnx train has no --nothing"),
        (3, "[`test_table.py::test_valeu`](../tests/layers/test_table.py)", "there is no test_table.py::test_valeu"),
        (3, "[`test_table.py::test_value[rlue]`](../tests/layers/test_table.py)", "no table has a row 'rlue'"),
        (3, "[`test_pca.py::test_value`](../tests/layers/test_table.py)", "leads to test_table.py"),
    ],
)
def test_a_false_row_is_seen(cell, content, complaint):
    row = [content if index == cell else good for index, good in enumerate(GOOD)]
    with pytest.raises(AssertionError, match=re.escape(complaint)):
        assert complaints(row) == []
