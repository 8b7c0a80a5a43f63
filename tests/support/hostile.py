"""What nnx makes of files that strangers might feed to it. ``strangers`` makes the files, ``loaders`` is the table of what reads them.

A ``Loader`` says what reads a kind of file, some whole files, and how a *core* becomes a file: the core of a checkpoint is one JSON text, say,
and the file around it has the right sizes and hashes, so that mutations reach what lies behind the first check. ``outcome`` says what a
loader made of a core: "read", "refused" (an error of ``nnx.errors`` that says where and what to do), or else what went wrong.
"""

import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnx.errors import NnxError

SECONDS = 5.0
"""Of the processor, that one input may take: a machine may have other work."""

BYTES = 1 << 30
"""Address space that a process may take beside what it has when the trials begin."""


class Hung(BaseException):
    """The time is up; no ``except Exception`` of a library keeps it."""


@dataclass(frozen=True)
class Loader:
    """How one kind of file is made and read."""

    name: str
    file: str
    read: Callable[[Path], Any]
    seeds: Callable[[], list[bytes]]
    wrap: Callable[[bytes], bytes | dict[str, bytes]] = lambda core: core
    corpus: Callable[[], dict[str, bytes]] = dict
    beside: dict[str, bytes] = field(default_factory=dict)

    def write(self, core: bytes, place: Path) -> Path:
        """The file (or folder) around a core."""
        made, path = self.wrap(core), place / self.file
        for name, data in self.beside.items():
            (place / name).write_bytes(data)
        if isinstance(made, bytes):
            path.write_bytes(made)
            return path
        shutil.rmtree(place / self.file.partition("/")[0], ignore_errors=True)
        path.mkdir(parents=True)
        for name, data in made.items():
            (path / name).write_bytes(data)
        return path


def outcome(loader: Loader, core: bytes, place: Path) -> str:
    """What is made of a core: "read", "refused", or what went wrong."""
    return judged(loader, loader.write(core, place))


def judged(loader: Loader, path: Path) -> str:
    """The same of a file that is there."""
    try:
        with in_time(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("error")
            loader.read(path)
        return "read"
    except NnxError as error:
        whole = error.where and error.fix and (error.what or (error.expected and error.got))
        return (
            "refused"
            if whole and len(str(error)) < 3000
            else f"an error that says too little or too much: {error!r}"[:300]
        )
    except Hung:
        return f"more than {SECONDS:g} s"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """``Hung`` when it takes longer than so much of the processor; where there are no such alarms, no limit."""
    if not hasattr(signal, "SIGPROF"):
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise Hung

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
