"""What is minimised: a model, its data and its loss, as both ways of training see them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nnx import backends
from nnx.data import Dataset
from nnx.layers import Module
from nnx.train.evaluation import backend_of, dtype_of, input_dtype_of, targets
from nnx.train.sharing.group import ALONE, Group
from nnx.typing import Array


@dataclass(frozen=True)
class Problem:
    """A model on its device, the training rows on the host, and a loss that is a mean over rows."""

    model: Module
    train: Dataset
    loss: Callable[..., Array]
    batch_size: int
    seed: int
    compile: bool | None = None
    """Whether steps are recorded and replayed; see ``nnx.train.stepper``."""
    shards: int = 0
    group: Group = ALONE
    """Where batches are cut into shards, and who shares them; see ``nnx.train.sharing.sharded``."""

    @cached_property
    def device(self) -> backends.Backend:
        """Where the model is."""
        return backend_of(self.model)

    @cached_property
    def dtype(self) -> str | None:
        """The floating dtype of the model."""
        return dtype_of(self.model)

    @cached_property
    def input_dtype(self) -> str | None:
        """What inputs are cast to."""
        return input_dtype_of(self.model)

    def rows(self, rows: Any) -> tuple[Array, Array]:
        """Some inputs and targets on the device."""
        x = self.device.asarray(self.train.x[rows, ...], dtype=self.input_dtype)
        return x, targets(self.train, rows, self.device, self.dtype)

    def in_order(self) -> Iterator[tuple[Array, Array]]:
        """All rows in their order, ``batch_size`` at a time."""
        for start in range(0, len(self.train), self.batch_size):
            yield self.rows(slice(start, start + self.batch_size))
