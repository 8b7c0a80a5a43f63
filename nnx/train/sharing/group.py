"""The processes that train one model together: what they tell each other. One process needs no MPI."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nnx.errors import ConfigError, NnxError
from nnx.typing import Array


class Elsewhere(NnxError):  # noqa: N818  the error is the other's
    """Another process has failed, and says why."""


class Group:
    """The base, and a process that is alone. Everything here is called by all processes in the same order."""

    rank, size = 0, 1

    @property
    def first(self) -> bool:
        """Whether this process writes, shows and decides."""
        return self.rank == 0

    def swap(self, peer: int, send: Array, receive: Array) -> None:
        """Send a flat buffer to another process, and receive one of its."""
        raise NotImplementedError

    def carries(self, vector: Array) -> bool:
        """Whether :meth:`swap` takes arrays where this one is. Host arrays it always does."""
        return type(vector) is np.ndarray

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum over the processes of a few float64 numbers, of which all but one process's are 0, or all are whole."""
        return values

    def gather(self, data: bytes) -> list[bytes]:
        """What each process has; all have as many bytes."""
        return [data]

    def broadcast(self, data: bytes) -> bytes:
        """What the first process has."""
        return data

    def fail(self, own: bool) -> bool:
        """An error is about to end this process: whether it is the one to tell. Waits a little for the others, which may have the same."""
        return own

    def end(self, code: int) -> None:
        """End all processes, where the others would wait for this one for ever."""

    # what follows from these ------------------------------------------------------------------------------------------
    def share(self, value: Any) -> Any:
        """The plain value of the first process: numbers, text, lists and dictionaries."""
        return value if self.size == 1 else json.loads(self.broadcast(json.dumps(value).encode()))

    def check_same(self, what: str, digest: bytes, fix: str) -> None:
        """``ConfigError`` unless all processes have the same digest of something."""
        found = self.gather(digest)
        if other := [rank for rank, one in enumerate(found) if one != found[0]]:
            raise ConfigError(
                expected=f"the same {what} in every process",
                got=f"other in process {', '.join(map(str, other))} of {self.size} than in process 0",
                where="training on many processes",
                fix=fix,
            )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within, what fails in one process fails in all: with its error there, with :class:`Elsewhere` in the others."""
        error = None
        try:
            yield
        except Exception as caught:
            error = caught
        flags = np.zeros(self.size)
        flags[self.rank] = error is not None
        failed = np.flatnonzero(self.sum(flags))
        if error is not None:
            raise error
        if failed.size:
            raise Elsewhere(f"process {failed[0]} of {self.size} has failed")


ALONE = Group()
"""One process, which has all shards."""
