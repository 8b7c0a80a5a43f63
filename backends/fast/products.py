"""Products of NumPy matrices: large ones in parts, each by a thread of its own (see :mod:`nnx.backends.fast.crew`)."""

from math import prod

import numpy as np

from nnx.backends.fast import crew
from nnx.typing import Array, Namespace

SHARED_FROM = 4_000_000
"""Multiplications from which a product is cut: below, waking a thread takes longer than it helps."""

QUIET_FROM = 200_000
"""Multiplications from which OpenBLAS might use threads of its own."""

FEW = 4
"""Rows of a product that reads the matrix once and does little else: BLAS's own threads begin sooner than ours, and
where there is no training step between two of them, nobody minds that they spin."""

STEP = 32
"""Parts begin at multiples of so many rows or columns: whole tiles of BLAS."""


def product(xp: Namespace, a: Array, b: Array) -> Array:
    """The ``product`` hook of NumPy: a b, for a matrix b or as many as a has."""
    if not fits(a, b):
        return a @ b
    out = np.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    into(a, b, out)
    return out


def fits(a: Array, b: Array) -> bool:
    """Whether :func:`into` takes arrays of such shapes and dtypes, and they are large enough for it."""
    return (
        len(a.shape) >= 2 <= len(b.shape)
        and prod(a.shape) * b.shape[-1] >= QUIET_FROM
        and a.shape[-1] == b.shape[-2]
        and (len(b.shape) == 2 or a.shape[:-2] == b.shape[:-2])
        and a.dtype == b.dtype
        and np.dtype(a.dtype).char in "fd"
    )


def into(a: Array, b: Array, out: Array) -> None:
    """a b written into ``out``, which is contiguous."""
    if b.ndim == 2 < a.ndim:
        a, out = a.reshape(-1, a.shape[-1]), out.reshape(-1, out.shape[-1])
    if crew.openblas() is None or crew.size() == 1 or (len(out) <= FEW and not crew.one_blas_thread.holders):
        np.matmul(a, b, out)
    elif out.size * a.shape[-1] < SHARED_FROM:
        with crew.one_blas_thread:
            np.matmul(a, b, out)
    elif a.ndim > 2:
        crew.share(np.matmul, [(a[part], b[part], out[part]) for part in crew.cut(len(out))])
    elif len(out) >= out.shape[1]:
        crew.share(np.matmul, [(a[part], b, out[part]) for part in crew.cut(len(out), STEP, STEP)])
    else:
        parts = crew.cut(out.shape[1], STEP, STEP)
        crew.share(np.matmul, [(a, b[:, part], out[:, part]) for part in parts])
