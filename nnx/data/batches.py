"""Mini-batches: which rows come in which step. The order is a function of (seed, epoch), so nothing must be saved."""

from collections.abc import Iterator, Sized
from itertools import pairwise
from typing import Any

import numpy as np

from nnx import random
from nnx.errors import ConfigError


def batches(
    n: int | Sized, batch_size: int, *, seed: int, epoch: int, shuffle: bool = True, drop_last: bool = False
) -> Iterator[np.ndarray[Any, Any]]:
    """Row numbers (B,) int64 of each batch of one epoch over n rows (or over a data set).

    Every row comes once; the last batch is shorter when batch_size does not divide n, and left out with
    ``drop_last=True``. A row that would be a batch of its own joins the batch before it: batch norm finds no variance
    in one row, and its gradient alone would be a step. Errors: ConfigError when no batch would come out.

    >>> [batch.tolist() for batch in batches(8, 3, seed=0, epoch=0, shuffle=False)]
    [[0, 1, 2], [3, 4, 5], [6, 7]]
    >>> [batch.tolist() for batch in batches(7, 3, seed=0, epoch=0, shuffle=False)]
    [[0, 1, 2], [3, 4, 5, 6]]
    """
    n = len(n) if isinstance(n, Sized) else n
    count = batch_count(n, batch_size, drop_last=drop_last)
    if not _whole(epoch) or epoch < 0:
        raise ConfigError(
            expected="a whole number ≥ 0", got=repr(epoch), where="epoch", fix="Count the epochs: 0, 1, 2, …"
        )
    ends = [*range(batch_size, count * batch_size, batch_size), n - n % batch_size if drop_last else n]
    return _batches(n, ends, seed, epoch, shuffle)


def _batches(n: int, ends: list[int], seed: int, epoch: int, shuffle: bool) -> Iterator[np.ndarray[Any, Any]]:
    if shuffle:
        order = random.permutation(random.key(seed, "batches", step=epoch), n)
    else:
        order = np.arange(n, dtype=np.int64)
    for start, end in pairwise([0, *ends]):
        yield order[start:end]


def batch_count(n: int, batch_size: int, *, drop_last: bool = False) -> int:
    """How many batches one epoch has: ⌈n / B⌉, or ⌊n / B⌋ when the short last one is dropped, or would be of one row.

    >>> batch_count(8, 3), batch_count(8, 3, drop_last=True), batch_count(7, 3)
    (3, 2, 2)
    """
    for name, value in (("n", n), ("batch_size", batch_size)):
        if not _whole(value) or value < 1:
            raise ConfigError(
                expected="a whole number ≥ 1", got=repr(value), where=name, fix="A common batch_size is 32 to 256."
            )
    if drop_last and n < batch_size:
        raise ConfigError(
            f"{n} rows make no whole batch of {batch_size}",
            where="batch_size",
            fix=f"Use batch_size={n} or less, or drop_last=False.",
        )
    alone = n > batch_size > 1 and n % batch_size == 1
    return n // batch_size if drop_last or alone else -(-n // batch_size)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
