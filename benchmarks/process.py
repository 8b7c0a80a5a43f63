"""The outside of a contestant's process: start it, order, wait for the answer, end it."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import HOME, networks, timer
from benchmarks.contestants import Contestant
from benchmarks.networks import Network

PATIENCE = 600.0
"""Seconds after which a process that does not answer is given up."""


class FailedError(RuntimeError):
    """A contestant could not do what it was asked."""


class Process:
    """One process for one library; see ``benchmarks.worker`` for what it can be asked."""

    def __init__(self, contestant: Contestant) -> None:
        self.label = contestant.label
        environment = {**os.environ, **timer.thread_settings(timer.threads()), **contestant.environment}
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  closed by end()
        command = [sys.executable, "-P", str(HOME / "run.py"), "--worker", contestant.file, ",".join(contestant.hides)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
        )

    def ask(self, do: str, **order: Any) -> Any:
        """Order and wait. FailedError with what the process said, if it failed or is gone."""
        self.send(do, **order)
        return self.receive()

    def send(self, do: str, **order: Any) -> None:
        """Order; the answer is then waiting."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise FailedError(f"{self.label}: its process is gone. {self._last_words()}") from error

    def receive(self) -> Any:
        """The answer to the last order."""
        assert self._process.stdout
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._process.stdout, selectors.EVENT_READ)
            if not waiting.select(PATIENCE):
                self.end()
                raise FailedError(f"{self.label}: no answer within {PATIENCE:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise FailedError(f"{self.label}: its process is gone. {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise FailedError(f"{self.label}: {answer['error'].splitlines()[0]}")
        return answer["answer"]

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().strip().splitlines()
        return lines[-1] if lines else ""

    def end(self) -> None:
        """End the process and wait for it."""
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):  # of what it was not alive to read
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._stderr.close()


class Field:
    """All contestants of a run, each in its process; contestants of one file and environment share one."""

    def __init__(self, contestants: tuple[Contestant, ...]) -> None:
        self.contestants = contestants
        self.left_out: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self._processes: dict[Any, Process] = {}

    def __enter__(self) -> "Field":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.end()

    def process(self, contestant: Contestant) -> Process:
        """The process of a contestant, started at first use."""
        key = (contestant.file, contestant.hides, *sorted(contestant.environment.items()))
        if key not in self._processes:
            self._processes[key] = Process(contestant)
        return self._processes[key]

    def versions(self) -> dict[str, Any]:
        """What each of them runs on. All libraries are imported at the same time."""
        found: dict[str, Any] = {}
        shared = {self.process(contestant): contestant.label for contestant in reversed(self.contestants)}
        for process in shared:
            process.send("versions")
        for process, label in reversed(shared.items()):
            try:
                found[label] = process.receive()
            except FailedError as error:
                self.failed[label] = str(error)
        return found

    def time(
        self,
        question: str,
        network: Network,
        *,
        rounds: int,
        seconds: float,
        limit: float,
        only: tuple[str, ...] = (),
    ) -> dict[str, timer.Samples]:
        """Everyone who takes part, in turns. Who fails is left out of this, and it is said why."""
        jobs: dict[str, tuple[Process, int]] = {}
        try:
            for contestant in self.contestants:
                if not contestant.plays(question, network.regular) or (only and contestant.label not in only):
                    continue
                try:
                    process = self.process(contestant)
                    job = process.ask("make", **order(question, network, contestant))
                    process.ask("block", job=job, calls=1)  # compiles, if it has to, and shows that it runs
                    jobs[contestant.label] = (process, job)
                except FailedError as error:
                    self.failed[f"{contestant.label}: {question}, {network.title}"] = str(error)
            blocks = {
                label: lambda calls, process=process, job=job: timer.Sample(*process.ask("block", job=job, calls=calls))
                for label, (process, job) in jobs.items()
            }
            return timer.interleave(blocks, rounds=rounds, seconds=seconds, limit=limit)
        finally:
            for process, job in jobs.values():
                process.ask("drop", job=job)


def order(question: str, network: Any, contestant: Contestant) -> dict[str, Any]:
    """What a process is told to make."""
    return {"question": question, "network": networks.described(network), "options": contestant.options}
