"""Mini-batches: which rows come in which step. The order is a function of (seed, epoch), so nothing must be saved."""

from collections.abc import Iterator, Sized
from typing import Any

import numpy as np

from nnx import random
from nnx.errors import ConfigError


def batches(
    n: int | Sized, batch_size: int, *, seed: int, epoch: int, shuffle: bool = True, drop_last: bool = False
) -> Iterator[np.ndarray[Any, Any]]:
    """Row numbers (B,) int64 of each batch of one epoch over n rows (or over a data set).

    Every row comes once; the last batch is shorter when batch_size does not divide n, and left out with
    ``drop_last=True``. Errors: ConfigError when no batch would come out.

    >>> [batch.tolist() for batch in batches(5, 2, seed=0, epoch=0, shuffle=False)]
    [[0, 1], [2, 3], [4]]
    """
    n = n if isinstance(n, int) else len(n)
    count = batch_count(n, batch_size, drop_last=drop_last)
    if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 0:
        raise ConfigError(expected="a whole number ≥ 0", got=repr(epoch), where="epoch")
    return _batches(n, batch_size, count, seed, epoch, shuffle)


def _batches(n: int, size: int, count: int, seed: int, epoch: int, shuffle: bool) -> Iterator[np.ndarray[Any, Any]]:
    if shuffle:
        order = random.permutation(random.key(seed, "batches", step=epoch), n)
    else:
        order = np.arange(n, dtype=np.int64)
    for start in range(0, count * size, size):
        yield order[start : start + size]


def batch_count(n: int, batch_size: int, *, drop_last: bool = False) -> int:
    """How many batches one epoch has: ⌈n / B⌉, or ⌊n / B⌋ when the short last one is dropped.

    >>> batch_count(5, 2), batch_count(5, 2, drop_last=True)
    (3, 2)
    """
    for name, value in (("n", n), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(
                expected="a whole number ≥ 1", got=repr(value), where=name, fix="A common batch_size is 32 to 256."
            )
    if drop_last and n < batch_size:
        raise ConfigError(
            f"{n} rows make no whole batch of {batch_size}",
            where="batch_size",
            fix=f"Use batch_size={n} or less, or drop_last=False.",
        )
    return n // batch_size if drop_last else -(-n // batch_size)
