"""Is a step shared by two processes faster than one? Steps of three networks, whole, in shards, and in shards of two processes.

    python -P -m benchmarks.distributed              on this machine, some minutes; writes benchmarks/results/distributed.json
    python -P -m benchmarks.distributed --quick      that it runs

The same eight shards everywhere, one thread each, in turns; the median of all steps, their fastest tenth, and the fastest.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # read when NumPy is loaded
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from benchmarks import timer  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results" / "distributed.json"
WORKS = {
    "small": ((64, 128, 64, 10), 64),
    "middle": ((784, 512, 512, 10), 1024),
    "large": ((784, 2048, 2048, 10), 1024),
}
"""Widths and rows of a batch."""

CONTESTANTS = {"whole batch": 1, "8 shards, 1 process": 1, "8 shards, 2 processes": 2}


def steps(work: str, shards: int, seconds: float) -> dict[str, Any]:
    """Milliseconds of each step, and of the exchange alone."""
    import nnx
    from nnx.train.sharing.joining import join
    from nnx.train.sharing.sharded import Sharded
    from nnx.train.sharing.shards import summed
    from nnx.train.stepper import stepper

    widths, rows = WORKS[work]
    layers = [layer for a, b in pairwise(widths) for layer in (nnx.Linear(a, b), nnx.ReLU())][:-1]
    model, group, loss = nnx.Sequential(*layers).initialize(0), join(), nnx.losses.cross_entropy
    step = Sharded(model, loss, shards, group) if shards else stepper(model, loss)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, widths[0])).astype(np.float32), rng.integers(0, widths[-1], rows)
    optimizer = nnx.optim.Adam(1e-4)
    state, number = optimizer.init(model.parameters()), 0

    def take() -> None:
        nonlocal state, number
        state, number = step(optimizer, state, x, y, 0, number).state, number + 1

    for _ in range(4):
        take()
    taken = _times(take, group, seconds)
    weights = sum(int(np.prod(w.shape)) for w in model.parameters().values())
    vector = np.zeros(1 + weights + rows * widths[-1], dtype=np.float32)
    exchange = _times(lambda: summed(group, vector, [True] * group.size), group, seconds / 4) if group.size > 1 else []
    return {"ms": taken, "exchange_ms": exchange, "bytes": vector.nbytes, "parameters": weights}


def _times(job: Any, group: Any, seconds: float) -> list[float]:
    """Milliseconds of each call: as many calls as fill the time, the same in all processes, who wait for each other in each."""
    started = time.perf_counter()
    job()
    once = max(time.perf_counter() - started, 1e-6)
    found = []
    for _ in range(group.share(max(8, min(int(seconds / once), 5000)))):
        started = time.perf_counter()
        job()
        found.append(round(1e3 * (time.perf_counter() - started), 4))
    return found


def measured(work: str, contestant: str, seconds: float) -> dict[str, Any]:
    """One turn of a contestant, in processes of its own."""
    processes, shards = CONTESTANTS[contestant], 0 if contestant == "whole batch" else 8
    program = [sys.executable, "-P", "-m", "benchmarks.distributed", "--steps", work, str(shards), str(seconds)]
    mpiexec = Path(sys.executable).parent / "mpiexec"
    launch = [str(mpiexec) if mpiexec.exists() else "mpiexec", "-n", str(processes)] if processes > 1 else []
    home = Path(__file__).resolve().parent.parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(home)]))}
    done = subprocess.run([*launch, *program], capture_output=True, text=True, check=True, env=environment)
    return dict(json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{"))))


def rows(turns: int, seconds: float, works: list[str]) -> list[dict[str, Any]]:
    """Every contestant on every work, in turns."""
    found = []
    for work in works:
        taken: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
        for _ in range(turns):
            for name in CONTESTANTS:
                taken[name].append(measured(work, name, seconds))
        for name, answers in taken.items():
            row = {"work": work, "widths": WORKS[work][0], "rows": WORKS[work][1], "contestant": name}
            row |= {"parameters": answers[0]["parameters"], "bytes": answers[0]["bytes"]}
            for key in ("ms", "exchange_ms"):
                if taken_ms := sorted(one for answer in answers for one in answer[key]):
                    row |= {key: statistics.median(taken_ms), f"tenth_{key}": taken_ms[len(taken_ms) // 10]}
                    row |= {f"best_{key}": taken_ms[0]}
            found.append(row)
            print(json.dumps(row), flush=True)
    return found


def main() -> int:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="once, a moment of each; writes nothing")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps:
        work, shards, seconds = options.steps
        answer = steps(work, int(shards), float(seconds))
        from nnx.train.sharing.joining import join

        if join().first:
            print(json.dumps(answer), flush=True)
        return 0
    load = timer.load_average()
    found = rows(1, 0.2, ["small"]) if options.quick else rows(options.turns, 2.0, list(WORKS))
    if not options.quick:
        RESULTS.write_text(
            json.dumps({"machine": timer.machine(), "load": [load, timer.load_average()], "rows": found}, indent=1)
            + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
