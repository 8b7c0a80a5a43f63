"""Convolution and its transpose over any number of spatial axes, each one tape node.

The convolution y = x∗W is linear in x and in W, and so are its adjoints: ∂L/∂x = input(g, W) and ∂L/∂W = weight(x, g).
The three are hooks of the backend (``convolve``, ``convolve_to_input``, ``convolve_to_weight``: by default windows and
one matrix product), and the derivative of each is made of the other two, so derivatives of every order follow. ∂L/∂b =
Σ g. The transposed convolution is the map input(x, W).

The weight is (*kernel, in/groups, out): in memory that *is* the matrix that the windows of x, as rows (N·out, k·in), are
multiplied by, so there is one product and no transposition. The transposed convolution has (*kernel, in/groups, out) of its
own in and out. Each of ``groups`` takes its share of the input channels to its share of the output channels, in order.
"""

from math import prod
from typing import Any, NamedTuple

from array_api_compat import device

from nnx import backends
from nnx.autodiff import Namespace as Traced
from nnx.autodiff import Primitive
from nnx.errors import ConfigError, ShapeError
from nnx.ops.spatial import (
    Axes,
    Pads,
    check_dtype,
    check_fits,
    check_images,
    checked_padding,
    pad,
    pads_of,
    per_axis,
)  # fmt: skip
from nnx.typing import Array, Namespace


class _Map(NamedTuple):
    """What the three maps share."""

    stride: Axes
    pads: Pads
    dilation: Axes
    groups: int


# convolution ----------------------------------------------------------------------------------------------------------
def _forward(xp: Namespace, x: Array, weight: Array, bias: Array | None, *, how: _Map) -> tuple[Array, Any]:
    if isinstance(xp, Traced):
        return _convolution(x, weight, bias, how=how), (x, weight, how)
    return backends.over(xp).convolve(xp, x, weight, bias, *how), (x, weight, how)


def _backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> Any:
    x, weight, how = saved
    return (
        _to_input(g, weight, spatial=tuple(x.shape[1:-1]), how=how) if needs[0] else None,
        _to_weight(x, g, kernel=tuple(weight.shape[:-2]), how=how) if needs[1] else None,
        _sum(xp, g) if needs[2] else None,
    )


def _sum(xp: Namespace, g: Array) -> Array:
    """Σ g for each channel: as a product, which is quicker than a sum over rows."""
    rows = xp.reshape(g, (prod(g.shape[:-1]), g.shape[-1]))
    return xp.ones((rows.shape[0],), dtype=g.dtype, device=device(g)) @ rows


def _weight_forward(xp: Namespace, x: Array, g: Array, *, kernel: Axes, how: _Map) -> tuple[Array, Any]:
    if isinstance(xp, Traced):
        return _to_weight(x, g, kernel=kernel, how=how), (x, g, how)
    return backends.over(xp).convolve_to_weight(xp, x, g, kernel, *how), (x, g, how)


def _weight_backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, h: Array) -> Any:
    x, g, how = saved
    return (
        _to_input(g, h, spatial=tuple(x.shape[1:-1]), how=how) if needs[0] else None,
        _convolution(x, h, None, how=how) if needs[1] else None,
    )


def _input_forward(xp: Namespace, g: Array, weight: Array, *, spatial: Axes, how: _Map) -> tuple[Array, Any]:
    if isinstance(xp, Traced):
        return _to_input(g, weight, spatial=spatial, how=how), (g, weight, how)
    return backends.over(xp).convolve_to_input(xp, g, weight, spatial, *how), (g, weight, how)


def _input_backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, h: Array) -> Any:
    g, weight, how = saved
    return (
        _convolution(h, weight, None, how=how) if needs[0] else None,
        _to_weight(h, g, kernel=tuple(weight.shape[:-2]), how=how) if needs[1] else None,
    )


_convolution = Primitive(_forward, _backward)
_to_weight = Primitive(_weight_forward, _weight_backward)
_to_input = Primitive(_input_forward, _input_backward)


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
    return _convolution(x, weight, bias, how=_Map(steps, pads, gaps, groups))


# transposed convolution -----------------------------------------------------------------------------------------------
def _transposed_forward(
    xp: Namespace, x: Array, weight: Array, bias: Array | None, *, spatial: Axes, empty: Axes, how: _Map
) -> tuple[Array, Any]:
    y = pad(_to_input(x, _exchanged(xp, weight, how.groups), spatial=spatial, how=how), tuple((0, n) for n in empty))
    return (y if bias is None else y + bias), (x, weight, spatial, how)


def _transposed_backward(xp: Namespace, needs: tuple[bool, ...], saved: Any, g: Array) -> Any:
    x, weight, spatial, how = saved
    gx = gw = None
    met = g[(slice(None), *map(slice, spatial), slice(None))]
    if needs[0]:
        gx = _convolution(met, _exchanged(xp, weight, how.groups), None, how=how)
    if needs[1]:
        gw = _to_weight(met, x, kernel=tuple(weight.shape[:-2]), how=how)
        gw = _exchanged(xp, gw, how.groups)
    return gx, gw, _sum(xp, g) if needs[2] else None


def _exchanged(xp: Namespace, weight: Array, groups: int) -> Array:
    """(*kernel, in/groups, out) ↔ (*kernel, out/groups, in): the weight of the convolution whose adjoint this is."""
    *kernel, share, out = weight.shape
    n = len(kernel)
    if groups == 1:
        return xp.permute_dims(weight, (*range(n), n + 1, n))
    parts = xp.permute_dims(xp.reshape(weight, (*kernel, share, groups, out // groups)), (*range(n), n + 2, n + 1, n))
    return xp.reshape(parts, (*kernel, out // groups, groups * share))


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
    # the zeros that output_padding adds are cut from the padding at the end first; what is left then meets no kernel
    pads = tuple((p, max(p - e, 0)) for p, e in zip(margin, extra, strict=True))
    empty = tuple(max(e - p, 0) for p, e in zip(margin, extra, strict=True))
    spatial = tuple(length - n for length, n in zip(outputs, empty, strict=True))
    if min(spatial) < 1:
        raise ShapeError(
            expected="an output of at least 1 along each spatial axis",
            got=f"{outputs} from x of shape {tuple(x.shape)}",
            fix="Use less padding, or a larger kernel or stride.",
        )
    how = _Map(steps, pads, gaps, groups)
    return _transposed_convolution(x, weight, bias, spatial=spatial, empty=empty, how=how)


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
