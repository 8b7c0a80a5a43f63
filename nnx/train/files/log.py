"""Lines in a file of a run, each whole or not there at all, whatever the disk does; and what is said on standard error."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from nnx.errors import DataError


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


def read(path: Path, **needs: type) -> list[dict[str, Any]]:
    """The JSON objects of a log, a line each, with the keys and kinds that each needs; a last line cut short by a crash is left out.

    Errors: ``DataError`` for a file that cannot be read or has another line that is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"it cannot be read ({error.strerror})", where=str(path), fix="Check the path.") from None
    records: list[dict[str, Any]] = []
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        try:
            record = json.loads(line)
            if lacks := [key for key, kind in needs.items() if not isinstance(dict(record).get(key), kind)]:
                raise ValueError(f"no {lacks[0]}")
        except (ValueError, TypeError, RecursionError) as error:
            if not line.endswith(b"\n"):
                break
            place = f"{path}, line {number}"
            raise DataError(f"a damaged line ({error})", where=place, fix="Restore the file.") from None
        records.append(record)
    return records
