"""Malformed uses of the library and of the command, and whether each answer says where, expected, got and what to do."""

import contextlib
import io
import os
import shlex
import tempfile
import time
import warnings
from pathlib import Path

from cases.errors import COMMANDS, ROWS
from support import mistakes
from support.misuse import Given, silent

import nnx
from benchmarks.trust.row import Row
from nnx.errors import NnxError

NOTE = """
- **Malformed use**: a row of `tests/cases/errors.py`: wrong shapes, dtypes, labels, values, names, files, libraries, settings, flags, models, states, callbacks.
  An answer counts as kept if it is of nnx's own type and has all four parts as the row wants them: where (a layer's path, an argument, a field, a line of a file,
  a flag), what was expected, what came, what to do.
- **Command line**: the answer is one line on standard error, the exit code 2, standard output empty, and every file as it was.
"""
HOPELESS = 1_000_000
"""A number of rows for a run without a time limit."""


def rows(seconds: float | None, place: Path) -> list[Row]:
    """The library's rows on NumPy (the tests run those where the library matters on each), then the command's."""
    some = HOPELESS if seconds is None else max(5, int(40 * seconds))
    return [_library(some, place), *_commands(some, place)]


def _library(some: int, place: Path) -> Row:
    started, told, chosen = time.perf_counter(), 0, ROWS[:some]
    for number, row in enumerate(chosen):
        here = place / f"use-{number}"
        here.mkdir()
        told += _answered(row, here)
    what, promise = (
        "malformed uses of the library",
        "an error of nnx with place, expected, got and remedy; a bare error 0 times",
    )
    return Row(what, promise, len(chosen), told, time.perf_counter() - started)


def _answered(row: object, here: Path) -> bool:
    before = Path.cwd()
    os.chdir(here)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            row.use(Given(nnx.backends.get("numpy"), here))  # type: ignore[attr-defined]
    except NnxError as error:
        return not silent(row, error)  # type: ignore[arg-type]
    except Exception:  # a bare error, which is what is counted here
        return False
    finally:
        os.chdir(before)
    return False


def _commands(some: int, place: Path) -> list[Row]:
    from nnx.cli import main

    started, told, clean, chosen, before = time.perf_counter(), 0, 0, COMMANDS[:some], Path.cwd()
    folder = Path(tempfile.mkdtemp(dir=place))
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            mistakes.prepare(folder)
        kept = mistakes.contents(folder)
        for row in chosen:
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(shlex.split(row.line))
            answer = err.getvalue()
            told += not mistakes.silent(row, answer)
            own = "Traceback" not in answer and "a mistake in nnx" not in answer
            clean += (code, out.getvalue()) == (2, "") and own and mistakes.contents(folder) == kept
    finally:
        os.chdir(before)
    took = time.perf_counter() - started
    return [
        Row("mistaken command lines", "one line with place, expected, got and remedy", len(chosen), told, took),
        Row(
            "the same",
            "exit code 2, no traceback, nothing on standard output, no file changed",
            len(chosen),
            clean,
            0.0,
        ),
    ]
