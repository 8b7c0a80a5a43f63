"""One trainer in one directory: a second one is refused, and the lock of one that died is free at once."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nnx.errors import ConfigError

LOCK = "run.lock"


@contextmanager
def locked(directory: Path | None) -> Iterator[None]:
    """Within, the directory is ours: an advisory lock of the system, which it takes back from a process that ends in any way.

    Errors: ``ConfigError`` with who holds it, ``ConfigError`` where the directory cannot be written. Where the system
    has no such locks, nothing is locked.
    """
    try:
        import fcntl
    except ImportError:
        directory = None
    if directory is None:
        yield
        return
    path = directory / LOCK
    try:
        directory.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(descriptor)
                os.close(descriptor)
                raise ConfigError(
                    expected="a directory in which nobody trains",
                    got=f"one that is in use by {holder}",
                    where=str(directory),
                    fix="Wait until it ends, or end it first.",
                ) from None
            if _is(path, descriptor):
                break
            os.close(descriptor)  # its holder took it away between the two lines above
    except OSError as error:
        raise ConfigError(
            f"the directory cannot be written ({error.strerror or error})",
            where=str(directory),
            fix="Check its place and permissions.",
        ) from None
    try:
        with suppress(OSError):  # on a full disk it is unsigned
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    """Who holds the file: it signs right after it has it, so an empty one is looked at again for a moment."""
    for _ in range(20):
        if signed := os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip():
            return signed
        time.sleep(0.01)
    return "another process"


def _is(path: Path, descriptor: int) -> bool:
    """Whether the name still means the file that we hold."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
