"""JAX arrays, traced by ``jax.jit`` or not."""

from functools import cache
from typing import Any

import jax
import jax.numpy as xp
import jax.scipy.special
import numpy as np

from nnx.backends.backend import Backend, Deviation
from nnx.errors import BackendUnavailable, DtypeError
from nnx.typing import Array


@cache
def open(device: str) -> Backend:
    """The backend of a JAX device: ``""`` (the default device), ``cpu``, ``gpu``, ``gpu:1``, ``tpu``."""
    platform, _, number = device.partition(":")
    try:
        devices = jax.local_devices(backend=platform or None)
        return _at(devices[int(number or 0)])
    except (RuntimeError, IndexError, ValueError) as error:
        raise BackendUnavailable(
            expected="a device of JAX that is usable here",
            got=f"jax:{device} ({str(error).splitlines()[0]})",
            fix='Use jax:cpu; for a GPU: python -m pip install "jax[cuda12]".',
        ) from error


def of(array: Array) -> Backend:
    """The backend of an array's device; of the default device for an array traced by ``jax.jit``."""
    try:
        return _at(next(iter(array.devices())))
    except (AttributeError, jax.errors.ConcretizationTypeError):
        return open("")


@cache
def _at(device: Any) -> Backend:
    return Backend(
        name="jax",
        spec=f"jax:{device.platform}" + (f":{device.id}" if device.id else ""),
        xp=xp,
        device=device,
        owns=lambda x: isinstance(x, jax.Array),
        resides=lambda x: isinstance(x, jax.core.Tracer) or x.devices() == {device},
        send=lambda host: _send(host, device),
        move=lambda x: jax.device_put(x, device),
        fetch=np.asarray,
        wait=lambda *arrays: jax.block_until_ready(arrays or jax.live_arrays(device.platform)),
        describe=_describe,
        deviations=_DEVIATIONS,
        erf=lambda xp, x: jax.scipy.special.erf(x),
        scatter_add=lambda xp, index, values, n: xp.zeros((n, *values.shape[1:]), dtype=values.dtype).at[index].add(values),
        put=lambda xp, shape, key, values: xp.zeros(shape, dtype=values.dtype).at[key].add(values),
    )


def _send(host: np.ndarray, device: Any) -> jax.Array:
    if not jax.config.jax_enable_x64:
        host = _narrow(host)
    return jax.device_put(np.array(host), device)


def _narrow(host: np.ndarray) -> np.ndarray:
    """Without x64 JAX has no 64-bit types: integers go to 32 bits where they fit, floats are refused."""
    if host.dtype in (np.int64, np.uint64):
        narrow = host.astype(np.int32 if host.dtype == np.int64 else np.uint32)
        if np.array_equal(narrow, host):
            return narrow
    elif host.dtype not in (np.float64, np.complex128):
        return host
    raise DtypeError(
        expected="an array of at most 32-bit numbers, as JAX runs without x64",
        got=f"{host.dtype}",
        where="backend jax",
        fix='Set JAX_ENABLE_X64=1 or jax.config.update("jax_enable_x64", True), or ask for dtype="float32".',
    )


def _describe() -> dict[str, Any]:
    return {
        "version": jax.__version__,
        "devices": [str(device) for device in jax.devices()],
        "blas": "XLA",
        "threads": None,
        "fused": "off",
    }


_DEVIATIONS = (Deviation("no 64-bit types unless x64 is on", "asarray refuses float64 instead of narrowing it"),)
