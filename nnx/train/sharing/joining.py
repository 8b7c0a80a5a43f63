"""Which processes train together, as what started them tells it."""

import os
from collections.abc import Sequence
from functools import cache

from nnx.errors import NnxError
from nnx.train.sharing.group import ALONE, Group
from nnx.train.sharing.mpi import processes

LAUNCHERS = (
    ("PMI_RANK", "PMI_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMIX_RANK", "SLURM_NTASKS"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
)  # fmt: skip
"""Where MPICH, Open MPI, Slurm with PMIx, and MVAPICH tell a process its number and how many there are."""


def launched() -> tuple[int, int] | None:
    """(number of this process, how many there are) as ``mpiexec`` and its like tell it; None for a process that is alone."""
    for rank, size in LAUNCHERS:
        if os.environ.get(rank, "").isdigit() and os.environ.get(size, "").isdigit() and int(os.environ[size]) > 1:
            return int(os.environ[rank]), int(os.environ[size])
    return None


@cache
def join() -> Group:
    """The processes that ``mpiexec`` has started, or this one alone, for which MPI is not needed.

    >>> join().size
    1

    Errors: ``BackendUnavailable`` where there are several and MPI is missing, or is another than the one that started them.
    """
    if (place := launched()) is None:
        return ALONE
    return processes(place)


def group_of(arguments: Sequence[str]) -> Group:
    """The processes that a command line is about: those joined, those it wants to join, else this one alone."""
    try:
        return join() if "--distributed" in arguments or join.cache_info().currsize else ALONE
    except NnxError:
        return ALONE
