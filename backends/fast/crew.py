"""One piece of work done by several threads of nnx's own, with BLAS kept to one thread meanwhile.

The threads of BLAS wait for their next product by spinning, some milliseconds long, and so do those of other compilers'
pools. Work that goes from one pool to another and back, as a training step does, then finds the cores taken. Here
products, compiled loops and convolutions are cut into parts, one for each thread that BLAS may take, and all parts go
to the same threads, which sleep when they wait. What is called must let go of Python's lock, as NumPy's products and
numba's ``nogil`` loops do.
"""

import ctypes
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from contextvars import copy_context
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

from nnx.backends.threads import cores

CORE = "numpy._core._multiarray_umath"
"""The module of NumPy that was linked to its BLAS."""

_idle: list["_Hand"] = []
_here = threading.local()


def size() -> int:
    """How many threads may work at once: as many as BLAS may take now; one within a part of shared work."""
    if getattr(_here, "busy", False):
        return 1
    if one_blas_thread.holders:
        return one_blas_thread.before
    blas = openblas()
    return cores() if blas is None else blas.threads()


def cut(n: int, least: int = 1, step: int = 1) -> list[slice]:
    """0 … n as one run for each thread, of at least ``least`` each, beginning at multiples of ``step``.

    >>> cut(10, least=100)
    [slice(0, 10, None)]
    """
    count = min(size(), n // max(least, 1)) if n >= 2 * least else 1
    ends = [round(n * i / count / step) * step for i in range(count)] + [n] if count > 1 else [0, n]
    return [slice(a, b) for a, b in pairwise(ends) if a < b or count == 1]


def share(function: Callable[..., Any], parts: Sequence[tuple[Any, ...]]) -> None:
    """Call ``function(*part)`` for every part, the first here and each other one in a thread; return when all are done.

    What one of them raises is raised here, when all are done; ``np.errstate`` holds in all of them.
    """
    if len(parts) == 1:
        function(*parts[0])
        return
    hands = [_hand() for _ in parts[1:]]
    given: list[_Hand] = []
    with one_blas_thread:
        _here.busy = True
        try:
            for hand, part in zip(hands, parts[1:]):
                given.append(hand)
                hand.give(function, part)
            function(*parts[0])
        finally:
            _here.busy = False
            errors = [error for hand in given if (error := hand.wait()) is not None]
            _idle.extend(given)
    if errors:
        raise errors[0]


def share_rows(function: Callable[..., Any], arrays: Sequence[Any], least: int = 1) -> None:
    """Call ``function(*arrays)``, of which each thread has a run of rows, at least so many."""
    share(function, [tuple(array[part] for array in arrays) for part in cut(len(arrays[0]), least)])


class _OneBlasThread:
    """``with one_blas_thread:`` products take one thread, in this and in all other threads."""

    def __init__(self) -> None:
        self.holders, self.before, self._lock = 0, 1, threading.Lock()

    def __enter__(self) -> None:
        if (blas := openblas()) is not None:
            with self._lock:
                if self.holders == 0:
                    self.before = blas.threads()
                    blas.take(1)
                self.holders += 1

    def __exit__(self, *_: Any) -> None:
        if (blas := openblas()) is not None:
            with self._lock:
                self.holders -= 1
                if self.holders == 0:
                    blas.take(self.before)


one_blas_thread = _OneBlasThread()


class OpenBlas(NamedTuple):
    """Two functions of the library itself."""

    threads: Callable[[], int]
    take: Callable[[int], None]


@cache
def openblas() -> OpenBlas | None:
    """NumPy's OpenBLAS; None where NumPy was built with another BLAS."""
    for library in _libraries():
        for prefix, suffix in product(("scipy_", ""), ("64_", "_64", "")):
            names = [f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
            if all(hasattr(library, name) for name in names):
                return OpenBlas(*(getattr(library, name) for name in names))
    return None


def _libraries() -> Iterator[Any]:
    """NumPy's own module, through which the system's loader finds what it needs; else what threadpoolctl (extra ``fast``) finds."""
    if file := getattr(sys.modules.get(CORE), "__file__", None):
        with suppress(OSError):
            yield ctypes.CDLL(file)
    if importlib.util.find_spec("threadpoolctl") is not None:
        from threadpoolctl import ThreadpoolController

        for one in ThreadpoolController().lib_controllers:
            if one.internal_api == "openblas" and Path(one.filepath).parent.name == "numpy.libs":
                yield one.dynlib


class _Hand:
    """A thread that does one thing at a time, and sleeps between."""

    def __init__(self) -> None:
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._work: Callable[[], Any] | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="nnx crew", daemon=True).start()

    def give(self, function: Callable[..., Any], part: tuple[Any, ...]) -> None:
        """Begin."""
        context = copy_context()
        self._work, self._error = lambda: context.run(function, *part), None
        self._go.release()

    def wait(self) -> BaseException | None:
        """Sleep until it is done, also when ^C comes in between: what works on arrays must not be left behind."""
        interrupt: BaseException | None = None
        while True:
            try:
                self._done.acquire()
                return interrupt or self._error
            except BaseException as error:
                interrupt = error

    def _run(self) -> None:
        _here.busy = True
        while True:
            self._go.acquire()
            try:
                assert self._work is not None
                self._work()
            except BaseException as error:
                self._error = error
            self._work = None  # let go of the arrays
            self._done.release()


def _hand() -> _Hand:
    """One that sleeps, or a new one: between a look and a take another thread may have taken the last."""
    try:
        return _idle.pop()
    except IndexError:
        return _Hand()


def _after_fork() -> None:
    _idle.clear()  # their threads have stayed behind
    one_blas_thread.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
