"""What convolution and pooling share: arguments for each spatial axis, padding, and the errors about shapes.

Images are (N, H, W, C), sequences (N, L, C): the axes between the first and the last are spatial. With padding p, kernel k,
stride s and dilation d an axis of length n gives ⌊(n + p_before + p_after − d (k − 1) − 1)/s⌋ + 1 windows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnx.autodiff.hooks import put
from nnx.backends.portable import inside
from nnx.errors import ConfigError, DtypeError, ShapeError
from nnx.typing import Array

Axes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

LETTERS = {1: "L", 2: "H, W", 3: "D, H, W"}


def per_axis(name: str, value: Any, count: int, least: int = 1) -> Axes:
    """One whole number for each spatial axis, from one for all or a sequence of them; ``ConfigError`` otherwise.

    >>> per_axis("stride", 2, 2), per_axis("stride", (2, 1), 2)
    ((2, 2), (2, 1))
    """
    values = tuple(value) if isinstance(value, Sequence) else (value,) * count
    whole = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v >= least for v in values)
    if len(values) != count or not whole:
        raise ConfigError(
            expected=f"{name} a whole number ≥ {least}" + (f", or {count} of them" if count > 1 else ""),
            got=repr(value),
            fix=f"Pass for example {name}={max(least, 1)}"
            + (f" or {name}={(max(least, 1),) * count}." if count > 1 else "."),
        )
    return tuple(map(int, values))


def checked_padding(padding: Any, count: int) -> Axes | str:
    """A padding as a number for each axis, or "same"; "valid" is 0. ``ConfigError`` for anything else."""
    if padding == "same":
        return "same"
    if padding == "valid":
        return (0,) * count
    if isinstance(padding, str):
        raise ConfigError(
            expected="padding 'same', 'valid', or whole numbers ≥ 0", got=repr(padding), fix="Choose one of those."
        )
    return per_axis("padding", padding, count, least=0)


def pads_of(padding: Axes | str, spatial: Axes, kernel: Axes, stride: Axes, dilation: Axes) -> Pads:
    """How many places go before and after each axis. "same" gives ⌈n/stride⌉ windows; the odd place goes after.

    >>> pads_of("same", (5,), (4,), (1,), (1,))
    ((1, 2),)
    """
    if isinstance(padding, str):
        wanted = (
            max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            for n, k, s, d in zip(spatial, kernel, stride, dilation, strict=True)
        )
        return tuple((total // 2, total - total // 2) for total in wanted)
    return tuple((p, p) for p in padding)


def check_fits(spatial: Axes, pads: Pads, kernel: Axes, dilation: Axes) -> Axes:
    """The padded lengths; ``ShapeError`` if a kernel is longer than its axis."""
    padded = tuple(n + before + after for n, (before, after) in zip(spatial, pads, strict=True))
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if any(n < r for n, r in zip(padded, reach, strict=True)):
        raise ShapeError(
            expected=f"spatial axes of at least {_plain(reach)}, the reach of the kernel",
            got=f"{_plain(spatial)}" + (f" ({_plain(padded)} with padding)" if padded != spatial else ""),
            fix="Use a smaller kernel or dilation, more padding, or fewer poolings before this layer.",
        )
    return padded


def check_images(x: Array, count: int, channels: int | None = None) -> None:
    """``ShapeError`` unless x has ``count`` spatial axes, and its channels last."""
    shape = tuple(x.shape)
    expected = f"x of shape (N, {LETTERS.get(count, f'{count} spatial axes')}, {'C' if channels is None else channels})"
    if len(shape) != count + 2:
        fix = "Put the batch first and the channels last"
        if len(shape) == count + 1:
            fix += f"; a single example is x[None, ...], and one channel is xp.expand_dims(x, axis={count + 1})"
        elif len(shape) == 2 and count == 2:
            fix += "; flat rows become images by nnx.Reshape((height, width, channels))"
        raise ShapeError(expected=expected, got=f"{shape}", fix=f"{fix}.")
    if channels is not None and shape[-1] != channels:
        fix = f"Pass {channels} channels in the last axis, or build a layer with in_channels={shape[-1]}."
        if shape[1] == channels:
            order = (0, *range(2, count + 2), 1)
            fix = f"These look like channels first: xp.permute_dims(x, {order}) puts them last."
        raise ShapeError(expected=f"{expected}, channels last", got=f"{shape}", fix=fix)


def check_dtype(x: Array, weight: Array) -> None:
    """``DtypeError`` unless x has the dtype of the weights."""
    if x.dtype != weight.dtype:
        raise DtypeError(
            expected=f"x of dtype {weight.dtype}, as the weights",
            got=f"{x.dtype}",
            fix="Cast x with xp.astype, or the model with model.to(backend, dtype=...).",
        )


def pad(x: Array, pads: Pads) -> Array:
    """x with zeros around its spatial axes."""
    if not any(map(any, pads)):
        return x
    batch, *spatial, channels = x.shape
    padded = (n + before + after for n, (before, after) in zip(spatial, pads, strict=True))
    return put(x, shape=(batch, *padded, channels), key=inside(tuple(spatial), pads))


def crop(x: Array, spatial: Axes, pads: Pads) -> Array:
    """The adjoint of :func:`pad`."""
    return x[inside(spatial, pads)] if any(map(any, pads)) else x


def _plain(values: Axes) -> str:
    return "×".join(map(str, values))
