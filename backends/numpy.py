"""NumPy, on the CPU: the reference backend. With numba installed, large element-wise work is compiled."""

from functools import cache, partial
from importlib.metadata import version
from math import isfinite, prod
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

from nnx.backends import deterministic, philox, portable
from nnx.backends.backend import Backend, Deviation
from nnx.backends.convolution import blocked, compiled_pool, strided
from nnx.backends.fast import compiled, crew, labels, overwriting, products, together
from nnx.backends.recorded import buffers, looped
from nnx.backends.threads import blas_threads, cores
from nnx.errors import BackendUnavailable
from nnx.typing import Array, Namespace


@cache
def open(device: str) -> Backend:
    """The one NumPy backend."""
    if device == "cpu":
        return open("")
    if device:
        raise BackendUnavailable(
            "NumPy has no such device",
            expected="numpy",
            got=f"numpy:{device}",
            where="backend numpy",
            fix="For a GPU: --backend cupy.",
        )
    deterministic.check(*deterministic.BLAS)
    return Backend(
        name="numpy",
        spec="numpy",
        xp=xp,
        device="cpu",
        owns=lambda x: isinstance(x, np.ndarray),
        resides=lambda x: True,
        send=lambda host: host,
        move=lambda x: x,
        fetch=lambda x: x,
        threads=blas_threads,
        describe=_describe,
        deviations=_DEVIATIONS,
        scatter_add=_scatter_add,
        put=partial(portable.put, scatter_add=_scatter_add),
        windows=strided.windows_by(np.lib.stride_tricks.as_strided),
        fold=strided.fold_in_place,
        product=products.product,
        convolve=blocked.convolve,
        convolve_to_weight=blocked.convolve_to_weight,
        convolve_to_input=blocked.convolve_to_input,
        pool=compiled_pool.pool,
        unpool=compiled_pool.unpool,
        cross_entropy=labels.cross_entropy,
        cross_entropy_back=labels.cross_entropy_back,
        random_words=philox.random_words,
        erf=compiled.erf(portable.erf) if compiled.installed() else portable.erf,
        fuse=compiled.fuse if compiled.installed() else portable.fuse,
        each=together.each,
        over=overwriting.over if compiled.installed() else None,
        own=lambda x: x if x.base is None else x.copy(),
        memory=together.Memory,
        assemble=looped.assemble if compiled.installed() else buffers.assemble,
        finite=_finite,
        eager=True,
        room=portable.room,
    )


def of(array: Array) -> Backend:
    """Every NumPy array is on the CPU."""
    return open("")


def _finite(xp: Namespace, arrays: Any) -> bool:
    """By products of BLAS, which read an array once and write nothing; where one is no number, or too large for one, exactly."""
    with np.errstate(all="ignore"), crew.one_blas_thread:
        for array in arrays:
            flat = array.reshape(-1)
            if not (flat.dtype.char in "fd" and isfinite(np.dot(flat, flat))) and not portable.finite(np, [flat]):
                return False
    return True


def _scatter_add(xp: Namespace, index: Array, values: Array, n: int) -> Array:
    """One sequential pass over the elements: ``np.add.at`` is fast for one axis only, so rows are flattened."""
    values = np.asarray(values)
    out = np.zeros((n, *values.shape[1:]), dtype=values.dtype)
    width = prod(values.shape[1:])
    index = np.asarray(index, dtype=np.intp)
    if values.ndim > 1:
        index = (np.where(index < 0, index + n, index)[:, None] * width + np.arange(width)).reshape(-1)
    np.add.at(out.reshape(-1), index, values.reshape(-1))
    return out


def _describe() -> dict[str, Any]:
    blas: Any = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "version": np.__version__,
        "devices": ["cpu"],
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "threads": cores(),
        "fused": f"on (numba {version('numba')})" if compiled.installed() else "off",
    }


_DEVIATIONS = (
    Deviation(
        "a reduction or an index that leaves no axis gives a NumPy scalar, not a 0-d array",
        "np.sum(x) is an np.float32; it computes like an array, and asarray makes it one",
        "https://numpy.org/doc/stable/reference/arrays.scalars.html",
    ),
    Deviation(
        "NumPy scalars are not weak: float32 array + np.float64(1) is float64",
        "only Python scalars may meet arrays",
        "https://numpy.org/neps/nep-0050-scalar-promotion.html",
    ),
)
