"""What the bits of a training depend on besides its settings: the library, its BLAS and the kernel that this chose, threads."""

import importlib.metadata
import os
import platform
from typing import Any

import numpy as np

from nnx import backends
from nnx.backends import deterministic
from nnx.backends.threads import SETTINGS

BITS = ("backend", "blas", "kernel", "threads", "versions", "machine", "deterministic")
"""What must be the same for the same bits."""


def fingerprint(device: backends.Backend) -> dict[str, Any]:
    """What is at work here: JSON.

    >>> fingerprint(backends.get("numpy"))["backend"]
    'numpy'
    """
    info = device.info()
    packages = ("nnx-array", "numpy", "safetensors")
    return {
        "backend": device.spec,
        "blas": str(info.get("blas", "")),
        "kernel": _kernel(),
        "threads": str(info.get("threads", "")),
        "environment": {name: os.environ[name] for name in (*SETTINGS, "OPENBLAS_CORETYPE") if name in os.environ},
        "deterministic": deterministic.asked(),
        "versions": {device.name: str(info.get("version", "")), **{name: _version(name) for name in packages}},
        "machine": platform.machine(),
        "fused": str(info.get("fused", "")),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _kernel() -> str:
    """The kernel that BLAS has chosen for this processor, such as Haswell; without threadpoolctl, what NumPy found in the processor."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
        return " ".join(map(str, found))
    return ", ".join(sorted({str(one["architecture"]) for one in threadpool_info() if one.get("architecture")}))


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has changed since of that on which the bits depend, as texts.

    >>> differences({"backend": "numpy", "blas": "a"}, {"backend": "torch:cpu", "blas": "a"})
    ['backend numpy → torch:cpu']
    """
    return [
        f"{name} {_brief(then.get(name))} → {_brief(now.get(name))}"
        for name in BITS
        if then.get(name) != now.get(name) and (name in then or now.get(name))
    ]


def _brief(value: Any) -> str:
    return ", ".join(f"{key} {text}" for key, text in value.items()) if isinstance(value, dict) else str(value)
