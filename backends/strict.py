"""array-api-strict: the standard and nothing else, and on ``device1`` a stand-in for a GPU."""

from functools import cache
from typing import Any

import array_api_strict as xp
import numpy as np
from array_api_strict import _array_object as strict

from nnx.backends import portable
from nnx.backends.backend import Backend, Deviation
from nnx.backends.threads import blas_threads
from nnx.errors import BackendUnavailable, DtypeError
from nnx.typing import Array

_CPU = strict.CPU_DEVICE


@cache
def open(device: str) -> Backend:
    """The backend of a strict device: ``""`` or ``cpu``, ``device1``, ``device2`` (float32 by default), ``no_float64`` …"""
    try:
        return _at(_CPU if device in ("", "cpu") else xp.Device(device))
    except ValueError as error:
        raise BackendUnavailable(
            "array-api-strict has no such device",
            expected=" or ".join(f"strict:{_label(known)}" for known in xp.__array_namespace_info__().devices()),
            got=f"strict:{device}",
            where="backend strict",
            fix="strict:device1 stands in for a GPU.",
        ) from error


def of(array: Array) -> Backend:
    """The backend of an array's device."""
    return _at(array.device)


@cache
def _at(device: Any) -> Backend:
    _defer_to_tensors()
    _stay_on_their_device()
    return Backend(
        name="strict",
        spec="strict" if device == _CPU else f"strict:{_label(device)}",
        xp=xp,
        device=device,
        owns=lambda x: isinstance(x, strict.Array),
        resides=lambda x: x.device == device,
        send=lambda host: _send(host, device),
        move=lambda x: xp.asarray(x, device=device),
        fetch=lambda x: np.asarray(xp.asarray(x, device=_CPU)),
        refuses=lambda name: _refuses(name, device),
        threads=blas_threads,
        eager=True,
        room=portable.room,
        describe=_describe,
        deviations=_DEVIATIONS,
    )


def _send(host: np.ndarray, device: Any) -> Array:
    if refusal := _refuses(host.dtype.name, device):
        raise DtypeError(
            expected="a dtype of this device",
            got=host.dtype.name,
            where=f"backend strict:{_label(device)}",
            fix=refusal,
        )
    return xp.asarray(host, device=device, copy=True)


def _refuses(name: str, device: Any) -> str:
    held = xp.__array_namespace_info__().dtypes(device=device)
    return "" if name in held else f"It holds {', '.join(held)}."


def _label(device: Any) -> str:
    return "cpu" if device == _CPU else str(device._device)


def _defer_to_tensors() -> None:
    """Let ``array + tensor`` reach the traced tensor's reflected method, for that type alone.

    Every other library's operators return NotImplemented beside a type that they do not know; strict's raise.
    """
    check = strict.Array._check_type_device
    if hasattr(check, "__wrapped__"):
        return

    def relaxed(self: Any, other: Any) -> None:
        if not getattr(type(other), "__nnx_tensor__", False):
            check(self, other)

    relaxed.__wrapped__ = check  # type: ignore[attr-defined]
    strict.Array._check_type_device = relaxed


def _stay_on_their_device() -> None:
    """Let DLPack know of devices that are not the CPU: it is told "CPU" of all, and would take values off a stand-in for a GPU."""
    told = strict.Array.__dlpack_device__
    if hasattr(told, "__wrapped__"):
        return

    def truly(self: Any) -> tuple[Any, int]:
        return told(self) if self.device == _CPU else (_EXTENSION, 0)

    truly.__wrapped__ = told  # type: ignore[attr-defined]
    strict.Array.__dlpack_device__ = truly


_EXTENSION = 12  # DLPack's name for devices that it has no name for


def _describe() -> dict[str, Any]:
    return {
        "version": xp.__version__,
        "devices": [_label(device) for device in xp.__array_namespace_info__().devices()],
        "blas": "NumPy's",
        "threads": None,
        "fused": "off",
    }


_DEVIATIONS = (
    Deviation(
        "operators raise beside a foreign type instead of deferring to it",
        "relaxed here for traced arrays alone",
        "https://github.com/data-apis/array-api-strict",
    ),
    Deviation(
        "DLPack is told that arrays on any device are on the CPU",
        "corrected here, or values would leave a stand-in for a GPU unseen",
        "https://github.com/data-apis/array-api-strict",
    ),
    Deviation("on no_x64 argsort, searchsorted and integer sums raise", "scatter_add does not run there (2.6.1)"),
)
