"""PyTorch tensors, on any of its devices; its own autograd is not used."""

from functools import cache
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch

from nnx.backends.backend import Backend, Deviation
from nnx.errors import BackendUnavailable
from nnx.typing import Array


@cache
def open(device: str) -> Backend:
    """The backend of a torch device: ``""`` (its default device), ``cpu``, ``cuda``, ``cuda:1``, ``mps``."""
    try:
        place = torch.device(device) if device else torch.get_default_device()
        place = torch.empty(0, device=place).device
    except (RuntimeError, AssertionError) as error:
        raise BackendUnavailable(
            expected="a device of torch that is usable here",
            got=f"torch:{device} ({str(error).splitlines()[0]})",
            fix="Use torch:cpu; for cuda install a CUDA build of torch and a driver.",
        ) from error
    return _at(place)


def of(array: Array) -> Backend:
    """The backend of a tensor's device."""
    return _at(array.device)


@cache
def _at(device: torch.device) -> Backend:
    return Backend(
        name="torch",
        spec=f"torch:{device}",
        xp=xp,
        device=device,
        owns=lambda x: isinstance(x, torch.Tensor),
        resides=lambda x: x.device == device,
        send=lambda host: _send(host, device),
        move=lambda x: x.to(device),
        fetch=lambda x: x.detach().cpu().numpy(),
        wait=lambda *arrays: _wait(device),
        describe=_describe,
        deviations=_DEVIATIONS,
        erf=lambda xp, x: torch.special.erf(x),
        scatter_add=_scatter_add,
    )


def _send(host: np.ndarray, device: torch.device) -> torch.Tensor:
    host = np.ascontiguousarray(host) if host.ndim else host  # torch takes no negative strides
    return torch.from_numpy(host if host.flags.writeable else host.copy()).to(device)


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        getattr(torch, device.type).synchronize(device)


def _scatter_add(xp: Any, index: torch.Tensor, values: torch.Tensor, n: int) -> torch.Tensor:
    index = torch.where(index < 0, index + n, index).to(torch.int64)
    return torch.zeros((n, *values.shape[1:]), dtype=values.dtype, device=values.device).index_add_(0, index, values)


def _describe() -> dict[str, Any]:
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return {
        "version": torch.__version__,
        "devices": ["cpu", *cuda],
        "blas": "MKL" if torch.backends.mkl.is_available() else "BLAS",
        "threads": torch.get_num_threads(),
        "fused": "off",
    }


_DEVIATIONS = (
    Deviation("operators on 0-d tensors promote by category", "float32 array + float64 0-d array is float32"),
    Deviation("slices take no negative steps", "use flip"),
)
