"""What a crash, a failing disk and a damaged file can do to a training: nothing beyond one interval. In large numbers.

    python -P benchmarks/trust.py                 all of it, some minutes; writes docs/trust.md
    python -P benchmarks/trust.py --seconds 5     fewer trainings and kills; writes nothing

Trainings are cut at random steps and resumed, on one backend; every file-system call of a save fails in every way; real processes are killed;
every length and every bit of the files of a checkpoint is tried. What is counted is told in docs/trust.md.
"""

import argparse
import hashlib
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # read when NumPy is loaded
    os.environ.setdefault(_name, "1")

HOME = Path(__file__).resolve().parent
sys.path[:] = [place for place in sys.path if Path(place).resolve() not in (HOME, HOME.parent)]
sys.path.append(str(HOME.parent / "tests"))

from support import trust  # noqa: E402

import nnx  # noqa: E402
from nnx.train.fingerprint import fingerprint  # noqa: E402

PAGE = HOME.parent / "docs" / "trust.md"
TRAIN = ["train", "digits", "--epochs", "60", "--checkpoint-every", "20", "--check", "off", "--model", "mlp:24"]


class Row(NamedTuple):
    """One line of the table: what was done, how often, and how often it went as promised."""

    what: str
    promise: str
    tried: int
    kept: int
    seconds: float


def resumed(seconds: float, backend: str, place: Path) -> Row:
    """Trainings of every kind, cut at a random step, resumed, and compared with those that were not."""
    draw, cases, real = random.Random(0), list(trust.all_cases().values()), os.fsync
    draw.shuffle(cases)
    cases = [*trust.chosen_cases().values(), *cases]
    started, tried, kept = time.perf_counter(), 0, 0
    os.fsync = lambda descriptor: None  # nobody pulls the plug here
    try:
        for case in cases:
            if time.perf_counter() - started > seconds:
                break
            whole = trust.trained(case, backend)
            there = place / f"case-{tried}"
            run = trust.cut_and_resumed(case, draw.randint(4, whole.step), draw.randint(1, 3), there, backend)
            same = trust.sha(run.model) == trust.sha(whole.model) and trust.history(run) == trust.history(whole)
            tried, kept = tried + 1, kept + same
    finally:
        os.fsync = real
    what = f"trainings cut at a random step and resumed, on {backend}"
    return Row(what, "same SHA-256 of the weights, same history", tried, kept, time.perf_counter() - started)


def disks(place: Path) -> list[Row]:
    """Every call of a save, failing in every way."""
    rows = []
    for step in (1, 2):
        trust.saves(place / "counted", step)
    calls = trust.saves(place / "counted", 3)[1]
    for fault in trust.FAULTS:
        started = time.perf_counter()
        wrong = [trust.survived(place / "tried", n, fault) for n in range(len(calls))]
        what = (
            f"file-system calls of a save, each with {fault}" if "killed" not in fault else f"the same, {fault} there"
        )
        promise = "a whole checkpoint is left, the next save works"
        rows.append(Row(what, promise, len(wrong), sum(not one for one in wrong), time.perf_counter() - started))
    return rows


def killed(kills: int, place: Path) -> list[Row]:
    """A real training, killed and resumed until it ends, again and again."""

    def process(*arguments: str) -> Any:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "nnx", *arguments], cwd=place, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | {"MPLBACKEND": "Agg"},
        )  # fmt: skip

    def digest(name: str) -> str:
        return hashlib.sha256((place / name / "model.safetensors").read_bytes()).hexdigest()

    started, draw, done, within, same, runs = time.perf_counter(), random.Random(1), 0, 0, 0, 0
    process("train", *TRAIN[1:], "--out", "whole").communicate()
    while done < kills:
        name, left = f"killed-{runs}", draw.randint(1, 6)
        at_work = process("train", *TRAIN[1:], "--out", name)
        while True:
            while at_work.poll() is None and not (
                list(place.glob(f"{name}/checkpoints/step-*")) and (place / name / "run.lock").exists()
            ):
                time.sleep(0.01)
            time.sleep(draw.uniform(0.0, 0.6))
            if at_work.poll() is not None or not left:
                break
            at_work.kill()
            at_work.communicate()
            done, left = done + 1, left - 1
            within += bool(trust.newest(place / name / trust.CHECKPOINTS, lambda line: None))
            at_work = process("resume", name)
        _, err = at_work.communicate()
        runs += 1
        same += at_work.returncode == 0 and "DAMAGED" not in err and digest(name) == digest("whole")
    seconds = time.perf_counter() - started
    return [
        Row("`kill -9` of real trainings at random moments", "the newest checkpoint is whole", done, within, seconds),
        Row(
            "those trainings at their end", "same SHA-256 of the model file, no damaged checkpoint met", runs, same, 0.0
        ),
    ]


def damaged(place: Path) -> list[Row]:
    """Every length, every bit."""
    path = trust.pair_of_checkpoints(place / "damaged")
    rows = []
    for what, tried in (
        ("files of a checkpoint cut to every length, or longer", lambda: trust.cuts(path)),
        ("every bit of every file of a checkpoint turned", lambda: trust.flips(path, bits=tuple(range(8)))),
    ):
        started = time.perf_counter()
        done, seen = tried()
        rows.append(Row(what, "noticed", done, seen, time.perf_counter() - started))
    return rows


def page(rows: list[Row]) -> str:
    """docs/trust.md."""
    print_ = fingerprint(nnx.backends.get("numpy"))
    table = ["| what was done | what must hold | times | held | seconds |", "|---|---|---:|---:|---:|"]
    table += [f"| {r.what} | {r.promise} | {r.tried:,} | {r.kept:,} | {r.seconds:.0f} |" for r in rows]
    return "\n".join([HEAD.strip(), "", *table, "", _where(print_), "", TAIL.strip(), ""])


def _where(known: dict[str, Any]) -> str:
    return (
        f"Measured on {date.today().isoformat()} with nnx {nnx.__version__}, Python {platform.python_version()}, "
        f"NumPy {known['versions']['numpy']} ({known['blas']}, {known['kernel']}), safetensors {known['versions']['safetensors']}, "
        f"{platform.system()}, one thread."
    )


HEAD = """
# Trust: what a crash, a failing disk and a damaged file can do

A training that has a directory writes checkpoints into it: one a minute, one after ^C or SIGTERM, or one every so many steps
(`checkpoint_every=`, `--checkpoint-every`). A checkpoint holds the weights and buffers, every slot of the optimizer, the place in the schedule and in
the data, the sums of the epoch at hand, what callbacks such as early stopping remember, the history, the settings, and on what
machine, backend, BLAS and number of threads it was made. `nnx resume RUN`, or `nnx.resume(directory, train, val)`, goes on
from the last one and ends with the bits of a training that was never cut.

`python -P benchmarks/trust.py` has tried to break that, and has written this page:
"""
TAIL = """
## What it means

- **Cut**: the process dies between two steps, at any step, also within an epoch. Every optimizer × schedule × watcher (nobody, early
  stopping, reduce on plateau, a rate set by hand) × model (plain, batch norm, dropout, both), in an order of chance until the time was up, and L-BFGS alone and
  after Adam.
- **Fails**: the n-th call of `open write fsync close mkdir rename stat statvfs unlink rmdir scandir` during a save raises ENOSPC or EIO, or the process ends
  there, or after half of a write. Then the newest checkpoint must be whole, its content that of the save before (or of this one, if it was
  said to be done), and the next save must work.
- **Noticed**: a checkpoint whose files have another size or SHA-256 than its manifest says, or whose manifest differs from its own hash, is refused in
  one loud line, and the one before it is used: at most one interval is lost. The hash proves that a file is what was written, not who wrote it.

## What it does not mean

- Nobody has pulled a plug. That everything is synced before it gets its name, and in which order, is tested on the calls
  (`tests/trust/test_disk.py`); that a disk keeps what it says it has synced is up to the disk.
- The same bits need the same backend, BLAS, kernel, number of threads and batch size. Elsewhere a training goes on and agrees to roundings, and says
  so. On JAX, whose compiler rounds otherwise than a step as written, a model or a loss of one's own needs `compile=False`.
- Windows has no `flock`, no `fork` and syncs no directories: there none of this has been run.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, help="a short run, which writes nothing")
    parser.add_argument("--for", dest="time", type=float, default=120.0, help="seconds for trainings that are cut")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--backend", default="numpy")
    options = parser.parse_args()
    short = options.seconds is not None
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = [resumed(options.seconds if short else options.time, options.backend, place)]
        rows += [*disks(place), *killed(2 if short else options.kills, place), *damaged(place)]
    text = page(rows)
    print(text[text.index("|") : text.index("Measured")])
    if not short:
        PAGE.write_text(text, encoding="utf-8")
    return 0 if all(row.kept == row.tried > 0 for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
