"""CuPy, on CUDA GPUs.

CuPy 14 imports and even builds kernels where there is no driver, and fails at the first array: ``cupy.is_available()`` is
the gate. Work runs on the thread's current device, so whoever works on ``cupy:1`` does so inside ``with backend.use():``.
"""

import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import array_api_compat.cupy as xp
import cupy
import cupyx.scipy.special
import numpy as np

from nnx.backends import deterministic, portable
from nnx.backends.backend import Backend, Deviation
from nnx.backends.convolution import strided
from nnx.errors import BackendUnavailable
from nnx.typing import Array, Namespace


@cache
def open(device: str) -> Backend:
    """The backend of a CUDA device: ``""`` (the current one) or its number."""
    if not cupy.is_available():
        raise BackendUnavailable(
            "CuPy is installed, but finds no NVIDIA driver or no GPU",
            where="backend cupy",
            fix="Run nvidia-smi to see the driver; without a GPU use --backend numpy.",
        )
    count = cupy.cuda.runtime.getDeviceCount()
    deterministic.check("CUPY_TF32")
    number = int(device) if device.isdecimal() else cupy.cuda.runtime.getDevice() if not device else count
    if number >= count:
        raise BackendUnavailable(
            "there is no such GPU",
            expected=" or ".join(f"cupy:{known}" for known in range(count)),
            got=f"cupy:{device}",
            fix="Run nvidia-smi -L to list the GPUs.",
        )
    return _at(number)


def of(array: Array) -> Backend:
    """The backend of an array's device."""
    return _at(array.device.id)


@cache
def _at(number: int) -> Backend:
    device = cupy.cuda.Device(number)

    def place(x: Any) -> Array:
        with device:
            return cupy.asarray(x)

    def words(key: tuple[int, int], count: int) -> Array:
        with device:
            return _random_words(key, count)

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
        use=lambda: cupy.cuda.Device(number),
        describe=_describe,
        deviations=_DEVIATIONS,
        repeats=deterministic.asked(),
        scatter_add=_scatter_add,
        put=partial(portable.put, scatter_add=_scatter_add),
        windows=_windows,
        fold=strided.fold_in_place,
        convolve=partial(portable.convolve, windows=_windows),
        convolve_to_weight=partial(portable.convolve_to_weight, windows=_windows),
        convolve_to_input=partial(portable.convolve_to_input, fold=strided.fold_in_place),
        unpool=strided.unpool_in_place,
        random_words=words,
        erf=lambda xp, x: cupyx.scipy.special.erf(x),
        each=portable.each_joined,
        fuse=_fuse,
        own=lambda x: x if x.base is None else x.copy(),
        exhausted=lambda error: isinstance(error, (MemoryError, cupy.cuda.memory.OutOfMemoryError)),
        room=lambda: _room(device),
        link=_link,
    )


def _link(rank: int, size: int) -> Callable[[Array, Array, int], None] | None:
    """NCCL's exchange of two arrays, in the order of the stream; None where there is none, or two processes have one GPU.

    The processes meet by MPI: without it CuPy would open a port to anybody.
    """
    from cupy.cuda import nccl

    if not nccl.available:
        return None
    from cupyx.distributed import init_process_group

    try:
        swap: Callable[[Array, Array, int], None] = init_process_group(size, rank, use_mpi=True).send_recv
    except nccl.NcclError:
        return None
    return swap


def _room(device: Any) -> int:
    """What the driver and the pool's limit leave, and what the pool holds in reserve."""
    with device:
        pool = cupy.get_default_memory_pool()
        free, limit = int(cupy.cuda.runtime.memGetInfo()[0]), pool.get_limit()
        left = min(free, limit - pool.total_bytes()) if limit else free
        return max(left, 0) + int(pool.free_bytes())


_windows = strided.windows_by(cupy.lib.stride_tricks.as_strided)


def _scatter_add(xp: Namespace, index: Array, values: Array, n: int) -> Array:
    """By atomic additions, whose order and so whose last bits vary from run to run.

    ``NNX_DETERMINISTIC=1`` asks for the sorted default instead; dtypes without atomic addition take it too.
    """
    if deterministic.asked() or values.dtype.char not in "fd":
        return portable.scatter_add(xp, index, values, n)
    out = cupy.zeros((n, *values.shape[1:]), dtype=values.dtype)
    cupy.add.at(out, index, values)
    return out


def _random_words(key: tuple[int, int], count: int) -> Array:
    words = cupy.empty(-(-count // 4) * 4, dtype=cupy.uint64)
    if count:
        _philox()(np.uint64(key[0]), np.uint64(key[1]), words, size=words.size // 4)
    return words[:count]


PHILOX = """
unsigned long long k0 = key0, k1 = key1, x0 = (unsigned long long)i + 1, x1 = 0, x2 = 0, x3 = 0;
for (int round = 0; round < 10; ++round) {
    unsigned long long high0 = __umul64hi(0xD2E7470EE14C6C93ULL, x0), low0 = 0xD2E7470EE14C6C93ULL * x0;
    unsigned long long high1 = __umul64hi(0xCA5A826395121157ULL, x2), low1 = 0xCA5A826395121157ULL * x2;
    x0 = high1 ^ x1 ^ k0;
    x1 = low1;
    x2 = high0 ^ x3 ^ k1;
    x3 = low0;
    k0 += 0x9E3779B97F4A7C15ULL;
    k1 += 0xBB67AE8584CAA73BULL;
}
words[4 * i] = x0;
words[4 * i + 1] = x1;
words[4 * i + 2] = x2;
words[4 * i + 3] = x3;
"""
"""One block of ``portable/philox.py`` per thread; ``i`` is the thread's number."""


@cache
def _philox() -> Any:
    return cupy.ElementwiseKernel("uint64 key0, uint64 key1", "raw uint64 words", PHILOX, "nnx_philox4x64_10")


def _fuse(rule: Callable[..., Any]) -> Callable[..., Any]:
    """``cupy.fuse`` on the rule with CuPy's own functions for ``xp``; scalars go in as the arrays' dtype.

    The CUDA compiler contracts a product and a sum into one rounding: a few ulp of the largest term from the default.
    """
    fused = cupy.fuse(kernel_name=f"nnx_{rule.__name__.strip('<>')}")(lambda *args: rule(cupy, *args))

    def run(xp: Namespace, *args: Any) -> Any:
        dtype = next((arg.dtype for arg in args if isinstance(arg, cupy.ndarray)), None)
        if dtype is None or dtype.kind != "f":
            return rule(xp, *args)
        return fused(*(dtype.type(arg) if isinstance(arg, int | float) else arg for arg in args))

    return run


def _describe() -> dict[str, Any]:
    runtime = cupy.cuda.runtime
    count = runtime.getDeviceCount()
    names = [runtime.getDeviceProperties(number)["name"].decode() for number in range(count)]
    return {
        "version": cupy.__version__,
        "devices": [f"{number} ({name})" for number, name in enumerate(names)],
        "blas": f"cuBLAS, CUDA {runtime.runtimeGetVersion() // 1000}.{runtime.runtimeGetVersion() % 1000 // 10}",
        "threads": None,
        "tf32": "on" if os.environ.get("CUPY_TF32") == "1" else "off",
        "fused": "on (cupy.fuse)",
    }


_DEVIATIONS = (
    Deviation(
        "out-of-range integer indices wrap around in silence",
        "labels are checked on the host, once per fit",
        "https://docs.cupy.dev/en/stable/user_guide/difference.html",
    ),
    Deviation(
        "atomic additions come in any order",
        "scatter_add of floats varies in the last bits from run to run; NNX_DETERMINISTIC=1 sorts instead",
        "https://docs.cupy.dev/en/stable/reference/generated/cupy.ufunc.html",
    ),
    Deviation(
        "asarray(device=) of the compat namespace is ignored",
        "arrays are placed by entering the device",
        "https://github.com/data-apis/array-api-compat/issues/337",
    ),
    Deviation(
        "linalg.solve does not broadcast a matrix, or its right side, over a stack of the other",
        "nothing here asks for it; xp.broadcast_to before it does",
        "https://docs.cupy.dev/en/stable/reference/generated/cupy.linalg.solve.html",
    ),
    Deviation(
        "casts of negative floats and of infinity to integers differ from NumPy's",
        "undefined in the standard; nothing here does it",
        "https://docs.cupy.dev/en/stable/user_guide/difference.html",
    ),
)
