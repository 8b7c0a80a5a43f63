"""``nnx resume --lr``: a run goes on with another learning rate, and its files say so."""

import csv
import re
from pathlib import Path
from typing import Any

from nnx.cli import runs
from nnx.cli.config import word
from nnx.errors import ConfigError
from nnx.train import Callback, Run
from nnx.train.callbacks.babysit import CHANGES, RATE
from nnx.train.files.weights import write_whole

_LINE = re.compile(r"""^[ \t]*["']?lr["']?[ \t]*=[^\n]*$""", re.MULTILINE)
_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


class NewRate(Callback):
    """When the run goes on, config.toml gets the new rate, below a line that says what it was and until when; rate-changes.csv gets a line.

    It is the rate where the schedule begins, as in ``nnx train --lr``: the schedule goes on where it is, as if it had
    begun there, and what a plateau has taken from the rate stays taken. It is written before the first step, so whoever
    resumes again goes on with it.

    Errors: ``ConfigError`` where it would have no effect: after the last epoch, under L-BFGS, and beside a number in
    the rate file.
    """

    def __init__(self, directory: Path, old: float, new: float, before: Any, epochs: int) -> None:
        self.directory, self.old, self.new = directory, old, new
        self.before = before
        """The optimizer at the old rate."""
        self.epochs = epochs
        """How many epochs it has before L-BFGS takes over, if that is to finish."""

    def on_resume(self, run: Run, remembered: dict[str, Any]) -> None:
        """Check, and write it down."""
        _check(run, self.epochs, self.directory)
        epoch = len(run.history) + 1
        said = f"# Until step {run.step} (epoch {epoch}) lr was {self.old!r}: nnx resume --lr {self.new!r}"
        path, changes = self.directory / runs.CONFIG, self.directory / CHANGES
        was = self.before.with_steps_per_epoch(run.steps_per_epoch).rate(run.state)
        try:
            write_whole(path, with_rate(path.read_text(encoding="utf-8-sig"), self.new, said).encode())
            first = [] if changes.exists() else [["epoch", "step", "old", "new"]]
            with open(changes, "a", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([*first, [epoch, run.step, was, run.learning_rate]])
        except OSError as error:
            raise ConfigError(
                f"the new learning rate cannot be written down ({error.strerror or error})",
                where=str(error.filename or path),
                fix="Free some space, and check its place and permissions.",
            ) from None


def with_rate(text: str, rate: float, said: str) -> str:
    """A config.toml with another learning rate, and a remark above it; everything else stays.

    >>> print(with_rate("# mine\\nlr = 0.1\\nseed = 0\\n", 0.05, "# it was 0.1"))
    # mine
    # it was 0.1
    lr = 0.05
    seed = 0
    <BLANKLINE>
    """
    lines = f"{said}\nlr = {rate!r}"
    tables = _TABLE.search(text)
    found = _LINE.search(text, 0, tables.start() if tables else len(text))
    if found is None:  # the file does without it: before all tables, where settings stand
        return f"{lines}\n{text}"
    return f"{text[: found.start()]}{lines}{text[found.end() :]}"


def _check(run: Run, epochs: int, directory: Path) -> None:
    if run.stopped or len(run.history) >= run.epochs:
        raise ConfigError(
            expected="epochs that are left, for a learning rate",
            got=f"a training that has ended after {len(run.history)}",
            where="--lr",
            fix=f"Train anew from its settings: nnx train --config {word(directory / runs.CONFIG)} --lr …",
        )
    if len(run.history) >= epochs:
        raise ConfigError(
            expected="an optimizer with a learning rate",
            got="L-BFGS, which has taken over",
            where="--lr",
            fix="Leave it away: its line search finds the length of each step.",
        )
    if run.fixed_rate is not None:
        raise ConfigError(
            expected="one learning rate",
            got=f"{run.fixed_rate:g} in the rate file, which stands in place of the schedule",
            where="--lr",
            fix=f"Write another number, or the word schedule, into {directory / RATE}.",
        )
