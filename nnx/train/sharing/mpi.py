"""Processes that exchange by MPI: flat buffers only, never pickled objects, and no wait that a signal cannot end.

What waits looks again and again, first at once and then with small pauses: so a process that has nothing to do leaves
its core to others, and Python gets to see ^C. An error that nobody catches ends all processes, for the others would
wait for this one for ever.

Arrays of a GPU go from device to device where MPI can take them (``NNX_MPI_GPU=mpi``, or what Cray's, MPICH's and Open
MPI's own settings say), else by NCCL where CuPy has it (``nccl``), else through the host (``host``).
"""

import os
import sys
import time
from types import TracebackType
from typing import Any

import numpy as np

from nnx import backends
from nnx.errors import BackendUnavailable
from nnx.train.sharing.group import Elsewhere, Group
from nnx.typing import Array

SPIN, MOVING, PAUSE = 1e-3, 0.5, 5e-5
"""Seconds of looking at once, for a word and for a vector, and of the pauses after that: a vector moves only while both look."""

GRACE = 5.0
"""Seconds in which the other processes may come to the same error."""

AWARE = {"MPICH_GPU_SUPPORT_ENABLED": "1", "MPIR_CVAR_ENABLE_GPU": "1", "OMPI_MCA_opal_cuda_support": "true"}
"""What says that MPI takes arrays of the GPU: Cray's MPICH, MPICH, Open MPI."""


def processes(place: tuple[int, int]) -> "Processes":
    """All that were started together. ``BackendUnavailable`` says what is missing."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise BackendUnavailable(
            expected=f"MPI for the {place[1]} processes that were started",
            got=str(error).splitlines()[0],
            where="training on many processes",
            fix="Install pip install 'nnx-array[mpi]', and mpich unless the system has an MPI.",
        ) from None
    comm = MPI.COMM_WORLD
    if comm.Get_size() != place[1]:
        raise BackendUnavailable(
            expected=f"{place[1]} processes, as they were started",
            got=f"{comm.Get_size()} by {MPI.Get_library_version().split(',')[0].splitlines()[0].strip()}",
            where="training on many processes",
            fix="mpiexec is of another MPI than mpi4py found: use the mpiexec beside this Python.",
        )
    return Processes(MPI, comm.Dup())


def _aware() -> bool:
    """Whether MPI is said to take arrays of the GPU."""
    chosen = os.environ.get("NNX_MPI_GPU")
    return chosen == "mpi" if chosen else any(os.environ.get(name) == value for name, value in AWARE.items())


class Processes(Group):
    """The processes of one ``mpiexec``."""

    def __init__(self, mpi: Any, comm: Any) -> None:
        self._mpi, self._comm, self._failures = mpi, comm, comm.Dup()
        self.rank, self.size = int(comm.Get_rank()), int(comm.Get_size())
        self._links: dict[str, Any] = {}
        self._alike = False
        usual = sys.excepthook

        def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            if self.fail(not isinstance(error, Elsewhere)):
                print(f"nnx: process {self.rank} of {self.size} has failed:", file=sys.stderr)
                usual(kind, error, trace)
            self.end(1)

        sys.excepthook = hook

    # waiting ----------------------------------------------------------------------------------------------------------
    def _wait(self, *requests: Any, spin: float = SPIN, seconds: float = float("inf")) -> bool:
        """Until all are done; false if that takes longer."""
        started = time.perf_counter()
        all_done = self._mpi.Request.Testall
        while not all_done(list(requests)):
            waited = time.perf_counter() - started
            if waited > seconds:
                return False
            time.sleep(PAUSE if waited >= spin else 0.0)  # 0: let another process have the core, if one wants it
        return True

    # exchanging -------------------------------------------------------------------------------------------------------
    def swap(self, peer: int, send: Array, receive: Array) -> None:
        """By a pair of messages, or by the link of the GPU."""
        if type(send) is not np.ndarray:
            backend = backends.of(send)
            if link := self._link(backend):
                link(send, receive, peer)
                return
            backend.synchronize(send)
        self._wait(self._comm.Irecv(receive, source=peer), self._comm.Isend(send, dest=peer), spin=MOVING)

    def carries(self, vector: Array) -> bool:
        """On the host; on a GPU where MPI or NCCL takes it there."""
        if type(vector) is np.ndarray:
            return True
        backend = backends.of(vector)
        return backend.link is not None and (_aware() or self._link(backend) is not None)

    def _link(self, backend: backends.Backend) -> Any:
        """From device to device without MPI, where the backend has such a thing; made by all processes at once."""
        if backend.link is None or _aware() or os.environ.get("NNX_MPI_GPU") == "host":
            return None
        if backend.spec not in self._links:
            made = backend.link(self.rank, self.size)
            alike = self.sum(np.asarray([float(made is not None)]))[0] == self.size
            self._links[backend.spec] = made if alike else None
        return self._links[backend.spec]

    def sum(self, values: np.ndarray) -> np.ndarray:
        """One small message each way."""
        total = np.empty_like(values)
        self._wait(self._comm.Iallreduce(np.ascontiguousarray(values), total))
        return total

    def gather(self, data: bytes) -> list[bytes]:
        """From all to all."""
        mine = np.frombuffer(data, dtype=np.uint8)
        found = np.empty((self.size, mine.size), dtype=np.uint8)
        self._wait(self._comm.Iallgather(mine, found))
        return [row.tobytes() for row in found]

    def broadcast(self, data: bytes) -> bytes:
        """Its length, then itself."""
        length = np.asarray([len(data)], dtype=np.int64)
        self._wait(self._comm.Ibcast(length))
        buffer = np.frombuffer(data, dtype=np.uint8) if self.first else np.empty(int(length[0]), dtype=np.uint8)
        self._wait(self._comm.Ibcast(buffer))
        return buffer.tobytes()

    # ending -----------------------------------------------------------------------------------------------------------
    def fail(self, own: bool) -> bool:
        """The first of those that have an error of their own, if all have come to one; else whoever has."""
        mine, all_ = np.asarray([own], dtype=np.uint8), np.zeros(self.size, dtype=np.uint8)
        self._alike = self._wait(self._failures.Iallgather(mine, all_), seconds=GRACE)
        return own and (not self._alike or not all_[: self.rank].any())

    def end(self, code: int) -> None:
        """At once, unless all have come to an error."""
        if not self._alike:
            sys.stdout.flush()
            sys.stderr.flush()
            self._comm.Abort(code or 1)
