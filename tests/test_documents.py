"""The documents are true: every fenced block of Python in README.md and under docs/ runs, and prints what it says.

The blocks of one document run in order, in one namespace and in an empty folder, as a reader would type them. A block
marked ``python`` is a script, or a session where it has ``>>>``; one that is not to be run is marked ``text``.
"""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
DOCUMENTS = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if path.exists()]


def blocks(text):
    """(line, code) of each block of Python."""
    return [
        (text.count("\n", 0, match.start("code")) + 1, match["code"])
        for match in FENCE.finditer(text)
        if match["language"] in ("python", "pycon", "py")
    ]


def run(text, name):
    scope = {"__name__": "__main__"}
    for line, code in blocks(text):
        if ">>>" in code:
            test = doctest.DocTestParser().get_doctest(code, scope, name, name, line - 1)
            said = []
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
            runner.run(test, out=said.append, clear_globs=False)
            if runner.failures:
                raise AssertionError("".join(said))
            scope = test.globs
        else:
            exec(compile("\n" * (line - 1) + code, name, "exec"), scope)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_block_runs(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(document.read_text(encoding="utf-8"), str(document))


def test_the_first_two_blocks_train_and_test():
    train, test = [match["code"] for match in FENCE.finditer((ROOT / "README.md").read_text(encoding="utf-8"))][:2]
    assert re.search(r"^.*pip install .*\n?.*nnx train ", train, re.MULTILINE)
    assert test.strip() == "python -m pip install nox && nox"


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("```python\n1 / 0\n```\n", ZeroDivisionError, "division"),
        ("```python\nx = 1\n```\nand\n```python\nassert x == 2, x\n```\n", AssertionError, "1"),
        ("```pycon\n>>> 1 + 1\n3\n```\n", AssertionError, r"Expected:\n    3\nGot:\n    2"),
    ],
)
def test_a_false_block_is_seen(text, error, match):
    with pytest.raises(error, match=match):
        run(text, "planted.md")


def test_what_is_not_python_is_left_alone():
    run("```sh\nexit 1\n```\n```text\n1 / 0\n```\n", "planted.md")
