"""The same bits whatever the machine's settings: what must stand in the environment before an array library is loaded.

BLAS sums in an order that depends on its kernel (chosen for the processor) and on its number of threads, both of which
it reads from the environment while it is loaded. So a program that is to repeat itself must be started with them:

==========================================  ==================================================================================
``NNX_DETERMINISTIC=1``                     asks for it. PyTorch: deterministic algorithms, no TF32. CuPy: sums by sorting
                                            instead of atomic additions
``OPENBLAS_NUM_THREADS=1`` and its like     one thread
``OPENBLAS_CORETYPE``, ``MKL_CBWR`` …       the kernels for AVX2, which newer processors have, too
``CUPY_TF32=0``, ``NVIDIA_TF32_OVERRIDE=0``  float32 products keep all bits
``CUBLAS_WORKSPACE_CONFIG``, ``XLA_FLAGS``  cuBLAS and XLA without sums in any order
==========================================  ==================================================================================

``nnx train --deterministic`` starts itself again with these; a program of one's own calls :func:`restart` first of all.
NumPy's own vectors and compiled rules still follow the processor: the same bits are promised on one machine, not on
two.
"""

import os
import platform
import sys
import warnings
from functools import cache

import numpy as np

ASKED = "NNX_DETERMINISTIC"
_RESTARTED = "NNX_RESTARTED"
_THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_XLA = ("--xla_cpu_multi_thread_eigen=false", "--xla_gpu_deterministic_ops=true")


class DeterminismWarning(UserWarning):
    """The same bits were asked for, and what fixes them was not there when the libraries were loaded."""


def asked() -> bool:
    """Whether the environment asks for the same bits."""
    return os.environ.get(ASKED) == "1"


def environment() -> dict[str, str]:
    """What must be set before Python starts, for this machine.

    >>> environment()["OPENBLAS_NUM_THREADS"]
    '1'
    """
    wanted = {ASKED: "1", **dict.fromkeys(_THREADS, "1"), **_kernels()}
    wanted |= {"CUPY_TF32": "0", "NVIDIA_TF32_OVERRIDE": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    flags = os.environ.get("XLA_FLAGS", "").split()
    names = {flag.partition("=")[0] for flag in _XLA}
    wanted["XLA_FLAGS"] = " ".join([*(flag for flag in flags if flag.partition("=")[0] not in names), *_XLA])
    return wanted


@cache
def _kernels() -> dict[str, str]:
    """The names of the oldest kernels that are still fast here, in the words of each library."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return {"OPENBLAS_CORETYPE": "ARMV8"}
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return {}
    found = np.show_config(mode="dicts").get("SIMD Extensions", {})
    if {"AVX2", "X86_V3"} & {*found.get("found", ()), *found.get("baseline", ())}:
        return {
            "OPENBLAS_CORETYPE": "Haswell",
            "MKL_CBWR": "AVX2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "ATEN_CPU_CAPABILITY": "avx2",
        }
    return {"OPENBLAS_CORETYPE": "Prescott", "MKL_CBWR": "COMPATIBLE"}


def missing() -> dict[str, str]:
    """What is not set as it must be, and how it must be.

    After the libraries were loaded it is too late to set it: then :func:`restart`.
    """
    return {name: value for name, value in environment().items() if os.environ.get(name) != value}


def restart() -> None:
    """Start this program again, once, with what :func:`environment` says; at its very beginning. Returns if that is there.

    Warns (:class:`DeterminismWarning`) where a restarted program has changed it again.
    """
    if not missing():
        return
    if os.environ.get(_RESTARTED) == "1":
        check()
        return
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, *sys.orig_argv[1:]]
    changed = os.environ | environment() | {_RESTARTED: "1"}
    if os.name == "nt":  # where exec would leave the console to the shell
        import subprocess

        raise SystemExit(subprocess.call(command, env=changed))
    os.execve(sys.executable, command, changed)


def check(*names: str) -> None:
    """Warn if these settings, or BLAS as it was loaded, do not give the same bits and the environment asks for them.

    Without names: all settings, whether the environment asks or not.
    """
    if (asked() or not names) and (wrong := _otherwise(names)):
        settings = " ".join(
            f"{name}={value!r}" if " " in value else f"{name}={value}" for name, value in missing().items()
        )
        warnings.warn(
            f"the same bits are asked for, but {wrong}, and it is too late: the libraries have read it. "
            f"Start Python with {settings or 'this'} in its environment, or call nnx.backends.deterministic.restart() "
            "first of all, or use nnx train --deterministic.",
            DeterminismWarning,
            stacklevel=3,
        )


def _otherwise(names: tuple[str, ...]) -> str:
    """What is not as it must be: in the environment, and in BLAS (by threadpoolctl, extra ``fast``)."""
    wrong = [name for name in missing() if name in names or not names]
    if wrong:
        return ", ".join(f"{name} is {os.environ.get(name) or 'not set'}" for name in wrong)
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return ""
    kernel = _kernels().get("OPENBLAS_CORETYPE", "").replace("Prescott", "Katmai")
    for one in threadpool_info():
        if one.get("internal_api") == "openblas" and (
            one["num_threads"] > 1 or kernel.lower() not in ("", one["architecture"].lower())
        ):
            return f"OpenBLAS runs {one['num_threads']} threads of its kernel {one['architecture']}"
    return ""


BLAS = ("OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE")
"""What NumPy needs."""


def said() -> str:
    """What is fixed, in a few words."""
    kernel = _kernels().get("OPENBLAS_CORETYPE")
    return f"deterministic: one thread, {f'BLAS kernel {kernel}, ' if kernel else ''}no TF32, no atomic sums"
