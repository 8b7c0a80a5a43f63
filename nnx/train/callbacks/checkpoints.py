"""When checkpoints are written, and which are kept."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nnx.errors import ConfigError, DataError
from nnx.train.callbacks.base import Callback
from nnx.train.files import durable
from nnx.train.files.checkpoint import CHECKPOINTS, Checkpoint, listed, read_manifest, write_checkpoint
from nnx.train.files.log import say as say
from nnx.train.run import Run


class Checkpoints(Callback):
    """Writes checkpoints into ``checkpoints/`` of a run's directory; ``nnx.resume(directory, …)`` goes on from the last.

    ``every`` is a number of steps, or "epoch"; without it one is written after the first step that ends more than
    ``seconds`` after the last one, so a training that is over sooner writes none. ^C and SIGTERM write one in any case.
    The last ``keep`` stay, and the best by ``run.monitor`` of those written at the end of an epoch. A disk that is full
    or fails is told by ``tell`` (a line on standard error), and the training goes on: the checkpoints before are whole.

    >>> Checkpoints(every=0)
    Traceback (most recent call last):
    nnx.errors.ConfigError: Checkpoints: expected every a whole number of steps ≥ 1, or "epoch", got 0. Every 500 steps is usual.

    Errors: ``ConfigError`` for settings out of range.
    """

    def __init__(
        self, every: int | str | None = None, *, seconds: float = 60.0, keep: int = 2, tell: Callable[[str], None] = say
    ) -> None:
        whole = isinstance(every, int) and not isinstance(every, bool) and every >= 1
        if not (every is None or whole or every == "epoch"):
            raise ConfigError(
                expected='every a whole number of steps ≥ 1, or "epoch"',
                got=repr(every),
                where="Checkpoints",
                fix="Every 500 steps is usual.",
            )
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 2:
            raise ConfigError(
                expected="keep ≥ 2 checkpoints: the last may be damaged",
                got=repr(keep),
                where="Checkpoints",
                fix="Use keep=2.",
            )
        self.every, self.seconds, self.keep, self.tell = every, seconds, keep, tell
        self.saved: Path | None = None
        self._scores: dict[Path, float | None] = {}

    def on_start(self, run: Run) -> None:
        """Find the place, and what a killed process has left there."""
        assert run.directory is not None  # fit has refused checkpoints without one
        self.root = run.directory / CHECKPOINTS
        self._last, self.saved = time.perf_counter(), None
        durable.clear_unfinished(self.root)
        self._scores = {path: _score(path) for path in listed(self.root)}

    def forget(self, damaged: list[Path]) -> None:
        """Take these away, so that they do not count among the last."""
        for path in damaged:
            self._scores.pop(path, None)
            _remove(path)

    @property
    def wanted(self) -> bool:
        """Whether the last state is to be kept, too: where somebody asked for checkpoints, or there are some."""
        return self.every is not None or bool(self._scores)

    def due(self, step: int, *, epoch_ended: bool) -> bool:
        """Whether it is time for one. At the end of an epoch the last step was asked for before."""
        if self.every == "epoch":
            return epoch_ended
        if isinstance(self.every, int):
            return step % self.every == 0
        return time.perf_counter() - self._last >= self.seconds

    def save(self, make: Callable[[], Checkpoint]) -> bool:
        """Write one, and take away those that need not stay. False where the disk refuses."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            checkpoint = make()
            path = write_checkpoint(self.root, checkpoint)
        except OSError as error:
            kept = f"the last is {self.saved}" if self.saved else "there is none yet"
            self.tell(f"NO CHECKPOINT could be written in {self.root} ({error.strerror or error}): {kept}")
            self._last = time.perf_counter()
            return False
        self.saved, self._last = path, time.perf_counter()
        self._scores.pop(path, None)
        self._scores[path] = checkpoint.score
        with suppress(OSError):  # what should go and cannot stays
            self._thin()
        return True

    def _thin(self) -> None:
        """The last ones stay, and the first of the best."""
        judged = [(score, number) for number, score in enumerate(self._scores.values()) if score is not None]
        best = min(judged)[1] if judged else -1
        for number, path in enumerate(self._scores):
            if number < len(self._scores) - self.keep and number != best:
                _remove(path)
        self._scores = {path: score for path, score in self._scores.items() if path.exists()}


def _remove(path: Path) -> None:
    """At once, for whoever looks: half a checkpoint would be a damaged one."""
    gone = path.with_name(f"{durable.TEMPORARY}gone-{path.name}")
    with suppress(OSError):
        os.rename(path, gone)
        shutil.rmtree(gone, ignore_errors=True)


def _score(path: Path) -> float | None:
    try:
        score = read_manifest(path)["score"]
    except DataError:
        return None
    return None if score is None else float(score)
