"""Pooling over windows of the spatial axes: the largest value or the mean, each one tape node.

Max: y = x at the largest place of the window, the *first* in row-major order where several are equal; ∂L/∂x has g there.
Mean: y = Σ x/k; ∂L/∂x adds g/k over every place of the window. Adaptive mean: window i of m over an axis of length n is
⌊i n/m⌋ … ⌈(i + 1) n/m⌉ − 1, so they cover the axis for any n ≥ m.
"""

from math import prod
from typing import Any

from array_api_compat import device

from nnx import backends
from nnx.autodiff import Namespace as Traced
from nnx.autodiff import Primitive, namespace
from nnx.autodiff.hooks import fold, unpool
from nnx.autodiff.tensor import value_of
from nnx.backends import portable
from nnx.backends.portable.lengths import lengths
from nnx.backends.portable.windows import extent, places
from nnx.errors import ConfigError, ShapeError
from nnx.ops.spatial import (
    LETTERS,
    Axes,
    Pads,
    check_fits,
    check_images,
    checked_padding,
    crop,
    pad,
    pads_of,
    per_axis,
)  # fmt: skip
from nnx.typing import Array, Namespace

Ranges = list[tuple[int, int]]


# max ------------------------------------------------------------------------------------------------------------------
def _max_forward(xp: Namespace, x: Array, *, kernel: Axes, stride: Axes, pads: Pads, dilation: Axes) -> Any:
    bare = value_of(x)
    library = xp._bottom if isinstance(xp, Traced) else xp
    y, place = backends.over(library).pool(
        library, portable.pad(library, bare, pads, -float("inf")), kernel, stride, dilation
    )
    if isinstance(xp, Traced):
        y = _max_pool(x, kernel=kernel, stride=stride, pads=pads, dilation=dilation)
    return y, (tuple(x.shape[1:-1]), pads, {"place": place, "kernel": kernel, "stride": stride, "dilation": dilation})


def _max_backward(xp: Namespace, needs: Any, saved: Any, g: Array) -> Any:
    spatial, pads, options = saved
    padded = tuple(n + before + after for n, (before, after) in zip(spatial, pads, strict=True))
    return (crop(unpool(g, spatial=padded, **options), spatial, pads),)


_max_pool = Primitive(_max_forward, _max_backward)


def max_pool(
    x: Array,
    kernel: int | Axes,
    *,
    stride: int | Axes | None = None,
    padding: int | Axes | str = 0,
    dilation: int | Axes = 1,
) -> Array:
    """The largest value of each window, channel by channel; of equal ones the first has the gradient.

    Shapes: x (N, *spatial, C), y (N, *windows, C); without a ``stride`` windows stand side by side, and what is left over
    at the end of an axis is dropped. Padding is −∞, at most half a kernel. NaN counts as the largest.
    Errors: ``ShapeError`` for another number of axes or a kernel that does not fit, ``ConfigError`` for other settings.

    >>> import numpy as np
    >>> max_pool(np.asarray([[[1.0], [3.0], [2.0], [0.0]]]), (2,))[0, :, 0]
    array([3., 2.])
    """
    n = len(kernel) if isinstance(kernel, tuple) else x.ndim - 2
    sizes, gaps = per_axis("kernel_size", kernel, n), per_axis("dilation", dilation, n)
    steps, pads = _placed(x, sizes, stride, padding, gaps)
    return _max_pool(x, kernel=sizes, stride=steps, pads=pads, dilation=gaps)


def _placed(x: Array, kernel: Axes, stride: Any, padding: Any, dilation: Axes) -> tuple[Axes, Pads]:
    """The stride, and what is padded at each end of the axes."""
    n = len(kernel)
    check_images(x, n)
    steps = kernel if stride is None else per_axis("stride", stride, n)
    margin = checked_padding(padding, n)
    check_half(margin, kernel)
    pads = pads_of(margin, tuple(x.shape[1:-1]), kernel, steps, dilation)
    check_fits(tuple(x.shape[1:-1]), pads, kernel, dilation)
    return steps, pads


def check_half(padding: Axes | str, kernel: Axes) -> None:
    """``ConfigError`` for a padding of more than half a kernel: windows would hold nothing but padding."""
    if not isinstance(padding, str) and any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ConfigError(
            expected="padding of at most half the kernel",
            got=f"padding={padding} with kernel_size={kernel}",
            fix="A window must not lie in the padding alone.",
        )


# mean -----------------------------------------------------------------------------------------------------------------
def _average_forward(
    xp: Namespace, x: Array, *, kernel: Axes, stride: Axes, pads: Pads, count_include_pad: bool
) -> tuple[Array, Any]:
    spatial, once = tuple(x.shape[1:-1]), (1,) * len(kernel)
    padded = pad(x, pads)
    out = extent(tuple(padded.shape[1:-1]), kernel, stride, once)
    parts = [padded[slot] for slot in places(out, kernel, stride, once)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    if count_include_pad or not any(map(any, pads)):
        share: Any = 1 / prod(kernel)
    else:
        share = _shares(xp, x, kernel, stride, pads, out)
    return total * share, (share, spatial, kernel, stride, pads)


def _average_backward(xp: Namespace, needs: Any, saved: Any, g: Array) -> Any:
    share, spatial, kernel, stride, pads = saved
    padded = tuple(n + before + after for n, (before, after) in zip(spatial, pads, strict=True))
    columns = xp.concat([g * share] * prod(kernel), axis=-1)
    back = fold(columns, spatial=padded, kernel=kernel, stride=stride, dilation=(1,) * len(kernel))
    return (crop(back, spatial, pads),)


_average_pool = Primitive(_average_forward, _average_backward)


def _shares(xp: Namespace, x: Array, kernel: Axes, stride: Axes, pads: Pads, out: Axes) -> Array:
    """1/(places of the window that are not padding), an array that broadcasts over (N, *out, C)."""
    shares: Any = 1.0
    for axis, (n, k, s, (before, _), m) in enumerate(zip(x.shape[1:-1], kernel, stride, pads, out), start=1):
        counts = [min(i * s - before + k, n) - max(i * s - before, 0) for i in range(m)]
        along = xp.asarray([1 / count for count in counts], dtype=x.dtype, device=device(x))
        shares = shares * xp.reshape(along, tuple(m if a == axis else 1 for a in range(x.ndim)))
    return shares


def average_pool(
    x: Array,
    kernel: int | Axes,
    *,
    stride: int | Axes | None = None,
    padding: int | Axes | str = 0,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window, channel by channel.

    Shapes as :func:`max_pool`. Padding is zeros; they count as values with ``count_include_pad`` and do not without.
    Errors: as :func:`max_pool`.

    >>> import numpy as np
    >>> average_pool(np.asarray([[[1.0], [3.0], [2.0], [0.0]]]), (2,))[0, :, 0]
    array([2., 1.])
    """
    n = len(kernel) if isinstance(kernel, tuple) else x.ndim - 2
    sizes = per_axis("kernel_size", kernel, n)
    steps, pads = _placed(x, sizes, stride, padding, (1,) * n)
    return _average_pool(x, kernel=sizes, stride=steps, pads=pads, count_include_pad=count_include_pad)


# adaptive mean --------------------------------------------------------------------------------------------------------
def _adaptive_forward(xp: Namespace, x: Array, *, output: Axes) -> tuple[Array, Any]:
    spatial = tuple(x.shape[1:-1])
    for axis, (n, m) in enumerate(zip(spatial, output, strict=True), start=1):
        ranges = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        x = _sums(xp, x, axis, ranges, [1 / (stop - start) for start, stop in ranges])
    return x, (spatial, output)


def _adaptive_backward(xp: Namespace, needs: Any, saved: Any, g: Array) -> Any:
    """Place j of an axis is met by the windows ⌊j m/n⌋ … ⌈(j + 1) m/n⌉ − 1: the same rule with n and m exchanged."""
    for axis, (n, m) in enumerate(zip(*saved, strict=True), start=1):
        lengths = [-(-(i + 1) * n // m) - i * n // m for i in range(m)]
        g = _sums(xp, g, axis, [(i, i + 1) for i in range(m)], [1 / length for length in lengths])
        g = _sums(xp, g, axis, [(j * m // n, -(-(j + 1) * m // n)) for j in range(n)], [1.0] * n)
    return (g,)


_adaptive_average_pool = Primitive(_adaptive_forward, _adaptive_backward)


def _sums(xp: Namespace, x: Array, axis: int, ranges: Ranges, factors: list[float]) -> Array:
    """Along one axis, factor · Σ x[start:stop] for each range; equal neighbours are summed in one step."""
    full = (slice(None),) * axis
    width, factor = ranges[0][1] - ranges[0][0], factors[0]
    if ranges == [(i * width, (i + 1) * width) for i in range(len(ranges))] and factors == [factor] * len(ranges):
        if width > 1:
            cut = xp.reshape(x, (*lengths(x.shape[:axis]), len(ranges), width, *x.shape[axis + 1 :]))
            x = xp.sum(cut, axis=axis + 1)
        return x if factor == 1 else x * factor
    return xp.concat(
        [
            xp.sum(x[(*full, slice(start, stop), ...)], axis=axis, keepdims=True) * factor
            for (start, stop), factor in zip(ranges, factors, strict=True)
        ],
        axis=axis,
    )


def adaptive_average_pool(x: Array, output: int | Axes) -> Array:
    """The means of as many windows as ``output`` says, whatever the input's length: x (N, *spatial, C) → (N, *output, C).

    Errors: ``ShapeError`` for another number of axes, or an axis shorter than what is asked of it.

    >>> import numpy as np
    >>> adaptive_average_pool(np.asarray([[[1.0], [3.0], [5.0]]]), (2,))[0, :, 0]
    array([2., 4.])
    """
    n = len(output) if isinstance(output, tuple) else x.ndim - 2
    sizes = per_axis("output_size", output, n)
    check_images(x, n)
    if any(have < want for have, want in zip(x.shape[1:-1], sizes, strict=True)):
        raise ShapeError(
            expected=f"spatial axes of at least {sizes}",
            got=f"x of shape {tuple(x.shape)}",
            fix="Ask for a smaller output_size, or pool less before this layer.",
        )
    return _adaptive_average_pool(x, output=sizes)


def global_average_pool(x: Array) -> Array:
    """The mean over all spatial axes: x (N, *spatial, C) → (N, C).

    >>> import numpy as np
    >>> global_average_pool(np.asarray([[[1.0], [3.0]]]))
    array([[2.]])
    """
    axes = tuple(range(1, x.ndim - 1))
    if not axes or not all(x.shape[axis] for axis in axes):
        raise ShapeError(
            expected=f"x of shape (N, L, C) or (N, {LETTERS[2]}, C), its spatial axes not empty",
            got=f"{tuple(x.shape)}",
            fix="Put the batch first and the channels last, and leave Flatten out before this layer.",
        )
    return namespace(x).mean(x, axis=axes)
