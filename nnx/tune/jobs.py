"""Several workers on this machine: processes, each with one thread for its matrix products."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from nnx.errors import ConfigError, NnxError
from nnx.tune import storage
from nnx.tune.extra import quiet
from nnx.tune.study import Study, join
from nnx.tune.worker import POLL, Train, me, put_back_of, work

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")
PATIENCE = 15.0
"""Seconds that workers have to end after ^C."""


def run_jobs(study: Study, train: Train, jobs: int, heartbeat: int, told: Callable[[], None]) -> str:
    """Start workers and wait for them; what was told them by ^C or SIGTERM is told here, too. Why it ended before the last trial.

    A worker that is killed leaves its trial to the others; when the last one is, ``NnxError``.
    """
    host = me().rpartition(":")[0]
    with _one_thread(), _sigterm_as_interrupt() as terminated:
        workers = _start(study, train, jobs, heartbeat)
        alive = list(workers)
        try:
            while alive:
                time.sleep(POLL)
                for worker in [worker for worker in alive if not worker.is_alive()]:
                    alive.remove(worker)
                    put_back_of(study, f"{host}:{worker.pid}")
                told()
        except KeyboardInterrupt:
            _end(workers)
            for worker in workers:
                put_back_of(study, f"{host}:{worker.pid}")
            told()
            return "terminated" if terminated else "interrupted"
    if any(not trial.state.is_finished() for trial in study.trials()):
        codes = ", ".join(str(worker.exitcode) for worker in workers)
        raise NnxError(
            f"every worker ended before the last trial (exit codes {codes})",
            where=f"search {study.name}",
            fix="Nothing is lost: run it again to continue. In a script, call nnx.tune under if __name__ == '__main__'.",
        )
    return ""


def _start(study: Study, train: Train, jobs: int, heartbeat: int) -> list[Any]:
    if study.url is None:
        raise ConfigError(
            expected="a directory or a storage, which the processes share",
            got=f"jobs={jobs} and neither",
            where="jobs",
            fix="Give directory=.",
        )
    context = multiprocessing.get_context("spawn")
    arguments = (study.url, study.name, heartbeat, train)
    workers = [context.Process(target=_work, args=arguments, daemon=True) for _ in range(jobs)]
    try:
        for worker in workers:
            worker.start()
    except Exception as error:  # whatever the function says when it is to be sent to a process
        _end([worker for worker in workers if worker.pid])
        raise ConfigError(
            f"the function cannot be given to another process ({error})",
            where="train",
            fix="Define it at the top of a module, or leave jobs away.",
        ) from None
    return workers


def _work(url: str, name: str, heartbeat: int, train: Train) -> None:
    """The life of one process."""
    parent = multiprocessing.parent_process()
    try:
        store = storage.connect(url, heartbeat)
        with quiet():
            study = join(url, store, name)
        work(study, train, lambda: None, lambda: parent is None or parent.is_alive())
    except KeyboardInterrupt:
        pass
    except NnxError as error:
        print(f"nnx: worker {os.getpid()}: {error}", file=sys.stderr)
        sys.exit(1)


def _end(workers: list[Any]) -> None:
    """As ^C would; at last by force."""
    until = time.monotonic() + PATIENCE
    for worker in workers:
        if worker.is_alive():
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGINT)
    for worker in workers:
        worker.join(max(until - time.monotonic(), 0.1))
        if worker.is_alive():
            worker.kill()
            worker.join()


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is started within takes one thread for its products: J processes with C threads each would wait for each other."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _sigterm_as_interrupt() -> Iterator[list[int]]:
    """Within, SIGTERM ends the workers as ^C does. A program with a handler of its own, or a thread, is left as it is."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    try:
        mine = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        if mine:
            signal.signal(signal.SIGTERM, note)
    except ValueError:  # not the main thread
        mine = False
    try:
        yield came
    finally:
        if mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
