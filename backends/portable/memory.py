"""Memory of the host: whether it ran out, and how much can still be had."""

import contextlib
import os


def exhausted(error: BaseException) -> bool:
    """Python's own error, which NumPy's is one of.

    >>> exhausted(MemoryError()), exhausted(ValueError())
    (True, False)
    """
    return isinstance(error, MemoryError)


def room() -> int | None:
    """What the system says is available, or what a limit on this process leaves, whichever is less; ``None`` if neither is known."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError, StopIteration), open("/proc/meminfo") as file:
        found.append(int(next(line for line in file if line.startswith("MemAvailable")).split()[1]) * 1024)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            with open("/proc/self/statm") as file:
                used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            found.append(max(limit - used, 0))
    return min(found) if found else None
