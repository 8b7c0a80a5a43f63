"""JAX arrays, inside ``jax.jit`` or not.

Unless it is told otherwise JAX has no 64-bit types and makes float64 into float32 without a word. Here nothing is
narrowed in silence: without x64, ``asarray`` refuses float64 data unless ``dtype="float32"`` is given, and takes 64-bit
integers when their values fit into 32 bits.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as xp
import jax.scipy.special
import numpy as np

from nnx.backends import deterministic, philox, portable
from nnx.backends.backend import Backend, Deviation
from nnx.backends.portable.numbering import widened
from nnx.backends.portable.put import arrays_in
from nnx.errors import BackendUnavailable, DtypeError
from nnx.typing import Array, Namespace


@cache
def open(device: str) -> Backend:
    """The backend of a JAX device: ``""`` (the default device), ``cpu``, ``gpu``, ``gpu:1``, ``tpu``."""
    deterministic.check("XLA_FLAGS")
    platform, _, number = device.partition(":")
    try:
        return _at(jax.local_devices(backend=platform or None)[int(number or 0)])
    except (RuntimeError, IndexError, ValueError) as error:
        raise BackendUnavailable(
            "JAX has no such device here",
            expected=" or ".join(f"jax:{_label(usable)}" for usable in jax.local_devices()),
            got=f"jax:{device} ({str(error).splitlines()[0]})",
            fix='For an NVIDIA GPU: python -m pip install "jax[cuda12]"',
        ) from error


def of(array: Array) -> Backend:
    """The backend of an array's device; of the default device for an array that ``jax.jit`` traces."""
    return open("") if isinstance(array, jax.core.Tracer) else _at(next(iter(array.devices())))


@cache
def _at(device: Any) -> Backend:
    return Backend(
        name="jax",
        spec=f"jax:{_label(device)}",
        xp=xp,
        device=device,
        owns=lambda x: isinstance(x, jax.Array),
        resides=lambda x: isinstance(x, jax.core.Tracer) or x.devices() == {device},
        send=lambda host: _send(host, device),
        move=lambda x: jax.device_put(x, device),
        fetch=np.asarray,
        wait=lambda *arrays: jax.block_until_ready(arrays or jax.live_arrays(device.platform)) and None,
        refuses=_refuses,
        describe=lambda: _describe(device),
        deviations=_DEVIATIONS,
        scatter_add=_scatter_add,
        put=_put,
        convolve=_convolve,
        convolve_to_weight=_convolve_to_weight,
        convolve_to_input=_convolve_to_input,
        random_words=philox.random_words,
        erf=lambda xp, x: jax.scipy.special.erf(x),
        fuse=_fuse,
        each=_each,
        jit=jax.jit,
        rehearse=_rehearse,
        exhausted=_exhausted,
        room=lambda: _room(device),
    )


def _exhausted(error: BaseException) -> bool:
    """XLA raises its own error, with the word of its status in front."""
    words = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and any(word in str(error) for word in words)
    )


def _room(device: Any) -> int | None:
    """What the allocator of the device has left; the host's on the CPU."""
    if device.platform == "cpu":
        return portable.room()
    known = device.memory_stats() or {}
    return known["bytes_limit"] - known["bytes_in_use"] if "bytes_limit" in known else None


def _send(host: np.ndarray, device: Any) -> jax.Array:
    narrow = _narrow(host)
    return jax.device_put(
        narrow.copy() if narrow is host else narrow, device
    )  # a JAX array must not change with the host's


def _narrow(host: np.ndarray) -> np.ndarray:
    if not (refusal := _refuses(host.dtype.name)):
        return host
    if host.dtype.kind in "iu":
        narrow = host.astype(np.int32 if host.dtype.kind == "i" else np.uint32)
        if np.array_equal(narrow, host):
            return narrow
    raise DtypeError(expected="at most 32-bit numbers", got=host.dtype.name, where="backend jax", fix=refusal)


def _refuses(name: str) -> str:
    if jax.config.jax_enable_x64 or name not in ("float64", "int64", "uint64", "complex128"):
        return ""
    return (
        "JAX runs without x64: set JAX_ENABLE_X64=1 or call jax.config.update('jax_enable_x64', True), "
        "or ask for the 32-bit dtype."
    )


def _scatter_add(xp: Namespace, index: jax.Array, values: jax.Array, n: int) -> jax.Array:
    return xp.zeros((n, *values.shape[1:]), dtype=values.dtype).at[widened(xp, index, n)].add(values)


def _put(xp: Namespace, shape: tuple[int, ...], key: Any, values: jax.Array) -> jax.Array:
    """JAX arrays are never assigned to; at arrays of indices the default needs no assignment either."""
    if arrays_in(key if isinstance(key, tuple) else (key,)):
        return portable.put(xp, shape, key, values, scatter_add=_scatter_add)
    return xp.zeros(shape, dtype=values.dtype).at[key].set(values)


def _rehearse(function: Callable[..., Any], *arrays: Any) -> None:
    """On shapes alone: op by op, each operation would be compiled for one use."""
    jax.eval_shape(lambda *arrays: function(*arrays) and None, *arrays)


def _fuse(rule: Callable[..., Any]) -> Callable[..., Any]:
    """XLA may contract a product and a sum into one rounding: a few ulp of the largest term from the default."""
    fused: Callable[..., Any] = jax.jit(rule, static_argnums=0)
    return fused


def _each(rule: Callable[..., Any], xp: Namespace, columns: Any, numbers: Any) -> list[list[jax.Array]]:
    """All rows in one compiled call."""
    return _each_compiled(rule, xp, [list(column) for column in columns], list(numbers))  # type: ignore[no-any-return]


_each_compiled = jax.jit(portable.each, static_argnums=(0, 1))


def _product(
    x: jax.Array, weight: jax.Array, stride: tuple[int, ...], pads: Any, dilation: tuple[int, ...], groups: int
) -> jax.Array:
    letters = "DHW"[-len(stride) :]
    product: jax.Array = jax.lax.conv_general_dilated(
        x, weight, stride, pads, rhs_dilation=dilation, feature_group_count=groups, precision=jax.lax.Precision.HIGHEST,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
    )  # fmt: skip
    return product


def _convolve(xp: Namespace, x: jax.Array, weight: jax.Array, bias: jax.Array | None, *how: Any) -> jax.Array:
    """By XLA's own convolution; its adjoints are those that JAX knows."""
    y = _product(x, weight, *how)
    return y if bias is None else y + bias


def _convolve_to_weight(xp: Namespace, x: jax.Array, g: jax.Array, kernel: Any, *how: Any) -> jax.Array:
    shape = jax.ShapeDtypeStruct((*kernel, x.shape[-1] // how[-1], g.shape[-1]), x.dtype)
    (back,) = jax.linear_transpose(lambda weight: _product(x, weight, *how), shape)(g)
    return back


def _convolve_to_input(xp: Namespace, g: jax.Array, weight: jax.Array, spatial: Any, *how: Any) -> jax.Array:
    shape = jax.ShapeDtypeStruct((g.shape[0], *spatial, weight.shape[-2] * how[-1]), g.dtype)
    (back,) = jax.linear_transpose(lambda x: _product(x, weight, *how), shape)(g)
    return back


def _label(device: Any) -> str:
    return f"{device.platform}:{device.id}" if device.id else str(device.platform)


def _tf32(device: Any) -> str:
    """XLA makes float32 products on a GPU in TF32 unless it is told otherwise; convolutions are told here."""
    if device.platform not in ("gpu", "cuda"):
        return "none"
    return "off" if str(jax.config.jax_default_matmul_precision) in ("highest", "float32") else "products"


def _describe(device: Any) -> dict[str, Any]:
    return {
        "tf32": _tf32(device),
        "version": jax.__version__,
        "devices": [_label(device) for device in jax.local_devices()],
        "blas": "XLA",
        "threads": None,
        "fused": "on (XLA)",
    }


_DEVIATIONS = (
    Deviation(
        "without x64 there are no 64-bit types",
        "asarray refuses float64 instead of narrowing it",
        "https://docs.jax.dev/en/latest/default_dtypes.html",
    ),
    Deviation(
        "out-of-range indices clamp, and take gives NaN",
        "labels are checked on the host",
        "https://docs.jax.dev/en/latest/notebooks/Common_Gotchas_in_JAX.html",
    ),
    Deviation(
        "an array divided by a broadcast one is multiplied by its reciprocal",
        "division is 1 ulp from the correctly rounded quotient there",
        "https://data-apis.org/array-api/latest/design_topics/accuracy.html",
    ),
    Deviation("results below the smallest normal number are flushed to zero", "erf of a subnormal number is 0"),
)
