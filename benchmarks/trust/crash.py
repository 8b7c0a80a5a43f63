"""Disks that fail while a checkpoint is saved, processes that are killed, files that are damaged."""

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from support import trust

from benchmarks.trust.row import Row

TRAIN = ["train", "digits", "--epochs", "60", "--checkpoint-every", "20", "--check", "off", "--model", "mlp:24"]

NOTE = """
- **Fails**: the n-th call of `open write fsync close mkdir rename stat statvfs unlink rmdir scandir` during a save raises ENOSPC or EIO, or the process
  ends there, or after half of a write. Then the newest checkpoint must be whole, its content that of the save before (or of this one, if it was
  said to be done), and the next save must work.
- **Noticed**: a checkpoint whose files have another size or SHA-256 than its manifest says, or whose manifest differs from its own hash, is refused in
  one loud line, and the one before it is used: at most one interval is lost. The hash proves that a file is what was written, not who wrote it.
"""


def rows(seconds: float | None, place: Path) -> list[Row]:
    """Every call, every length and every bit; so many kills."""
    return [*disks(place), *killed(20 if seconds is None else 2, place), *damaged(place)]


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
