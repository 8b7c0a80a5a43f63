"""CuPy, on CUDA GPUs."""

from functools import cache
from typing import Any

import array_api_compat.cupy as xp
import cupy
import numpy as np

from nnx.backends.backend import Backend
from nnx.errors import BackendUnavailable
from nnx.typing import Array


@cache
def open(device: str) -> Backend:
    """The backend of a CUDA device: ``""`` (the current one) or its number."""
    if not cupy.is_available():
        raise BackendUnavailable("CuPy is installed but finds no CUDA driver or device", where="backend cupy", fix="Install the NVIDIA driver (nvidia-smi shows it), or use numpy.")
    count = cupy.cuda.runtime.getDeviceCount()
    number = device or str(cupy.cuda.Device().id)
    if not number.isdigit() or int(number) >= count:
        raise BackendUnavailable(expected=f"cupy:0 … cupy:{count - 1}", got=f"cupy:{device}", fix="nvidia-smi lists the devices.")
    return _at(int(number))


def of(array: Array) -> Backend:
    """The backend of an array's device."""
    return _at(array.device.id)


@cache
def _at(number: int) -> Backend:
    device = cupy.cuda.Device(number)

    def place(x: Any) -> Array:
        with device:
            return cupy.asarray(x)

    return Backend(
        name="cupy",
        spec=f"cupy:{number}",
        xp=xp,
        device=device,
        owns=lambda x: isinstance(x, cupy.ndarray),
        resides=lambda x: x.device.id == number,
        send=place,
        move=place,
        fetch=cupy.asnumpy,
        wait=lambda *arrays: device.synchronize(),
    )
