"""Pool and unpool of NumPy arrays, each one pass compiled by numba. numba is imported at first use."""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from nnx.backends import compiled, crew, strided
from nnx.backends.blocked import into
from nnx.backends.direct import grid
from nnx.backends.portable.windows import Axes, extent
from nnx.typing import Array, Namespace

SHARED_FROM = 60_000
"""Elements of the input from which the images are shared among threads."""

worth = compiled.Worth()


def pool(
    xp: Namespace, x: Array, kernel: Axes, stride: Axes, dilation: Axes, out: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """The ``pool`` hook of NumPy where numba is installed: the portable one's values and places."""
    if x.dtype.char not in "fd" or prod(kernel) > 255 or not worth(x.size):
        y, place = strided.pool_in_place(xp, x, kernel, stride, dilation)
        return (y, place) if out is None else (into(out[0], y), into(out[1], place))
    shape = (len(x), *extent(tuple(x.shape[1:-1]), kernel, stride, dilation), x.shape[-1])
    y, place = out or (np.empty(shape, x.dtype), np.empty(shape, np.uint8))
    images, tables = np.ascontiguousarray(x), _tables(x.shape[1:], kernel, stride, dilation)
    size, channels, loop = prod(x.shape[1:]), x.shape[-1], _loops(x.dtype.char)[0]
    parts = crew.cut(len(x)) if x.size >= SHARED_FROM else [slice(0, len(x))]
    crew.share(
        loop,
        [(_flat(images[p]), *tables, _flat(y[p]), _flat(place[p]), p.stop - p.start, size, channels) for p in parts],
    )
    return y, place


def unpool(
    xp: Namespace,
    g: Array,
    place: Array,
    spatial: Axes,
    kernel: Axes,
    stride: Axes,
    dilation: Axes,
    out: Array | None = None,
) -> Array:
    """The ``unpool`` hook of NumPy where numba is installed."""
    if g.dtype.char not in "fd" or place.dtype != np.uint8 or not worth(4 * g.size):
        return into(out, strided.unpool_in_place(xp, g, place, spatial, kernel, stride, dilation))
    apart = all(d * (k - 1) < s for k, s, d in zip(kernel, stride, dilation, strict=True))
    covered = apart and all(n * k == length for n, k, length in zip(g.shape[1:-1], kernel, spatial, strict=True))
    if out is None:
        out = np.empty((len(g), *spatial, g.shape[-1]), g.dtype)
    if not covered:
        out[...] = 0
    shape = (*spatial, g.shape[-1])
    g, place, tables = np.ascontiguousarray(g), np.ascontiguousarray(place), _tables(shape, kernel, stride, dilation)
    size, loop = prod(shape), _loops(g.dtype.char)[1]
    parts = crew.cut(len(g)) if 4 * g.size >= SHARED_FROM else [slice(0, len(g))]
    crew.share(
        loop,
        [
            (_flat(g[p]), _flat(place[p]), *tables, _flat(out[p]), p.stop - p.start, size, shape[-1], apart)
            for p in parts
        ],
    )
    return out


@lru_cache(64)
def _tables(shape: tuple[int, ...], kernel: Axes, stride: Axes, dilation: Axes) -> tuple[Array, Array]:
    """Where in an image of this shape windows begin, and where a window's values stand from there."""
    *spatial, channels = shape
    steps = [prod(shape[axis + 1 :]) for axis in range(len(spatial))]
    count = extent(tuple(spatial), kernel, stride, dilation)
    return (
        grid(*((n, s * step) for n, s, step in zip(count, stride, steps, strict=True))),
        grid(*((k, d * step) for k, d, step in zip(kernel, dilation, steps, strict=True))),
    )


def _flat(x: Array) -> Array:
    return x.reshape(-1)


def _loops(char: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    from nnx.backends import pool_tiles

    return pool_tiles.loops(char)
