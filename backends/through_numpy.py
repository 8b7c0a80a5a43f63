"""The optimizer's rules on PyTorch tensors on the CPU, by NumPy's ``each`` on the same memory: one pass instead of a dozen.

A tensor made of a NumPy array holds it until the last tensor on that memory is gone, whatever view it is. So the reference
counts by which :class:`~nnx.backends.fast.together.Memory` sees whether a result is still held count tensors, too.
"""

import weakref
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import array_api_compat.numpy as host
import numpy as np
import torch

from nnx.backends import portable
from nnx.backends.fast import compiled, together
from nnx.typing import Array, Namespace


def each(
    rule: Callable[..., Any], xp: Namespace, columns: Sequence[Sequence[Array]], numbers: Sequence[float]
) -> list[list[Array]]:
    """The ``each`` hook: NumPy's values for tensors of NumPy's kind, the default's for others."""
    dtype = columns[0][0].dtype
    if dtype is not torch.float32 and dtype is not torch.float64:
        return portable.each_joined(rule, xp, columns, numbers)
    for column in columns:
        for x in column:
            if type(x) is not torch.Tensor or x.dtype is not dtype or x.requires_grad:
                return portable.each_joined(rule, xp, columns, numbers)
    made = together.each(_on_host(rule), host, [[_array(x) for x in column] for column in columns], numbers)
    return [[_tensor(array) for array in column] for column in made]


@cache
def _on_host(rule: Callable[..., Any]) -> Callable[..., Any]:
    return compiled.fuse(rule) if compiled.installed() else rule


def _array(x: torch.Tensor) -> np.ndarray:
    """The tensor's memory as an array: the very one that it was made of, where :func:`_tensor` made it."""
    reference = _given.get(x.data_ptr())
    array = reference() if reference is not None else None
    if array is not None and array.shape == x.shape and x.is_contiguous() and array.size:
        return array
    seen: np.ndarray = x.numpy()
    return seen


def _tensor(array: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(array)
    if (place := x.data_ptr()) not in _given:
        _given[place] = weakref.ref(array, partial(_forget, place))
    return x


def _forget(place: int, reference: Any) -> None:
    if _given.get(place) is reference:
        del _given[place]


_given: dict[int, "weakref.ref[np.ndarray]"] = {}
"""The arrays that tensors were made of, by their place in memory. While one lives, nothing else can lie there."""
