"""Convolution as a map of its input and of its weight, and the adjoints of both: by windows and one matrix product.

With X the windows of the padded input as rows (N·out, k·in) and W the weight as (k·in, out), k the kernel's positions, the
three are y = X W, Xᵀ g, and the fold of g Wᵀ. They share the arguments

    x (N, *spatial, in), weight (*kernel, in/groups, out), g and y (N, *out, out),
    stride, dilation: a number for each spatial axis; pads: zeros before and after each; groups: convolutions side by side.
"""

from collections.abc import Callable
from math import prod

from nnx.backends.portable.lengths import beside, count, lengths
from nnx.backends.portable.windows import Axes, fold, windows
from nnx.typing import Array, Namespace

Pads = tuple[tuple[int, int], ...]
Windows = Callable[..., Array]


def convolve(
    xp: Namespace, x: Array, weight: Array, bias: Array | None, stride: Axes, pads: Pads, dilation: Axes, groups: int,
    *, windows: Windows = windows,
) -> Array:  # fmt: skip
    """``y[n, i, o] = bias[o] + sum over k, c of padded[n, i * stride + k * dilation, c] * weight[k, c, o]``

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> x, w = np.arange(4.0).reshape(1, 4, 1), np.ones((3, 1, 1))
    >>> convolve(xp, x, w, None, (1,), ((1, 1),), (1,), 1)[0, :, 0]
    array([1., 3., 6., 5.])
    """
    kernel = tuple(weight.shape[:-2])
    columns = windows(xp, pad(xp, x, pads), kernel, stride, dilation)
    product = _rows(xp, columns, prod(kernel), groups) @ _matrix(xp, weight, groups)
    y = _unrows(xp, product, (*columns.shape[:-1], weight.shape[-1]), 1, groups)
    return y if bias is None else y + bias


def convolve_to_weight(
    xp: Namespace, x: Array, g: Array, kernel: Axes, stride: Axes, pads: Pads, dilation: Axes, groups: int,
    *, windows: Windows = windows,
) -> Array:  # fmt: skip
    """The adjoint of :func:`convolve` in its weight: (*kernel, in/groups, out)."""
    columns = windows(xp, pad(xp, x, pads), kernel, stride, dilation)
    matrix = xp.matrix_transpose(_rows(xp, columns, prod(kernel), groups)) @ _rows(xp, g, 1, groups)
    ordered = matrix if groups == 1 else xp.permute_dims(matrix, (1, 0, 2))
    return xp.reshape(ordered, (*kernel, x.shape[-1] // groups, g.shape[-1]))


def convolve_to_input(
    xp: Namespace, g: Array, weight: Array, spatial: Axes, stride: Axes, pads: Pads, dilation: Axes, groups: int,
    *, fold: Windows = fold,
) -> Array:  # fmt: skip
    """The adjoint of :func:`convolve` in its input, (N, *spatial, in): what a transposed convolution is."""
    *kernel, share, _ = weight.shape
    product = _rows(xp, g, 1, groups) @ xp.matrix_transpose(_matrix(xp, weight, groups))
    columns = _unrows(xp, product, (*g.shape[:-1], prod(kernel) * share * groups), prod(kernel), groups)
    return fold(xp, columns, padded(spatial, pads), tuple(kernel), stride, dilation)[inside(spatial, pads)]


def inside(spatial: Axes, pads: Pads) -> tuple[slice, ...]:
    """The key of what was there before padding."""
    middle = (slice(before, before + n) for n, (before, _) in zip(spatial, pads, strict=True))
    return (slice(None), *middle, slice(None))


def padded(spatial: Axes, pads: Pads) -> Axes:
    """The lengths with what is put around them."""
    return tuple(n + before + after for n, (before, after) in zip(spatial, pads, strict=True))


def pad(xp: Namespace, x: Array, pads: Pads, value: float = 0.0) -> Array:
    """x with a value around its spatial axes."""
    for axis, ends in enumerate(pads, start=1):
        if any(ends):
            before, after = (beside(xp, x, axis, n, value) for n in ends)
            x = xp.concat([before, x, after], axis=axis)
    return x


def _rows(xp: Namespace, x: Array, positions: int, groups: int) -> Array:
    """(N, *out, positions·C) as a matrix (N·out, positions·C), or one for each group (groups, N·out, positions·C/groups)."""
    rows, width = count(x.shape[:-1]), x.shape[-1]
    if groups == 1:
        return xp.reshape(x, (rows, width))
    parts = xp.reshape(x, (rows, positions, groups, width // (positions * groups)))
    return xp.reshape(xp.permute_dims(parts, (2, 0, 1, 3)), (groups, rows, width // groups))


def _unrows(xp: Namespace, rows: Array, shape: tuple[int, ...], positions: int, groups: int) -> Array:
    """The inverse of :func:`_rows`."""
    if groups == 1:
        return xp.reshape(rows, lengths(shape))
    width = shape[-1]
    parts = xp.reshape(rows, (groups, count(shape[:-1]), positions, width // (positions * groups)))
    return xp.reshape(xp.permute_dims(parts, (1, 2, 0, 3)), lengths(shape))


def _matrix(xp: Namespace, weight: Array, groups: int) -> Array:
    """The weight (*kernel, in/groups, out) as (k·in/groups, out), or one for each group."""
    rows, out = prod(weight.shape[:-1]), weight.shape[-1]
    if groups == 1:
        return xp.reshape(weight, (rows, out))
    return xp.permute_dims(xp.reshape(weight, (rows, groups, out // groups)), (1, 0, 2))
