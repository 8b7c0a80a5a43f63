"""How many threads the CPU's matrix products take, for a while. What the user has set in the environment stays."""

import importlib.util
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

SETTINGS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS")


def chosen_by_user() -> bool:
    """Whether the environment says how many threads to take."""
    return any(name in os.environ for name in SETTINGS)


def cores() -> int:
    """The threads that BLAS was told to use, else the cores of this process."""
    for name in SETTINGS:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blas_threads(n: int) -> AbstractContextManager[Any]:
    """Within, BLAS takes at most ``n`` threads: by threadpoolctl (extra ``fast``), without it nothing happens."""
    if chosen_by_user() or importlib.util.find_spec("threadpoolctl") is None:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(n, user_api="blas")  # type: ignore[no-any-return]
