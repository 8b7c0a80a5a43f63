"""Lines in a file of a run, each whole or not there at all, whatever the disk does; and what is said on standard error."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def say(line: str) -> None:
    """One line on standard error."""
    print(f"nnx: {line}", file=sys.stderr, flush=True)


class Log:
    """Appends lines to a file. Those that the disk refuses wait, and are written with the next that it takes.

    A full disk is told by ``tell`` when it is met and when it is over; it is no reason to end a training. Half a line
    is taken back.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] | None = None) -> None:
        self.path, self.tell, self.waiting = path, tell or say, list[str]()

    def append(self, line: str) -> None:
        """Write a line, and those that wait."""
        told = bool(self.waiting)
        self.waiting.append(line + "\n")
        try:
            self._write()
        except OSError as error:
            if not told:
                self.tell(
                    f"{self.path} CANNOT BE WRITTEN ({error.strerror or error}): training goes on, and its lines wait. Free some space."
                )
        else:
            if told:
                self.tell(f"{self.path} is written again, and lacks nothing")

    def close(self) -> None:
        """The last chance for the lines that wait."""
        if not self.waiting:
            return
        with suppress(OSError):
            self._write()
        if self.waiting:
            self.tell(f"{self.path} LACKS its last {len(self.waiting)} lines: the disk refuses them")

    def _write(self) -> None:
        data = memoryview("".join(self.waiting).encode())
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            size = os.fstat(descriptor).st_size
            try:
                while data:
                    data = data[os.write(descriptor, data) :]
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        self.waiting = []
