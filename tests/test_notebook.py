"""Every notebook under docs/ runs from top to bottom and says what stands below its cells.

A notebook is JSON: its cells are run here one after another, in one namespace and an empty folder, as a kernel does. After a change,
``jupyter nbconvert --to notebook --execute --inplace docs/notebook/digits.ipynb`` writes the new answers.
"""

import ast
import contextlib
import io
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
NUMBER = re.compile(r"\d+\.\d+|\d+")


def run(source, scope, name):
    """What a cell prints, and below it the value of its last line."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(tree, name, "exec"), scope)
        value = eval(compile(ast.Expression(last.value), name, "eval"), scope) if last else None
    return said.getvalue() + ("" if value is None else f"{value!r}\n")


def stored(cell):
    """The text below a cell; pictures are left out."""
    texts = []
    for output in cell["outputs"]:
        assert output["output_type"] in ("stream", "execute_result", "display_data"), output
        if "image/png" not in output.get("data", {}):
            texts.append("".join(output.get("text") or output["data"]["text/plain"]).rstrip("\n") + "\n")
    return "".join(texts)


def alike(now, before):
    """The same text, with times left out and numbers near: another BLAS may classify a row otherwise."""
    now, before = (re.sub(r"\d+\.\d+ s\b", "… s", text) for text in (now, before))
    pairs = zip(NUMBER.findall(now), NUMBER.findall(before))
    near = all(abs(float(a) - float(b)) <= (0.03 if "." in b else 5) for a, b in pairs)
    return near and NUMBER.sub("#", now) == NUMBER.sub("#", before)


def check(notebook, name):
    scope = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            now = run("".join(cell["source"]), scope, name)
            assert alike(now, stored(cell)), f"now:\n{now}\nin the file:\n{stored(cell)}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    check(json.loads(path.read_text(encoding="utf-8")), path.name)


def test_there_is_one_and_it_is_small():
    assert [path.name for path in NOTEBOOKS] == ["digits.ipynb"]
    for path in NOTEBOOKS:
        text = path.read_text(encoding="utf-8")
        counts = [cell["execution_count"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        assert counts == list(range(1, len(counts) + 1))
        assert len(text) < 100_000
        assert not re.search(r"/(home|root|tmp|work)/", text)


@pytest.mark.parametrize(
    ("source", "below", "error"),
    [("1 / 0", "", ZeroDivisionError), ("print(0.91)", "0.97\n", AssertionError), ("'a'", "'b'\n", AssertionError)],
)
def test_a_false_notebook_is_seen(source, below, error):
    outputs = [{"output_type": "stream", "text": [below]}] if below else []
    with pytest.raises(error, match=r"."):
        check({"cells": [{"cell_type": "code", "source": [source], "outputs": outputs}]}, "planted")
