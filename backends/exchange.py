"""DLPack: an array of another library in the memory where it lies.

What lies on the CPU is a host array whoever made it: NumPy sees the same memory, and what holds for host arrays holds
for it. An array on another device comes over only to that very device, by the library's own ``from_dlpack``.
"""

from typing import Any

import numpy as np

from nnx.typing import Array

CPU = (1, 3, 11)
"""DLPack's kinds of memory that the CPU can read: its own, and what is pinned or managed for CUDA."""


def device_of(x: Any) -> tuple[int, int] | None:
    """The kind and number of the device that an array lies on; ``None`` for what cannot be handed over."""
    if getattr(type(x), "__nnx_tensor__", False) or not hasattr(type(x), "__dlpack__"):
        return None
    try:
        kind, number = x.__dlpack_device__()
        return int(kind), int(number)
    except (AttributeError, BufferError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return None


def host_view(x: Any) -> np.ndarray:
    """The memory of an array on the CPU as a host array; read-only where its library says so.

    ``BufferError`` with the reason where that cannot be: a dtype that NumPy lacks, or a tensor that PyTorch's own
    gradients follow.
    """
    try:
        return np.from_dlpack(x)
    except (BufferError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise BufferError(str(error).splitlines()[0]) from error


def same_device(x: Any, mine: Array) -> bool:
    """Whether ``x`` lies on the device of an array."""
    there = device_of(x)
    return there is not None and there == device_of(mine)
