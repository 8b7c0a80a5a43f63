"""Windows as a view with overlapping strides, copied once: for the libraries whose arrays have strides (NumPy, CuPy)."""

from collections.abc import Callable
from math import prod
from typing import Any

from nnx.backends.portable.windows import Axes, extent, places, split
from nnx.typing import Array, Namespace


def windows_by(as_strided: Callable[..., Any]) -> Callable[..., Array]:
    """The ``windows`` hook of a library, made from its ``as_strided``."""

    def windows(xp: Namespace, x: Array, kernel: Axes, stride: Axes, dilation: Axes) -> Array:
        batch, *spatial, channels = x.shape
        out = extent(tuple(spatial), kernel, stride, dilation)
        first, *steps, last = x.strides
        hops = (step * t for step, t in zip(steps, stride, strict=True))
        reaches = (step * d for step, d in zip(steps, dilation, strict=True))
        view = as_strided(x, (batch, *out, *kernel, channels), (first, *hops, *reaches, last))
        return view.copy().reshape(batch, *out, prod(kernel) * channels)

    return windows


def fold_in_place(xp: Namespace, cols: Array, spatial: Axes, kernel: Axes, stride: Axes, dilation: Axes) -> Array:
    """The ``fold`` hook by adding to strided slices of one new array."""
    channels = cols.shape[-1] // prod(kernel)
    out = xp.zeros((cols.shape[0], *spatial, channels), dtype=cols.dtype, device=None)
    slots = places(tuple(cols.shape[1:-1]), kernel, stride, dilation)
    for part, place in zip(split(cols, kernel), slots, strict=True):
        out[place] += part
    return out
