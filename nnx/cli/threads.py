"""One thread for a small network: two wait for each other longer than its products take, most of all on a busy machine."""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from nnx import backends
from nnx.layers import Module

SMALL = 4_000_000
"""Multiplications in the largest matrix product of a step, below which one thread is enough."""


def suited(backend: backends.Backend, model: Module, batch_size: int) -> AbstractContextManager[Any]:
    """Within, the backend's products take the number of threads that suits the model."""
    largest = max((math.prod(array.shape) for array in model.parameters().values()), default=0)
    return backend.threads(1) if largest * batch_size < SMALL else nullcontext()
