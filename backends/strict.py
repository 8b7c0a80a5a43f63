"""array-api-strict: the standard and nothing else, and a stand-in for a GPU."""

from functools import cache
from typing import Any

import array_api_strict as xp
import numpy as np
from array_api_strict._array_object import CPU_DEVICE, Array as StrictArray

from nnx.backends.backend import Backend
from nnx.errors import BackendUnavailable
from nnx.typing import Array


@cache
def open(device: str) -> Backend:
    """The backend of a strict device: ``""`` or ``cpu``, ``device1``, ``device2`` (float32 by default), ``no_float64``, ``no_x64``."""
    try:
        return _at(xp.Device(device) if device not in ("", "cpu") else CPU_DEVICE)
    except ValueError as error:
        raise BackendUnavailable(
            expected="strict, strict:device1, strict:device2 or another of array-api-strict's devices",
            got=f"strict:{device}",
            fix="Use strict or strict:device1.",
        ) from error


def of(array: Array) -> Backend:
    """The backend of an array's device."""
    return _at(array.device)


@cache
def _at(device: Any) -> Backend:
    _defer_to_tensors()
    return Backend(
        name="strict",
        spec="strict" if device == CPU_DEVICE else f"strict:{_label(device)}",
        xp=xp,
        device=device,
        owns=lambda x: isinstance(x, StrictArray),
        resides=lambda x: x.device == device,
        send=lambda host: xp.asarray(host, device=device),
        move=lambda x: xp.asarray(x, device=device),
        fetch=lambda x: np.asarray(xp.asarray(x, device=CPU_DEVICE)),
        describe=_describe,
    )


def _label(device: Any) -> str:
    return str(device._device)


def _defer_to_tensors() -> None:
    """Let ``strict_array + tensor`` reach the traced tensor's reflected method, for that type alone."""
    original = StrictArray._check_type_device
    if getattr(original, "_defers", False):
        return

    def check(self: Any, other: Any) -> Any:
        if getattr(type(other), "__nnx_tensor__", False):
            return None
        return original(self, other)

    check._defers = True  # type: ignore[attr-defined]
    StrictArray._check_type_device = check


def _describe() -> dict[str, Any]:
    return {"version": xp.__version__, "devices": ["cpu", "device1", "device2"], "blas": "NumPy's", "threads": None, "fused": "off"}
