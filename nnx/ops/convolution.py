"""Convolution and its transpose over any number of spatial axes, each one tape node: windows and one matrix product.

With X the windows of the padded input as rows (N·out, k·in) and W the weight (k·in, out), k the kernel's positions:
y = X W + b. Derivatives, g = ∂L/∂y: ∂L/∂W = Xᵀ g, ∂L/∂b = Σ g, ∂L/∂x = fold(g Wᵀ), where fold adds every window back
to where it was taken from. Both are made anew from x: nothing of the size of X is kept.

The weight is (*kernel, in/groups, out): in memory that *is* the matrix W, so there is one product and no transposition.
The transposed convolution maps as ∂L/∂x does, and has the weight (*kernel, in/groups, out) too, of its own in and out.
Each of ``groups`` takes its share of the input channels to its share of the output channels, in order.
"""

from math import prod
from typing import Any

from array_api_compat import device

from nnx.autodiff import Primitive
from nnx.autodiff.hooks import fold, windows
from nnx.errors import ConfigError, ShapeError
from nnx.ops.spatial import (
    Axes,
    Pads,
    check_dtype,
    check_fits,
    check_images,
    checked_padding,
    crop,
    pad,
    pads_of,
    per_axis,
)  # fmt: skip
from nnx.typing import Array, Namespace


# matrices -------------------------------------------------------------------------------------------------------------
def _rows(xp: Namespace, x: Array, positions: int, groups: int) -> Array:
    """(N, *out, positions·C) as a matrix (N·out, positions·C), or one for each group (groups, N·out, positions·C/groups)."""
    count, width = prod(x.shape[:-1]), x.shape[-1]
    if groups == 1:
        return xp.reshape(x, (count, width))
    parts = xp.reshape(x, (count, positions, groups, width // (positions * groups)))
    return xp.reshape(xp.permute_dims(parts, (2, 0, 1, 3)), (groups, count, width // groups))


def _unrows(xp: Namespace, rows: Array, shape: tuple[int, ...], positions: int, groups: int) -> Array:
    """The inverse of :func:`_rows`."""
    if groups == 1:
        return xp.reshape(rows, shape)
    count, width = prod(shape[:-1]), shape[-1]
    parts = xp.reshape(rows, (groups, count, positions, width // (positions * groups)))
    return xp.reshape(xp.permute_dims(parts, (1, 2, 0, 3)), shape)


def _matrix(xp: Namespace, weight: Array, groups: int) -> Array:
    """The weight (*kernel, in/groups, out) as (k·in/groups, out), or one for each group."""
    rows, out = prod(weight.shape[:-1]), weight.shape[-1]
    if groups == 1:
        return xp.reshape(weight, (rows, out))
    return xp.permute_dims(xp.reshape(weight, (rows, groups, out // groups)), (1, 0, 2))


def _unmatrix(xp: Namespace, matrix: Array, shape: tuple[int, ...], groups: int) -> Array:
    """The inverse of :func:`_matrix`."""
    return xp.reshape(matrix if groups == 1 else xp.permute_dims(matrix, (1, 0, 2)), shape)


# convolution ----------------------------------------------------------------------------------------------------------
def _forward(
    xp: Namespace, x: Array, weight: Array, bias: Array | None, *, stride: Axes, pads: Pads, dilation: Axes, groups: int
) -> tuple[Array, Any]:
    kernel = tuple(weight.shape[:-2])
    columns = windows(pad(x, pads), kernel=kernel, stride=stride, dilation=dilation)
    product = _rows(xp, columns, prod(kernel), groups) @ _matrix(xp, weight, groups)
    y = _unrows(xp, product, (*columns.shape[:-1], weight.shape[-1]), 1, groups)
    if bias is not None:
        y += bias
    return y, (x, weight, stride, pads, dilation, groups)


def _backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> Any:
    x, weight, stride, pads, dilation, groups = saved
    kernel, spatial = tuple(weight.shape[:-2]), tuple(x.shape[1:-1])
    rows = _rows(xp, g, 1, groups)
    gx = gw = None
    if needs[0] and _turnable(weight, stride, pads, dilation, groups):
        gx = _turned(xp, weight, pads, dilation, g)
    elif needs[0]:
        product = rows @ xp.matrix_transpose(_matrix(xp, weight, groups))
        columns = _unrows(xp, product, (*g.shape[:-1], prod(kernel) * x.shape[-1]), prod(kernel), groups)
        padded = tuple(n + before + after for n, (before, after) in zip(spatial, pads, strict=True))
        gx = crop(fold(columns, spatial=padded, kernel=kernel, stride=stride, dilation=dilation), spatial, pads)
    if needs[1]:
        columns = windows(pad(x, pads), kernel=kernel, stride=stride, dilation=dilation)
        matrix = xp.matrix_transpose(_rows(xp, columns, prod(kernel), groups)) @ rows
        gw = _unmatrix(xp, matrix, tuple(weight.shape), groups)
    return gx, gw, _sum(xp, g) if needs[2] else None


def _sum(xp: Namespace, g: Array) -> Array:
    """Σ g for each channel: as a product, which is quicker than a sum over rows."""
    rows = _rows(xp, g, 1, 1)
    return xp.ones((rows.shape[0],), dtype=g.dtype, device=device(g)) @ rows


def _turnable(weight: Array, stride: Axes, pads: Pads, dilation: Axes, groups: int) -> bool:
    """Whether ∂L/∂x is better taken as a convolution of g: the windows of g must not be many times those of x."""
    fits = all(d * (k - 1) >= max(ends) for d, k, ends in zip(dilation, weight.shape, pads))
    return fits and groups == 1 and set(stride) == {1} and weight.shape[-1] <= 4 * weight.shape[-2]


def _turned(xp: Namespace, weight: Array, pads: Pads, dilation: Axes, g: Array) -> Array:
    """∂L/∂x where the stride is 1: the convolution of g with the kernel turned round, in and out exchanged."""
    *kernel, inputs, outputs = weight.shape
    walls = tuple(
        (d * (k - 1) - before, d * (k - 1) - after)
        for d, k, (before, after) in zip(dilation, kernel, pads, strict=True)
    )
    columns = windows(pad(g, walls), kernel=tuple(kernel), stride=(1,) * len(kernel), dilation=dilation)
    turned = xp.flip(xp.reshape(weight, (prod(kernel), inputs, outputs)), axis=0)
    matrix = xp.reshape(xp.permute_dims(turned, (0, 2, 1)), (prod(kernel) * outputs, inputs))
    return xp.reshape(_rows(xp, columns, prod(kernel), 1) @ matrix, (*columns.shape[:-1], inputs))


_convolution = Primitive(_forward, _backward)


def convolution(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int | Axes = 1,
    padding: int | Axes | str = 0,
    dilation: int | Axes = 1,
    groups: int = 1,
) -> Array:
    """y[n, i, o] = b[o] + Σ over k, c of x[n, i·stride + k·dilation − padding, c] W[k, c, o], zeros outside x.

    Shapes: x (N, *spatial, in), weight (*kernel, in/groups, out), bias (out,) or ``None``; y (N, *windows, out).
    ``padding`` is a number of zeros at both ends, one for each axis, "valid" (0), or "same": ⌈spatial/stride⌉ windows.
    Errors: ``ShapeError`` for another number of axes or channels, or a kernel that does not fit; ``DtypeError`` if the
    dtypes differ; ``ConfigError`` for a stride, padding, dilation or number of groups that cannot be.

    >>> import numpy as np
    >>> convolution(np.asarray([[[1.0], [2.0], [4.0]]]), np.asarray([[[-1.0]], [[1.0]]]))[0, :, 0]
    array([1., 2.])
    """
    kernel = tuple(weight.shape[:-2])
    n = len(kernel)
    check_groups(weight.shape[-2] * groups, weight.shape[-1], groups)
    check_images(x, n, weight.shape[-2] * groups)
    check_dtype(x, weight)
    steps, gaps = per_axis("stride", stride, n), per_axis("dilation", dilation, n)
    spatial = tuple(x.shape[1:-1])
    pads = pads_of(checked_padding(padding, n), spatial, kernel, steps, gaps)
    check_fits(spatial, pads, kernel, gaps)
    return _convolution(x, weight, bias, stride=steps, pads=pads, dilation=gaps, groups=groups)


# transposed convolution -----------------------------------------------------------------------------------------------
def _transposed_forward(
    xp: Namespace,
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Axes,
    pads: Pads,
    dilation: Axes,
    groups: int,
    spatial: Axes,
) -> tuple[Array, Any]:
    kernel, out = tuple(weight.shape[:-2]), weight.shape[-1]
    product = _rows(xp, x, 1, groups) @ _spreading(xp, weight, groups)
    columns = _unrows(xp, product, (*x.shape[:-1], prod(kernel) * out), prod(kernel), groups)
    padded = tuple(n + before + after for n, (before, after) in zip(spatial, pads, strict=True))
    y = crop(fold(columns, spatial=padded, kernel=kernel, stride=stride, dilation=dilation), spatial, pads)
    return (y if bias is None else y + bias), (x, weight, stride, pads, dilation, groups)


def _spreading(xp: Namespace, weight: Array, groups: int) -> Array:
    """The weight (*kernel, in/groups, out) as (in/groups, k·out), or one for each group."""
    *kernel, share, out = weight.shape
    k = prod(kernel)
    if groups == 1:
        return xp.reshape(xp.permute_dims(xp.reshape(weight, (k, share, out)), (1, 0, 2)), (share, k * out))
    parts = xp.permute_dims(xp.reshape(weight, (k, share, groups, out // groups)), (2, 1, 0, 3))
    return xp.reshape(parts, (groups, share, k * (out // groups)))


def _unspreading(xp: Namespace, matrix: Array, shape: tuple[int, ...], groups: int) -> Array:
    """The inverse of :func:`_spreading`."""
    *kernel, share, out = shape
    parts = xp.reshape(matrix, (groups, share, prod(kernel), out // groups))
    return xp.reshape(xp.permute_dims(parts, (2, 1, 0, 3)), shape)


def _transposed_backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> Any:
    x, weight, stride, pads, dilation, groups = saved
    kernel = tuple(weight.shape[:-2])
    gx = gw = None
    if needs[0] or needs[1]:
        met = (slice((n - 1) * s + d * (k - 1) + 1) for n, s, d, k in zip(x.shape[1:-1], stride, dilation, kernel))
        columns = windows(pad(g, pads)[:, *met, :], kernel=kernel, stride=stride, dilation=dilation)
        rows = _rows(xp, columns, prod(kernel), groups)
        if needs[0]:
            product = rows @ xp.matrix_transpose(_spreading(xp, weight, groups))
            gx = _unrows(xp, product, tuple(x.shape), 1, groups)
        if needs[1]:
            matrix = xp.matrix_transpose(_rows(xp, x, 1, groups)) @ rows
            gw = _unspreading(xp, matrix, tuple(weight.shape), groups)
    return gx, gw, _sum(xp, g) if needs[2] else None


_transposed_convolution = Primitive(_transposed_forward, _transposed_backward)


def transposed_convolution(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int | Axes = 1,
    padding: int | Axes = 0,
    output_padding: int | Axes = 0,
    dilation: int | Axes = 1,
    groups: int = 1,
) -> Array:
    """y[n, i·stride + k·dilation − padding, o] = b[o] + Σ over c of x[n, i, c] W[k, c, o], summed over all such i, k.

    Shapes: x (N, *spatial, in), weight (*kernel, in/groups, out), bias (out,) or ``None``; y (N, *outputs, out) with
    outputs = (spatial − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1. ``output_padding`` adds places
    after the end, for the length that a convolution with a stride had rounded away.
    Errors: as :func:`convolution`; ``ConfigError`` for an output padding that neither stride nor dilation exceeds.

    >>> import numpy as np
    >>> transposed_convolution(np.asarray([[[1.0], [2.0]]]), np.asarray([[[1.0]], [[10.0]]]), stride=2)[0, :, 0]
    array([ 1., 10.,  2., 20.])
    """
    kernel = tuple(weight.shape[:-2])
    n = len(kernel)
    check_groups(weight.shape[-2] * groups, weight.shape[-1], groups)
    check_images(x, n, weight.shape[-2] * groups)
    check_dtype(x, weight)
    steps, gaps = per_axis("stride", stride, n), per_axis("dilation", dilation, n)
    margin, extra = per_axis("padding", padding, n, least=0), per_axis("output_padding", output_padding, n, least=0)
    check_output_padding(extra, steps, gaps)
    outputs = tuple(
        (length - 1) * s - 2 * p + d * (k - 1) + e + 1
        for length, s, p, d, k, e in zip(x.shape[1:-1], steps, margin, gaps, kernel, extra, strict=True)
    )
    if min(outputs) < 1:
        raise ShapeError(
            expected="an output of at least 1 along each spatial axis",
            got=f"{outputs} from x of shape {tuple(x.shape)}",
            fix="Use less padding, or a larger kernel or stride.",
        )
    pads = tuple((p, p) for p in margin)
    return _transposed_convolution(
        x, weight, bias, stride=steps, pads=pads, dilation=gaps, groups=groups, spatial=outputs
    )


# arguments ------------------------------------------------------------------------------------------------------------
def check_groups(inputs: int, outputs: int, groups: int) -> None:
    """``ConfigError`` unless ``groups`` divides both numbers of channels."""
    if not isinstance(groups, int) or isinstance(groups, bool) or groups < 1 or inputs % groups or outputs % groups:
        raise ConfigError(
            expected="groups to divide in_channels and out_channels",
            got=f"groups={groups!r} with {inputs} and {outputs} channels",
            fix="Choose a common divisor: 1 joins all channels, in_channels filters each one alone.",
        )


def check_output_padding(extra: Axes, stride: Axes, dilation: Axes) -> None:
    """``ConfigError`` unless each output padding is smaller than the stride or the dilation."""
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ConfigError(
            expected="output_padding smaller than stride or dilation",
            got=f"output_padding={extra} with stride={stride} and dilation={dilation}",
            fix="It only chooses among the lengths that one convolution maps to the same; use at most stride − 1.",
        )
