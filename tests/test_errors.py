"""Every malformed use of the table is answered: where, what was expected, what came, what to do; and never by a bare error.

Figures: how many there are and what their answers say is measured by ``benchmarks/trust/errors.py``.
"""

import re
import shlex
from collections import Counter
from importlib.util import find_spec

import pytest
from cases.errors import COMMANDS, ROWS
from support import mistakes
from support.misuse import Given, Misuse, says, silent

import nnx
from nnx.errors import NnxError, ShapeError

EVERYWHERE = [row for row in ROWS if row.everywhere]
HERE = [row for row in ROWS if not row.everywhere]


def answer(row, given):
    with pytest.raises(NnxError) as caught:
        row.use(given)
    skip_if_missing(str(caught.value))
    return caught.value


def skip_if_missing(said):
    """A search or a picture is not refused for its settings where its library is missing."""
    missing = re.search(r"\b(optuna|matplotlib) is not installed", said)
    if missing and find_spec(missing[1]) is None:
        pytest.skip(missing[0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.host_reads
@pytest.mark.parametrize("row", EVERYWHERE, ids=[row.name for row in EVERYWHERE])
def test_a_use_where_the_array_library_matters(row, backend, tmp_path):
    assert silent(row, answer(row, Given(backend, tmp_path))) == []


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("row", HERE, ids=[row.name for row in HERE])
def test_a_use(row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert silent(row, answer(row, Given(nnx.backends.get("numpy"), tmp_path))) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        mistakes.prepare(folder)
    return folder


@pytest.mark.parametrize("row", COMMANDS, ids=[row.line for row in COMMANDS])
def test_a_command(row, folder, monkeypatch, capsys):
    from nnx.cli import main

    monkeypatch.chdir(folder)
    monkeypatch.delenv("NNX_DEBUG", raising=False)
    before = mistakes.contents(folder)
    capsys.readouterr()
    code = main(shlex.split(row.line))
    out, err = capsys.readouterr()
    skip_if_missing(err)
    assert (code, out) == (2, ""), err
    assert mistakes.silent(row, err) == []
    assert mistakes.contents(folder) == before, "a mistake leaves everything as it was"


def test_the_table_is_large_and_has_no_row_twice():
    assert len(ROWS) + len(COMMANDS) >= 120
    for names in ([row.name for row in ROWS], [row.line for row in COMMANDS]):
        assert [name for name, count in Counter(names).items() if count > 1] == []


def test_every_verb_is_misused():
    from nnx.cli.app import VERBS

    assert {row.line.split()[0] for row in COMMANDS if row.line} >= set(VERBS)


def test_an_answer_that_says_less_is_seen():
    row = Misuse("x", lambda g: None, ShapeError, "fit", "x of shape", "got … rows", "Pass")
    whole = {"expected": "x of shape (3,)", "got": "got 2 rows", "where": "fit", "fix": "Pass 3."}
    assert silent(row, ShapeError(**whole)) == []
    for part in whole:
        assert len(silent(row, ShapeError(**{**whole, part: ""}))) == 1
    assert "not ShapeError" in silent(row, ValueError("bare"))[0]
    assert not says("got … rows", "got 2")
    line = "nnx: --lr: expected a number, got 'a'. Write --lr 1.\n"
    told = mistakes.Command("train", "--lr", "a number", "'a'", "Write")
    assert mistakes.silent(told, line) == []
    assert mistakes.silent(told, line + "Traceback") != []
    assert mistakes.silent(told, line.replace("--lr: ", "")) != []
