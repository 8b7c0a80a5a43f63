"""Integers that are wide enough to number places: what is counted with may be narrow, such as labels of eight bits."""

from typing import Any

from nnx.typing import Array, Namespace


def numbering(xp: Namespace, size: int) -> Any:
    """The dtype that numbers so many places: not the widest, which JAX has only with x64."""
    return xp.int32 if size < 2**31 else xp.int64


def widened(xp: Namespace, index: Array, size: int) -> Array:
    """The same whole numbers in a dtype in which places of ``size`` can be computed.

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> widened(xp, np.asarray([200], dtype="uint8"), 3000) * 10
    array([2000], dtype=int32)
    """
    dtype = numbering(xp, size)
    return xp.astype(index, dtype) if xp.iinfo(index.dtype).bits < xp.iinfo(dtype).bits else index
