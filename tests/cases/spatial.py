"""Convolution and pooling by their definitions, in NumPy, one window at a time; and PyTorch's, with the channels moved."""

from itertools import product
from typing import Any

import numpy as np


def taps(kernel: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(product(*map(range, kernel)))


def padded(x: Any, padding: Any, value: float = 0.0) -> Any:
    return np.pad(x, ((0, 0), *((p, p) for p in padding), (0, 0)), constant_values=value)


def lengths(x: Any, kernel: Any, stride: Any, dilation: Any) -> list[int]:
    return [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[1:-1], kernel, stride, dilation)]


def convolve(x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Σ over windows, channels and groups as the formula has it."""
    kernel, share, out = w.shape[:-2], w.shape[-2], w.shape[-1] // groups
    x = padded(x, padding)
    y = np.zeros((len(x), *lengths(x, kernel, stride, dilation), w.shape[-1])) + (0 if b is None else b)
    for i in np.ndindex(*y.shape[1:-1]):
        for k in taps(kernel):
            at = tuple(a * s + t * d for a, s, t, d in zip(i, stride, k, dilation))
            for g in range(groups):
                inputs, outputs = slice(g * share, (g + 1) * share), slice(g * out, (g + 1) * out)
                y[(slice(None), *i, outputs)] += x[(slice(None), *at, inputs)] @ w[k][:, outputs]
    return y


def spread(x: Any, w: Any, b: Any, stride: Any, padding: Any, extra: Any, dilation: Any, groups: int) -> Any:
    """Every input value lays the kernel onto the output."""
    kernel, share, out = w.shape[:-2], w.shape[-2], w.shape[-1] // groups
    sizes = [(n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in zip(x.shape[1:-1], stride, dilation, kernel, extra)]
    y = np.zeros((len(x), *sizes, w.shape[-1]))
    for i in np.ndindex(*x.shape[1:-1]):
        for k in taps(kernel):
            at = tuple(a * s + t * d for a, s, t, d in zip(i, stride, k, dilation))
            for g in range(groups):
                inputs, outputs = slice(g * share, (g + 1) * share), slice(g * out, (g + 1) * out)
                y[(slice(None), *at, outputs)] += x[(slice(None), *i, inputs)] @ w[k][:, outputs]
    y = y[(slice(None), *(slice(p, n - p) for p, n in zip(padding, sizes)))]
    return y + (0 if b is None else b)


def pooled(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, reduce: Any, value: float = 0.0) -> Any:
    """``reduce(values (N, k, C), axis=1)`` of every window."""
    x = padded(x, padding, value)
    y = np.zeros((len(x), *lengths(x, kernel, stride, dilation), x.shape[-1]))
    for i in np.ndindex(*y.shape[1:-1]):
        places = [tuple(a * s + t * d for a, s, t, d in zip(i, stride, k, dilation)) for k in taps(kernel)]
        y[(slice(None), *i)] = reduce(np.stack([x[(slice(None), *at)] for at in places], axis=1), axis=1)
    return y


def adaptive(x: Any, output: Any) -> Any:
    """Means of windows ⌊i n/m⌋ … ⌈(i + 1) n/m⌉."""
    y = np.zeros((len(x), *output, x.shape[-1]))
    for i in np.ndindex(*output):
        window = (slice(a * n // m, -(-(a + 1) * n // m)) for a, n, m in zip(i, x.shape[1:-1], output))
        y[(slice(None), *i)] = x[(slice(None), *window)].mean(axis=tuple(range(1, x.ndim - 1)))
    return y


# PyTorch has channels second ------------------------------------------------------------------------------------------
def first(x: Any) -> Any:
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def last(x: Any) -> Any:
    return x.permute(0, *range(2, x.ndim), 1)


def torch_convolve(
    torch: Any, x: Any, w: Any, b: Any, *, transposed: bool = False, groups: int = 1, **options: Any
) -> Any:
    n = x.ndim - 2
    if not transposed:
        w = w.permute(n + 1, n, *range(n))
        return last(getattr(torch.nn.functional, f"conv{n}d")(first(x), w, b, groups=groups, **options))
    share, out = w.shape[-2], w.shape[-1] // groups
    parts = w.reshape(*w.shape[:-2], share, groups, out).permute(n + 1, n, n + 2, *range(n))
    w = parts.reshape(groups * share, out, *w.shape[:-2]).contiguous()
    return last(getattr(torch.nn.functional, f"conv_transpose{n}d")(first(x), w, b, groups=groups, **options))


def torch_pool(torch: Any, kind: str, x: Any, *sizes: Any, **options: Any) -> Any:
    return last(getattr(torch.nn.functional, f"{kind}{x.ndim - 2}d")(first(x), *sizes, **options))
