"""Windows as a view with overlapping strides, copied once, and sums back in place: for libraries whose arrays have strides."""

from collections.abc import Callable
from math import prod
from typing import Any

from array_api_compat import device

from nnx.backends.portable.windows import Axes, extent, places, split
from nnx.typing import Array, Namespace

SHORT = 8
"""Neighbours in memory that a window takes at once; with fewer, a copy of whole rows by kernel positions is quicker."""


def windows_by(
    as_strided: Callable[..., Any], strides_of: Callable[[Array], Any] | None = None
) -> Callable[..., Array]:
    """The ``windows`` hook of a library, made from its ``as_strided``."""

    def windows(xp: Namespace, x: Array, kernel: Axes, stride: Axes, dilation: Axes) -> Array:
        batch, *spatial, channels = x.shape
        out = extent(tuple(spatial), kernel, stride, dilation)
        first, *steps, last = x.strides
        hops = (step * t for step, t in zip(steps, stride, strict=True))
        reaches = (step * d for step, d in zip(steps, dilation, strict=True))
        view = as_strided(x, (batch, *out, *kernel, channels), (first, *hops, *reaches, last))
        return xp.reshape(view, (batch, *out, prod(kernel) * channels), copy=True)

    return windows


def run_length(x: Array, kernel: Axes, dilation: Axes) -> int:
    """How many neighbours in memory a window takes at once."""
    return int(x.shape[-1]) * (kernel[-1] if dilation[-1] == 1 else 1)


def fold_in_place(xp: Namespace, cols: Array, spatial: Axes, kernel: Axes, stride: Axes, dilation: Axes) -> Array:
    """The ``fold`` hook by adding to strided slices of one new array."""
    channels = cols.shape[-1] // prod(kernel)
    out = xp.zeros((cols.shape[0], *spatial, channels), dtype=cols.dtype, device=device(cols))
    slots = places(tuple(cols.shape[1:-1]), kernel, stride, dilation)
    for part, place in zip(split(cols, kernel), slots, strict=True):
        out[place] += part
    return out


def unpool_in_place(
    xp: Namespace, g: Array, place: Array, spatial: Axes, kernel: Axes, stride: Axes, dilation: Axes
) -> Array:
    """The ``unpool`` hook by adding to strided slices of one new array."""
    out = xp.zeros((g.shape[0], *spatial, g.shape[-1]), dtype=g.dtype, device=device(g))
    zero = xp.zeros((), dtype=g.dtype, device=device(g))
    for k, slot in enumerate(places(tuple(g.shape[1:-1]), kernel, stride, dilation)):
        out[slot] += xp.where(place == k, g, zero)
    return out
