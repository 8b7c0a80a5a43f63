"""Completion as a shell does it: bash runs the script that ``nnx completion bash`` prints."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from nnx.cli import completion
from nnx.cli.app import VERBS
from nnx.cli.config import FIELDS
from nnx.optim.registry import SCHEDULES, parse_optimizer

BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(not BASH, reason="there is no bash here")

ASK = """
source ./script
for line in "$@"; do
  read -ra COMP_WORDS <<< "$line"
  [[ "$line" == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
  COMPREPLY=()
  _nnx
  echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture
def completed(nnx, here):
    """``completed("nnx tr", …)``: what bash offers at the end of each line, with iris.csv and runs/digits-001 in the directory."""
    (here / "script").write_text(nnx("completion", "bash").out)
    (here / "iris.csv").touch()
    (here / "runs" / "digits-001").mkdir(parents=True)

    def ask(*lines):
        done = subprocess.run([BASH, "--norc", "-c", ASK, "bash", *lines], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return [line.split() for line in done.stdout.splitlines()]

    return ask


@needs_bash
def test_bash_completes_verbs_flags_words_and_files(completed):
    assert completed("nnx tr", "nnx train iris.csv --act", "nnx train ir", "nnx plot runs/di") == [
        ["train"], ["--activation"], ["iris.csv"], ["runs/digits-001"],
    ]  # fmt: skip
    verbs, backends, pictures, shells, softs = completed(
        "nnx ", "nnx evaluate runs/digits-001 --backend ", "nnx plot runs/digits-001 c", "nnx completion ",
        "nnx train iris.csv --activation so",
    )  # fmt: skip
    assert verbs == list(VERBS)
    assert backends == ["numpy", "cupy", "torch", "jax", "strict"]
    assert pictures == ["curves", "confusion"]
    assert shells == ["bash", "zsh", "fish"]
    assert softs == ["softplus"]


@needs_bash
def test_the_tab_key(nnx, here, monkeypatch):
    """An interactive bash on a terminal: what is typed, completed, and then run."""
    monkeypatch.setenv("HOME", str(here))
    (here / ".bashrc").write_text("PS1='ready> '\n")
    assert "Begin a new bash" in nnx("completion", "bash", "--install").out
    (here / "iris.csv").touch()
    terminal, inner = pty.openpty()
    shell = subprocess.Popen(
        [BASH, "--noprofile", "--rcfile", str(here / ".bashrc"), "-i"], stdin=inner, stdout=inner, stderr=inner,
        env=os.environ | {"TERM": "dumb", "INPUTRC": "/dev/null", "HISTFILE": ""}, start_new_session=True,
    )  # fmt: skip
    os.close(inner)
    try:
        until(terminal, "ready> ", "")
        os.write(terminal, b'nnx() { echo ran: "$@"; }\n')
        until(terminal, "ready> ", "")
        os.write(terminal, b"nnx trai\tir\t--activ\tsilu\n")
        until(terminal, r"ran: train iris.csv --activation silu\r?\n", "")
    finally:
        shell.kill()
        shell.wait()
        os.close(terminal)


def until(terminal, pattern, seen):
    """What the terminal shows until a pattern is in it."""
    end = time.monotonic() + 20
    while not re.search(pattern, seen):
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"{pattern} not within 20 s of: {seen}"
        seen += os.read(terminal, 4096).decode(errors="replace")
    return seen


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_for_other_shells(nnx, shell):
    done = nnx("completion", shell)
    assert done.code == 0, done.err
    assert all(verb in done.out for verb in VERBS)
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.out, text=True, check=True)


def test_the_words_are_those_that_the_settings_take():
    for name, words in completion.WORDS.items():
        check = FIELDS[name].metadata["check"] if name in FIELDS else None
        assert check is None or all(map(check.holds, words)), name
    assert set(completion.WORDS["schedule"]) <= {*SCHEDULES, "plateau"}
    for word in completion.WORDS["optimizer"]:
        assert word == "lbfgs" or parse_optimizer(word, 0.1)


def test_another_shell_is_refused_by_name(nnx):
    done = nnx("completion", "tcsh")
    assert done.code == 2
    assert done.err == "nnx: SHELL: expected bash, zsh, fish, got 'tcsh'. See nnx completion --help.\n"
