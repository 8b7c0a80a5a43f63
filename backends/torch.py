"""PyTorch tensors, on any of its devices; its own autograd is not used."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch

from nnx.backends import deterministic, philox, portable, through_numpy, torch_layers, torch_program
from nnx.backends.backend import Backend, Deviation
from nnx.backends.convolution import strided
from nnx.backends.fast import together
from nnx.backends.portable.convolution import Pads
from nnx.backends.portable.windows import Axes
from nnx.backends.threads import chosen_by_user
from nnx.errors import BackendUnavailable
from nnx.typing import Array, Namespace


@cache
def open(device: str) -> Backend:
    """The backend of a torch device: ``""`` (its default device), ``cpu``, ``cuda``, ``cuda:1``, ``mps``."""
    if deterministic.asked():
        _repeatable()
    try:
        place = torch.device(device) if device else torch.get_default_device()
        return _at(torch.empty(0, device=place).device)  # "cuda" becomes "cuda:0"
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BackendUnavailable(
            "torch has no such device here",
            expected=" or ".join(f"torch:{name}" for name in _devices()),
            got=f"torch:{device} ({str(error).splitlines()[0]})",
            fix="For CUDA, install the driver and a CUDA build of torch: https://pytorch.org/get-started/locally",
        ) from error


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
        fetch=lambda x: x.detach().cpu().resolve_conj().resolve_neg().numpy(),
        wait=lambda *arrays: _wait(device),
        threads=_threads,
        describe=lambda: _describe(device),
        deviations=_DEVIATIONS,
        repeats=device.type == "cpu" or deterministic.asked(),
        scatter_add=_scatter_add,
        put=_put,
        fold=strided.fold_in_place,
        convolve=_convolve,
        convolve_to_weight=_convolve_to_weight,
        convolve_to_input=_convolve_to_input,
        pool=torch_layers.pool,
        unpool=torch_layers.unpool,
        relu=torch_layers.relu,
        relu_back=torch_layers.relu_back,
        batch_norm=torch_layers.batch_norm,
        batch_norm_back=torch_layers.batch_norm_back,
        cross_entropy=torch_layers.cross_entropy,
        cross_entropy_back=torch_layers.cross_entropy_back,
        random_words=philox.random_words,
        erf=lambda xp, x: torch.special.erf(x),
        each=through_numpy.each if device.type == "cpu" else portable.each_joined,
        own=lambda x: x if x._base is None else x.clone(),
        memory=together.Memory if device.type == "cpu" else nullcontext,
        assemble=torch_program.assemble,
        eager=device.type == "cpu",
        exhausted=_exhausted,
        room=lambda: _room(device),
    )


def _exhausted(error: BaseException) -> bool:
    """On the CPU torch raises a RuntimeError of its allocator, on a GPU a type of its own."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and (
        "not enough memory" in str(error) or "can't allocate memory" in str(error)
    )


def _room(device: torch.device) -> int | None:
    """On a GPU, what the driver has and what torch holds in reserve."""
    if device.type == "cpu":
        return portable.room()
    if device.type != "cuda":
        return None
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(idle)


def _send(host: np.ndarray, device: torch.device) -> torch.Tensor:
    """Shares memory where torch can: not with read-only arrays, nor over negative strides."""
    if not host.flags.writeable or any(step < 0 for step in host.strides):
        host = host.copy()
    return torch.from_numpy(host).to(device)


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _scatter_add(xp: Namespace, index: torch.Tensor, values: torch.Tensor, n: int) -> torch.Tensor:
    index = torch.where(index < 0, index + n, index).to(torch.int64)
    return torch.zeros((n, *values.shape[1:]), dtype=values.dtype, device=values.device).index_add_(0, index, values)


def _put(xp: Namespace, shape: tuple[int, ...], key: Any, values: torch.Tensor) -> torch.Tensor:
    """The default, after slices with negative steps have become positive ones and a flip: torch has none."""
    keys = key if isinstance(key, tuple) else (key,)
    if not any(isinstance(part, slice) and (part.step or 1) < 0 for part in keys):
        return portable.put(xp, shape, key, values, scatter_add=_scatter_add)
    names = sum(part is not None and part is not ... for part in keys)
    axis = place = 0  # of the zeros, of the values
    forward: list[Any] = []
    for part in keys:
        if part is ...:
            axis, place = axis + len(shape) - names, place + len(shape) - names
        elif part is None:
            place += 1
        else:
            if isinstance(part, slice):
                if (part.step or 1) < 0:
                    steps = range(*part.indices(shape[axis]))[::-1]
                    part = slice(steps.start, steps.stop, steps.step)
                    values = torch.flip(values, (place,))
                place += 1
            axis += 1
        forward.append(part)
    return portable.put(xp, shape, tuple(forward), values, scatter_add=_scatter_add)


def _convolve(
    xp: Namespace,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Axes,
    pads: Pads,
    dilation: Axes,
    groups: int,
) -> torch.Tensor:
    """By torch's own convolution, whose channels are second in the shape and may be last in memory."""
    padded, before = _padded(_second(x), pads)
    kernel = torch.movedim(weight, (-1, -2), (0, 1))
    n = len(stride)
    return _last(torch.convolution(padded, kernel, bias, stride, before, dilation, False, (0,) * n, groups))


def _convolve_to_weight(
    xp: Namespace,
    x: torch.Tensor,
    g: torch.Tensor,
    kernel: Axes,
    stride: Axes,
    pads: Pads,
    dilation: Axes,
    groups: int,
) -> torch.Tensor:
    padded, before = _padded(_second(x), pads)
    shape = (g.shape[-1], x.shape[-1] // groups, *kernel)
    like = torch.empty((1,), dtype=x.dtype, device=x.device).expand(shape)
    back = _backward(g, padded, like, stride, before, dilation, groups, (False, True, False))[1]
    return torch.movedim(back, (0, 1), (-1, -2)).contiguous()


def _convolve_to_input(
    xp: Namespace,
    g: torch.Tensor,
    weight: torch.Tensor,
    spatial: Axes,
    stride: Axes,
    pads: Pads,
    dilation: Axes,
    groups: int,
) -> torch.Tensor:
    even = all(before == after for before, after in pads)
    before = tuple(ends[0] for ends in pads) if even else (0,) * len(pads)
    shape = (g.shape[0], weight.shape[-2] * groups, *(n if even else n + sum(e) for n, e in zip(spatial, pads)))
    like = torch.empty((1,), dtype=g.dtype, device=g.device).expand(shape)
    kernel = torch.movedim(weight, (-1, -2), (0, 1))
    back = _last(_backward(g, like, kernel, stride, before, dilation, groups, (True, False, False))[0])
    return back if even else back[portable.inside(spatial, pads)]


def _backward(g: torch.Tensor, x: torch.Tensor, kernel: torch.Tensor, *rest: Any) -> Any:
    stride, before, dilation, groups, wanted = rest
    n = len(stride)
    return torch.ops.aten.convolution_backward(
        _second(g), x, kernel, None, stride, before, dilation, False, (0,) * n, groups, wanted
    )


def _padded(x: torch.Tensor, pads: Pads) -> tuple[torch.Tensor, Axes]:
    """x and the padding that torch is left to do: it knows only equal ends."""
    if all(before == after for before, after in pads):
        return x, tuple(before for before, _ in pads)
    return torch.nn.functional.pad(x, [n for ends in reversed(pads) for n in ends]), (0,) * len(pads)


def _second(x: torch.Tensor) -> torch.Tensor:
    return torch.movedim(x, -1, 1)


def _last(x: torch.Tensor) -> torch.Tensor:
    return torch.movedim(x, 1, -1).contiguous()


def _devices() -> list[str]:
    if not torch.accelerator.is_available():
        return ["cpu"]
    kind = torch.accelerator.current_accelerator()
    return ["cpu", *(f"{kind}:{number}" for number in range(torch.accelerator.device_count()))]


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """torch has a pool of its own."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if chosen_by_user() else min(n, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _repeatable() -> None:
    """PyTorch's own settings for the same bits: one thread, no sums by atomic additions, no TF32. They hold for all of torch."""
    deterministic.check("OMP_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    known: Any = torch.backends
    if hasattr(known.cudnn, "conv"):  # since torch 2.9
        known.cuda.matmul.fp32_precision = known.cudnn.conv.fp32_precision = "ieee"
    else:
        known.cuda.matmul.allow_tf32 = known.cudnn.allow_tf32 = False


def _tf32(device: torch.device) -> str:
    """Whether float32 products and convolutions are rounded to 10 bits first; torch's own default is: convolutions alone."""
    if device.type != "cuda":
        return "none"
    known: Any = torch.backends
    if hasattr(known.cudnn, "conv"):  # since torch 2.9
        on = [part.fp32_precision == "tf32" for part in (known.cuda.matmul, known.cudnn.conv)]
    else:
        on = [known.cuda.matmul.allow_tf32, known.cudnn.allow_tf32]
    return {(True, True): "on", (True, False): "products", (False, True): "convolutions"}.get(tuple(on), "off")


def _describe(device: torch.device) -> dict[str, Any]:
    return {
        "tf32": _tf32(device),
        "version": torch.__version__,
        "devices": _devices(),
        "blas": "MKL" if torch.backends.mkl.is_available() else "OpenBLAS or another",
        "threads": torch.get_num_threads(),
        "fused": "off",
    }


_DEVIATIONS = (
    Deviation(
        "operators on 0-d tensors promote by category: float32 array + float64 0-d tensor is float32",
        "the namespace's add gives float64; cast 0-d arrays to the other operand's dtype",
        "https://pytorch.org/docs/stable/tensor_attributes.html#torch.dtype",
    ),
    Deviation(
        "on the CPU sqrt of long float32 arrays is MKL's: 7 in 1000 results are 1 ulp from the correctly rounded root",
        "nnx.parity allows a square root 2 ulp, where the other basic operations are exact",
    ),
    Deviation("slices take no negative step", "use flip", "https://github.com/pytorch/pytorch/issues/59786"),
    Deviation("uint16, uint32 and uint64 lack most arithmetic", "use signed integers"),
    Deviation("take_along_axis wants int64 indices, take refuses uint8", "indices are int64"),
)
