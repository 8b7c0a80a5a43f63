"""Trainings of every kind, cut at a random step and resumed."""

import os
import random
import time
from pathlib import Path

from support import trust

from benchmarks.trust.row import Row

NOTE = """
- **Cut**: the process dies between two steps, at any step, also within an epoch. Every optimizer × schedule × watcher (nobody, early
  stopping, reduce on plateau, a rate set by hand) × model (plain, batch norm, dropout, both), in random order until the time was up, and L-BFGS
  alone and after Adam.
"""


def rows(seconds: float | None, place: Path) -> list[Row]:
    """On NumPy: the other backends are tried in the tests."""
    return [resumed(80.0 if seconds is None else seconds, "numpy", place)]


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
