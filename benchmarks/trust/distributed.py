"""Trainings shared by processes: their number must not show in the bits, and the death of one must cost at most one interval."""

import random
import shutil
import time
from pathlib import Path

from support import distributed, trust

from benchmarks.trust.row import Row

SIZES = (2, 4, 8)

NOTE = """
- **The same SHA-256** on 1, 2, 4 and 8 processes under `mpiexec`, several on a core: every kind of training (optimizer × schedule × watcher × model, with
  batch norm and dropout), in random order. A batch is summed in eight shards in a fixed tree, whichever process has them.
- **Killed**: one process, chosen at random, dies by `kill -9` at a random shard. All others must be gone within seconds, the newest checkpoint must be
  whole, and the run, resumed in a random number of processes, must end with the bits of one that was never cut.
- **A signal to one process** must end all after the same step, with the same weights.
- All of this was on one machine. Several machines and GPUs were not tried; [distributed.md](distributed.md) says what is known of them.
"""


def rows(seconds: float | None, place: Path) -> list[Row]:
    """All of it, or a little."""
    short = seconds is not None
    return [*same(4 if short else 40, place), *killed(2 if short else 10, place), asked(3 if short else 24, place)]


def same(count: int, place: Path) -> list[Row]:
    """So many trainings, by each number of processes."""
    cases, found = distributed.by_chance(count), []
    alone = {
        name: trust.sha(trust.trained(case, "numpy", shards=distributed.SHARDS).model) for name, case in cases.items()
    }
    for size in SIZES:
        started, there = time.perf_counter(), place / f"by-{size}"
        there.mkdir()
        distributed.mpiexec(size, "many", there, timeout=600, count=count)
        answers = distributed.found(there, size)
        kept = sum(all(answer[name] == sha for answer in answers) for name, sha in alone.items())
        what = f"trainings by {size} processes"
        promise = "the SHA-256 of the weights by one, in each of them"
        found.append(Row(what, promise, count, kept, time.perf_counter() - started))
    return found


def killed(count: int, place: Path) -> list[Row]:
    """So many runs of which a process dies."""
    draw, whole = random.Random(1), trust.sha(distributed.course(None, distributed.nnx.losses.cross_entropy).model)
    ended = sound = same = 0
    started, times = time.perf_counter(), 0.0
    for number in range(count):
        there, size = place / f"killed-{number}", draw.choice(SIZES[:2])
        there.mkdir()
        who = draw.randrange(size)
        calls = 8 // size * 10  # shards in its ten full batches; with the first half of them there is a checkpoint
        begun = time.perf_counter()
        done = distributed.mpiexec(size, "killed", there, at=draw.randint(calls // 2, calls), who=who)
        ended += done.returncode != 0 and time.perf_counter() - begun < 30 and not list(there.glob("*.json"))
        damaged = trust.newest(there / "run" / trust.CHECKPOINTS, lambda line: None)[1]
        sound += not damaged
        begun = time.perf_counter()
        after = draw.choice((1, *SIZES))
        distributed.mpiexec(after, "again", there)
        same += all(answer["sha"] == whole for answer in distributed.found(there, after))
        times += time.perf_counter() - begun
        shutil.rmtree(there)
    return [
        Row("`kill -9` of one of 2 or 4 processes", "all end within seconds", count, ended, time.perf_counter() - started - times),
        Row("their newest checkpoints", "whole", count, sound, 0.0),
        Row("those runs, resumed in 1, 2, 4 or 8 processes", "the SHA-256 of one that was never cut", count, same, times),
    ]  # fmt: skip


def asked(count: int, place: Path) -> Row:
    """So many signals to one process of four."""
    draw, there = random.Random(2), place / "asked"
    there.mkdir()
    started = time.perf_counter()
    times = [[draw.randint(1, 8), draw.randrange(4)] for _ in range(count)]
    distributed.mpiexec(4, "asked", there, times=times)
    answers = [answer["ends"] for answer in distributed.found(there, 4)]
    kept = sum(all(one == ends[0] for one in ends) and ends[0][0] == "interrupted" for ends in zip(*answers))
    promise = "all have ended after the same step, with the same weights"
    return Row("^C to one of 4 processes", promise, count, kept, time.perf_counter() - started)
