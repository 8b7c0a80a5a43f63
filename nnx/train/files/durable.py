"""Files that are on the disk, and not only on their way to it, before they count.

A power cut may leave a renamed file empty: the rename reached the disk, its content did not. Therefore each file is
synced, then the directory that names it, and only then the directory takes its final name, which is synced in the
directory above.

Source: Pillai et al. (2014), All File Systems Are Not Created Equal, OSDI.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

TEMPORARY = ".tmp-"
"""How the names of unfinished directories begin."""


def write_directory(target: Path, files: Mapping[str, bytes]) -> None:
    """A directory with these files, whole or not at all; the last file is the last one written.

    ``OSError`` where the disk refuses: then nothing has changed. An older directory of this name is replaced.
    """
    beside = target.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}")
    old = beside.with_name(f"{beside.name}-old")
    os.mkdir(beside)
    try:
        for name, data in files.items():
            write_file(beside / name, data)
        sync_directory(beside)
        if replaced := target.exists():
            os.rename(target, old)
        os.rename(beside, target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    sync_directory(target.parent)
    if replaced:
        shutil.rmtree(old, ignore_errors=True)


def write_file(path: Path, data: bytes) -> None:
    """A new file, synced."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make sure that the names in a directory are on the disk; Windows has no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_unfinished(directory: Path) -> None:
    """Remove what a killed process has left half done. Only for who holds the lock."""
    for entry in directory.glob(f"{TEMPORARY}*"):
        shutil.rmtree(entry, ignore_errors=True)


def need_space(directory: Path, size: int) -> None:
    """``OSError`` unless twice ``size`` bytes are free there: said before anything is written."""
    free = shutil.disk_usage(directory).free
    if free < 2 * size:
        raise OSError(errno.ENOSPC, f"{2 * size:,} bytes are needed, {free:,} are free", str(directory))


def read_file(path: Path, limit: int) -> bytes:
    """All of a file of at most ``limit`` bytes, which is no link to another. ``OSError`` where it is not so."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise OSError(errno.EFBIG, f"more than {limit} bytes", str(path))
        return file.read(size + 1)  # and not of the limit, which may be what a stranger declares
