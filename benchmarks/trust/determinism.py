"""The same training again: in other processes, with other hash seeds, on a machine with other settings."""

import time
from pathlib import Path

from support import determinism

from benchmarks.trust.row import Row
from nnx import backends

NOTE = """
- **Same bits**: the SHA-256 of all weights of a small network with batch norm and dropout, trained in two processes with random
  hash seeds, on every backend that is installed; and of the model file that `nnx train` writes, for several optimizers and models.
- **Other settings**: the same command on what BLAS takes for two machines (Haswell kernel and two threads, Prescott kernel and one thread), with
  `--deterministic`. Without it the two differ, which is tried, too. NumPy's own vector code follows the processor even then: the same bits
  are promised on one machine, not on two.
"""
COMMANDS = (
    ("--model", "mlp:256", "--batch-size", "256"),
    ("--model", "cnn:4", "--batch-size", "256"),
    ("--model", "mlp:256", "--batch-size", "256", "--optimizer", "sgd:momentum=0.9", "--schedule", "step"),
    ("--model", "mlp:256", "--optimizer", "lbfgs", "--dropout", "0", "--no-batch-norm"),
)
TRAIN = ("train", "digits", "--epochs", "2", "--check", "off", "--no-record", "--out", "run")


def rows(seconds: float | None, place: Path) -> list[Row]:
    """All of it takes about a minute on two cores."""
    short = seconds is not None
    chosen = ["numpy"] if short else list(backends.available())
    commands = COMMANDS[:1] if short else COMMANDS
    return [
        processes(chosen),
        commands_twice(commands, place / "twice"),
        settings(commands[:2], place / "settings", fixed=True),
        settings(commands[:1], place / "without", fixed=False),
    ]


def processes(chosen: list[str]) -> Row:
    """The library, in two processes for each backend."""
    started = time.perf_counter()
    same = [determinism.elsewhere(name) == determinism.elsewhere(name) for name in chosen]
    what = f"a training in two processes with random hash seeds, on {', '.join(chosen)}"
    return Row(what, "same SHA-256 of the weights", len(same), sum(same), time.perf_counter() - started)


def commands_twice(commands: tuple[tuple[str, ...], ...], place: Path) -> Row:
    """The command, in two processes."""
    started = time.perf_counter()
    same = []
    for number, flags in enumerate(commands):
        first, again = (determinism.command(place / f"{number}{name}", *TRAIN, *flags)[1] for name in "ab")
        same.append(first == again)
    what = "`nnx train` in two processes with random hash seeds"
    return Row(what, "same SHA-256 of the model file", len(same), sum(same), time.perf_counter() - started)


def settings(commands: tuple[tuple[str, ...], ...], place: Path, fixed: bool) -> Row:
    """The command on two settings of the machine."""
    started = time.perf_counter()
    same = []
    for number, flags in enumerate(commands):
        more = ("--deterministic",) if fixed else ()
        first, other = (
            determinism.command(place / f"{number}{at}", *TRAIN, *flags, *more, settings=one)[1]
            for at, one in enumerate(determinism.OTHER)
        )
        same.append((first == other) is fixed)
    what = f"`nnx train{' --deterministic' if fixed else ''}` with other threads and kernels of BLAS"
    promise = "same SHA-256 of the model file" if fixed else "another one: the settings do matter"
    return Row(what, promise, len(same), sum(same), time.perf_counter() - started)
