"""Every verb's help fits a terminal of 80 columns and has examples, each of which the command takes."""

import re
import shlex
from functools import cache

import pytest

from nnx.cli.app import VERBS, _app
from nnx.errors import NnxError


@cache
def app():
    return _app()


def examples(text):
    """The lines below "For example"."""
    _, title, rest = text.partition("For example\n")
    return [line.strip() for line in rest.partition("\n\n")[0].splitlines()] if title else []


def taken(example):
    """The verb and the arguments of a line, or the error of the parser; what goes to another program is left away."""
    example = re.sub(r"^mpiexec -n \d+ ", "", example)
    name, *words = shlex.split(example.replace("|", "\0").replace(">", "\0").partition("\0")[0])
    assert name == "nnx", example
    return words[0], app().parse_args(words, exit_on_error=False, print_error=False)


@pytest.fixture
def help_of(nnx, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *verb: nnx(*verb, "--help").out


@pytest.mark.parametrize("verb", VERBS)
def test_examples(verb, help_of):
    said = help_of(verb)
    assert max(map(len, said.splitlines())) <= 80
    found = examples(said)
    assert found
    for example in found:
        assert taken(example)[0] == verb


def test_every_verb_stands_in_the_help(help_of):
    said = help_of()
    assert max(map(len, said.splitlines())) <= 80
    assert [verb for verb in VERBS if f"│ {verb} " not in said] == []
    assert set(VERBS) <= set(app())


def test_tune_says_where_a_search_is_kept(help_of):
    said = help_of("tune")
    assert "tunes/NAME-NNN" in said
    assert "runs/NAME-NNN" not in said
    assert "--record" not in said  # a trial keeps nothing for nnx plot


@pytest.mark.parametrize(
    "example", ["nnx train digits --epochz 3", "nnx plot runs/digits-001 --points 2.5", "nnx tran"]
)
def test_a_false_example_is_seen(example):
    import cyclopts

    with pytest.raises((cyclopts.CycloptsError, NnxError), match=r"."):
        taken(example)


def test_help_without_examples_is_seen():
    assert examples("Usage: nnx train\n\nTrain.\n") == []
