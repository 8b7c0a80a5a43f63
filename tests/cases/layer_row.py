"""What a row of the table of layers says, and what several rows share. See ``cases/layers.py``."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import nnx
from nnx import random

SHAPE = (5, 6)
IMAGES = (3, 4, 2, 6)
SEQUENCES = (3, 7, 6)


class Row(NamedTuple):
    covers: type
    make: Callable[[], nnx.Module]
    numpy: Callable[[Any, dict[str, Any]], Any]
    torch: Callable[[Any, Any, dict[str, Any]], Any] | None
    shape: tuple[int, ...] = SHAPE
    training: bool = False
    why: str = ""
    rows_alone: bool = True  # takes an empty batch and a single row
    count: int = 0  # takes whole numbers below this one instead of real ones
    stops: bool = False  # keeps a derivative back that a difference sees
    grows: float = 1.0  # how far extreme inputs make a rounding grow: e to the power of a large sum

    def inputs(self, number: int = 0) -> Any:
        """What the layer takes: normal or whole numbers on the host, read-only, the same every time."""
        rng = np.random.Generator(np.random.Philox(key=[number, 11]))
        x = rng.integers(0, self.count, self.shape) if self.count else np.asarray(rng.normal(size=self.shape))
        x.flags.writeable = False
        return x


def kept(shape: tuple[int, ...], p: float) -> Any:
    """The mask of a lone dropout layer in ``nnx.training(seed=0, step=0)``, from the words of NumPy's own Philox."""
    key = random.key(0, "dropout", "", 0)
    words = np.random.Philox(key=np.asarray(key, dtype=np.uint64)).random_raw((math.prod(shape) + 1) // 2)
    halves = np.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=1).reshape(-1)
    return (halves[: math.prod(shape)] < (1 - p) * 2**32).reshape(shape)
