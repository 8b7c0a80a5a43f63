"""What a file may ask for: sizes are judged from its header before any memory is taken, then read piece by piece."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from nnx.errors import DataError

_UNKNOWN = 4 << 30  # bytes assumed free where the system does not tell
_SMALL = 64 << 20  # bytes below which compression is not questioned
_PIECE = 1 << 24  # bytes read at a time
_RATIO = 500  # deflate ends at 1032 times; measured data stays below 100


def available_bytes() -> int:
    """Memory that this process can still take: of the machine, its container and its own limit (RLIMIT_AS)."""
    rooms = [_machine()]
    try:
        limit, used = (int(Path("/sys/fs/cgroup", name).read_text()) for name in ("memory.max", "memory.current"))
        rooms.append(limit - used)
    except (OSError, ValueError):
        pass  # no such container, or "max"
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            rooms.append(limit - pages * resource.getpagesize())
    except (ImportError, OSError, ValueError):
        pass  # not a POSIX system
    return max(0, min(rooms))


def _machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return _UNKNOWN


def claim(needed: int, where: str) -> None:
    """Refuse an allocation of ``needed`` bytes that would take more than half of the memory that is free."""
    free = available_bytes()
    if needed > free // 2:
        raise DataError(
            expected=f"data that fits into half of the free memory, {size(free // 2)}",
            got=f"{size(needed)} declared",
            where=where,
            fix="Cut the file into parts, store a smaller type, or free memory.",
        )


def fits(needed: int) -> bool:
    """Whether ``needed`` bytes are at most half of the memory that is free."""
    return needed <= available_bytes() // 2


def streams(needed: int, stream: bool | None) -> bool:
    """Whether an array is read when it is needed, row by row: as was asked for, or where it would not fit into half of the free memory."""
    return not fits(needed) if stream is None else stream


def plausible(declared: int, stored: int, where: str, small: int = _SMALL) -> None:
    """Refuse compressed data that would grow to more than ``small`` bytes and more than measured data ever does."""
    if declared > small and declared > _RATIO * max(1, stored):
        raise DataError(
            expected=f"data that grows at most {_RATIO} times",
            got=f"{size(stored)} that declare {size(declared)}",
            where=where,
            fix="If you trust the file, unpack it and load it uncompressed.",
        )


def read_bytes(file: Any, count: int) -> tuple[np.ndarray[Any, Any], int]:
    """An array of ``count`` bytes filled from a file piece by piece, and how many there were."""
    data, done = np.empty(count, dtype=np.uint8), 0
    while done < count and (piece := file.read(min(_PIECE, count - done))):
        data[done : done + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        done += len(piece)
    return data, done


def size(count: int) -> str:
    """A number of bytes as people read it.

    >>> size(900), size(155_707), size(2**40)
    ('900 B', '152 KiB', '1.0 TiB')
    """
    count = min(count, 1 << 70)
    if count < 1024:
        return f"{count} B"
    power = min((int(count).bit_length() - 1) // 10, 6)
    value = count / 1024**power
    return f"{value:.{0 if value >= 10 else 1}f} {' KMGTPE'[power]}iB"
