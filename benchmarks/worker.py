"""The inside of a contestant's process: it takes orders as lines of JSON, and answers each with one line.

{"do": "versions"}                                                  what it runs on
{"do": "make", "options": …, "question": …, "network": …}            build a job; the number of it
{"do": "block", "job": 0, "calls": 10}                              seconds per call
{"do": "losses", "job": 0, "steps": 3}                              the losses of the first steps
{"do": "outputs", "job": 0}                                         the answer, as nested lists
{"do": "peak", "job": 0, "calls": 10}                               bytes held before, and at most while running
{"do": "drop", "job": 0}                                            forget it
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks import networks, timer


class Worker:
    """The jobs of one process, all of one file of ``benchmarks.contestants``."""

    def __init__(self, file: str) -> None:
        self.at_start = timer.resident()
        self.module = import_module(f"benchmarks.contestants.{file}")
        self.jobs: dict[int, Any] = {}
        self.made = 0

    def versions(self) -> Any:
        """What the library says of itself."""
        return self.module.versions()

    def make(self, question: str, network: dict[str, Any], options: dict[str, Any]) -> int:
        """Build a job."""
        self.jobs[self.made] = self.module.make(question, networks.of(network), **options)
        self.made += 1
        return self.made - 1

    def block(self, job: int, calls: int) -> timer.Sample:
        """Time it."""
        return timer.block(self.jobs[job], calls)

    def losses(self, job: int, steps: int) -> list[float]:
        """Train and tell."""
        self.jobs[job].reset()
        return [self.jobs[job].loss() for _ in range(steps)]

    def outputs(self, job: int) -> Any:
        """Answer and tell."""
        return self.jobs[job].outputs().tolist()

    def peak(self, job: int, calls: int) -> dict[str, Any]:
        """Memory: with nothing imported, before the first call, at most during the calls."""
        chosen = self.jobs[job]
        chosen.synchronize()
        before, forgotten = timer.resident(), timer.forget_peak()
        for _ in range(calls):
            chosen.run()
        chosen.synchronize()
        return {"empty": self.at_start, "before": before, "peak": timer.peak(), "exact": forgotten}

    def drop(self, job: int) -> None:
        """Forget a job and free what it held."""
        del self.jobs[job]
        gc.collect()


def serve(file: str, hidden: str) -> None:
    """Answer until the orders end. What libraries print goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for name in filter(None, hidden.split(",")):
        sys.modules[name] = None  # type: ignore[assignment]  # not importable, nor found
    worker: Worker | None = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            worker = worker or Worker(file)
            method: Callable[..., Any] = getattr(worker, order.pop("do"))
            answer = {"answer": method(**order)}
        except Exception as error:  # whatever a library raises is told, and the process goes on
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), file=answers, flush=True)
