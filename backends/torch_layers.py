"""What PyTorch has a single call for where the standard needs a dozen: ReLU, batch normalisation, cross-entropy, on any device.

And pooling of tensors on the CPU, by NumPy's loops on the same memory.
"""

from typing import Any

import array_api_compat.numpy as host
import numpy as np
import torch

from nnx.backends import portable
from nnx.backends.convolution import compiled_pool, strided
from nnx.backends.portable.windows import Axes
from nnx.typing import Namespace

_FLOATS = (torch.float32, torch.float64)
_NO_CLASS = -100


def relu(xp: Namespace, x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x)


def relu_back(xp: Namespace, g: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.threshold_backward.default(g, y, 0)


def batch_norm(
    xp: Namespace, x: torch.Tensor, gamma: torch.Tensor | None, beta: torch.Tensor | None, eps: float
) -> tuple[Any, ...]:
    """On what was centred before: torch's own y = x a + b loses the digits that a large mean takes.

    torch gives the unbiased variance, as running statistics that forget all they were.
    """
    features = x.shape[-1]
    n = x.numel() // max(features, 1)
    if n < 2 or x.dtype not in _FLOATS:
        y, mean, variance, saved = portable.batch_norm(xp, x, gamma, beta, eps)
        return y, mean, variance, (None, *saved[:3])
    rows = x if x.ndim == 2 else x.reshape(n, features)
    mean = rows.mean(0)
    rows = rows - mean
    moved, unbiased = torch.zeros((2, features), dtype=x.dtype, device=x.device).unbind(0)
    y, rest, inverse = torch.native_batch_norm(rows, gamma, beta, moved, unbiased, True, 1.0, eps)
    y = y if x.ndim == 2 else y.reshape(x.shape)
    return y, mean + rest, unbiased * ((n - 1) / n), (rows, rest, inverse, gamma)


def batch_norm_back(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: torch.Tensor) -> tuple[Any, ...]:
    rows, rest, inverse, gamma = saved
    if rows is None:
        return portable.batch_norm_back(xp, needs, (rest, inverse, gamma, tuple(range(g.ndim - 1))), g)
    flat = g if g.ndim == 2 else g.reshape(rows.shape)
    gx, *others = torch.ops.aten.native_batch_norm_backward.default(
        flat, rows, gamma, None, None, rest, inverse, True, 0.0, needs
    )
    return (gx if gx is None or g.ndim == 2 else gx.reshape(g.shape), *others)


def cross_entropy(xp: Namespace, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, Any]:
    """A label that is no class becomes the one that torch ignores; it would refuse others."""
    log_p = torch.log_softmax(logits.reshape(-1, logits.shape[-1]), -1)
    labels = labels.reshape(-1)
    known = torch.where(labels.clamp(0, logits.shape[-1] - 1) == labels, labels, _NO_CLASS).to(torch.int64)
    rows, total = torch.ops.aten.nll_loss_forward.default(log_p, known, None, 0, _NO_CLASS)
    return rows.reshape(logits.shape[:-1]), (log_p, known, total)


def cross_entropy_back(xp: Namespace, saved: Any, g: torch.Tensor) -> torch.Tensor:
    log_p, known, total = saved
    h = torch.ops.aten.nll_loss_backward.default(g.reshape(-1), log_p, known, None, 0, _NO_CLASS, total)
    back = torch.ops.aten._log_softmax_backward_data.default(h, log_p, -1, h.dtype)
    return back.reshape(*g.shape, log_p.shape[-1])


def pool(
    xp: Namespace, x: torch.Tensor, kernel: Axes, stride: Axes, dilation: Axes
) -> tuple[torch.Tensor, torch.Tensor]:
    if x.device.type != "cpu" or x.dtype not in _FLOATS or x.requires_grad:
        return portable.pool(xp, x, kernel, stride, dilation)
    y, place = compiled_pool.pool(host, x.numpy(), kernel, stride, dilation)
    return torch.from_numpy(y), torch.from_numpy(place)


def unpool(
    xp: Namespace, g: torch.Tensor, place: torch.Tensor, spatial: Axes, kernel: Axes, stride: Axes, dilation: Axes
) -> torch.Tensor:
    if g.device.type != "cpu" or g.dtype not in _FLOATS or g.requires_grad:
        return strided.unpool_in_place(xp, g, place, spatial, kernel, stride, dilation)
    made: np.ndarray = compiled_pool.unpool(host, g.numpy(), place.numpy(), spatial, kernel, stride, dilation)
    return torch.from_numpy(made)
