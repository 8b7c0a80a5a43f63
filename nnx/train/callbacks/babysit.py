"""Babysit one model: a file with the learning rate, which a person may edit while the model trains."""

import csv
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from nnx.errors import ConfigError
from nnx.train.callbacks.base import Callback
from nnx.train.callbacks.plateau import need_rate
from nnx.train.record import Record
from nnx.train.run import Run

RATE, CHANGES = "rate", "rate-changes.csv"
"""The files in a run's directory."""

SCHEDULE = "schedule"
_TEXT = f"""\
# The learning rate of this run. Write a number in place of the word and save:
# it is the rate from the next step on. The word is the rate that was planned.
{SCHEDULE}
"""
_SIZE = 4096


def say(line: str) -> None:
    """One line on standard error."""
    print(f"rate: {line}", file=sys.stderr)


class Babysit(Callback):
    """Look at a file between two steps, and take the learning rate from it.

    ``nnx.fit(..., callbacks=[nnx.train.Babysit()], directory="runs/digits")`` writes runs/digits/rate with the word
    "schedule". A number > 0 in its place is the learning rate itself from the next step on, in place of the schedule
    and of what a plateau has taken from it; the word gives it back. A file that is there before takes effect before the
    first step. Lines that begin with # do not count. Every change is a line of rate-changes.csv beside it (epoch, step,
    old, new), is told by ``tell`` (a line on standard error), and shows in the run's learning_rate. Content that means
    nothing, or no file, is told once and changes nothing.

    The file is looked at (its date and size) at most once in ``every`` seconds, and read when it has not changed for
    that long: an editor may still be writing. ``path`` is another place for it, needed for a run without a directory.

    Errors: ``ConfigError`` when there is no place for the file or it cannot be written, and for an optimizer without a
    rate. Source: the "panda" of Andrew Ng's course on hyper-parameters (Deep Learning Specialization, course 2, week
    3).
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        every: float = 0.1,
        tell: Callable[[str], None] = say,
    ) -> None:
        if not every >= 0:
            raise ConfigError(expected="every ≥ 0 seconds", got=repr(every), where="Babysit", fix="Use every=0.1.")
        self.given, self.every, self.tell = path, every, tell

    def on_start(self, run: Run) -> None:
        """Write the file, or read the one that is there."""
        if not run.step:  # a training that is resumed may be with L-BFGS by now
            need_rate(run, "a rate file")
        if self.given is None and run.directory is None:
            raise ConfigError(
                expected="a place for the rate file",
                got="a run without a directory",
                where="Babysit",
                fix='Write Babysit("rate"), or give fit a directory.',
            )
        self.path = Path(self.given) if self.given is not None else run.directory / RATE  # type: ignore[operator]
        self.changes = self.path.with_name(CHANGES)
        self.wish: float | None = None
        self._pending: tuple[int, ...] | None = None
        self._since = self._next = 0.0
        try:
            if not self.path.exists():
                self.path.write_text(_TEXT, encoding="utf-8")
            before = self._lines_before(run.step) if run.step else []
            with open(self.changes, "w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([["epoch", "step", "old", "new"], *before])
        except OSError as error:
            raise ConfigError(
                f"the rate file cannot be written ({error.strerror or error})",
                where=str(error.filename or self.path),
                fix="Choose a place where you may write.",
            ) from None
        self._known = self._signature()
        self.wish = run.fixed_rate
        if run.has_rate:
            self._read(run)

    def _lines_before(self, step: int) -> list[list[str]]:
        """The changes up to a step: those after it come again, or not."""
        if not self.changes.exists():
            return []
        with open(self.changes, encoding="utf-8", newline="") as file:
            return [
                line for line in csv.reader(file) if len(line) == 4 and line[1].isdecimal() and int(line[1]) <= step
            ]

    def on_step(self, run: Run) -> None:
        """Look, if it is time to."""
        now = time.monotonic()
        if now >= self._next and run.has_rate:
            self._next = now + self.every
            self._look(run, now)

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """Look once more: steps may be long."""
        if run.has_rate:
            self._look(run, time.monotonic())
        return None

    def _look(self, run: Run, now: float) -> None:
        signature = self._signature()
        if signature == self._known:
            return
        if signature != self._pending:
            self._pending, self._since = signature, now
        if now - self._since >= self.every:
            self._known = signature
            self._read(run)

    def _signature(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self, run: Run) -> None:
        """Take what the file says, or tell why not."""
        try:
            with open(self.path, "rb") as file:
                wish = parse(file.read(_SIZE).decode("utf-8", "replace"))
        except (OSError, ValueError) as error:
            why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            self.tell(f"{self.path}: {why}. The learning rate stays {run.learning_rate:.4g}")
            return
        if wish == self.wish:
            return
        old = run.learning_rate
        run.set_rate(wish)
        self.wish, epoch, new = wish, len(run.history) + 1, run.learning_rate
        self.tell(f"epoch {epoch}, step {run.step}: learning rate {old:.4g} → {new:.4g}, from {self.path}")
        try:
            with open(self.changes, "a", encoding="utf-8", newline="") as file:
                csv.writer(file).writerow([epoch, run.step, old, new])
        except OSError as error:
            self.tell(f"{self.changes} cannot be written ({error.strerror or error})")


def parse(text: str) -> float | None:
    """The rate that a rate file asks for; ``None`` for the schedule's. ``ValueError`` says what is wrong with it.

    >>> parse("# a remark\\n1e-4\\n"), parse("schedule")
    (0.0001, None)
    """
    words = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if words == [SCHEDULE]:
        return None
    try:
        (word,) = words
        rate = float(word)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        got = "nothing" if not words else repr(" ".join(words)[:40])
        raise ValueError(f"expected a learning rate > 0, or the word {SCHEDULE}, got {got}")
    return rate
