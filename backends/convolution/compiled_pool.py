"""Pool and unpool of NumPy arrays, shared among threads: with numba each is one pass, compiled where it is worth it.

numba is imported at first use.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from math import prod
from typing import Any

import numpy as np

from nnx.backends import portable
from nnx.backends.convolution import sliced_pool
from nnx.backends.convolution.blocked import BLOCK, into
from nnx.backends.convolution.direct import grid
from nnx.backends.fast import compiled, crew
from nnx.backends.portable.windows import Axes, extent
from nnx.typing import Array, Namespace

SHARED_FROM = 60_000
"""Elements of the input from which the images are shared among threads."""

worth = compiled.Worth()


def pool(
    xp: Namespace, x: Array, kernel: Axes, stride: Axes, dilation: Axes, out: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """The ``pool`` hook of NumPy: the portable one's values and places."""
    if prod(kernel) > sliced_pool.MOST:
        made = portable.pool(xp, x, kernel, stride, dilation)
        return made if out is None else (into(out[0], made[0]), into(out[1], made[1]))
    shape, pixels, taps, size = _plan(x.shape[1:], kernel, stride, dilation)
    if out is None:
        out = (np.empty((len(x), *shape), x.dtype), np.empty((len(x), *shape), np.uint8))
    loops = _loops(x.dtype.char) if worth(x.size) else None

    def in_one_pass(x: Array, y: Array, place: Array) -> None:
        assert loops is not None
        loops[0](x.reshape(-1), pixels, taps, y.reshape(-1), place.reshape(-1), len(x), size, shape[-1])

    def by_slices(x: Array, y: Array, place: Array) -> None:
        for part in _blocks(x):
            sliced_pool.pool(xp, x[part], kernel, stride, dilation, y[part], place[part])

    _shared(by_slices if loops is None else in_one_pass, (np.ascontiguousarray(x), *out), x.size)
    return out


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
    """The ``unpool`` hook of NumPy."""
    apart = all(d * (k - 1) < s for k, s, d in zip(kernel, stride, dilation, strict=True))
    covered = apart and all(n * k == length for n, k, length in zip(g.shape[1:-1], kernel, spatial, strict=True))
    shape, pixels, taps, size = _plan((*spatial, g.shape[-1]), kernel, stride, dilation)
    if out is None:
        out = np.empty((len(g), *spatial, g.shape[-1]), g.dtype)
    if not covered:
        out[...] = 0
    known = place.dtype == np.uint8 and place.shape == g.shape == (len(g), *shape)
    loops = _loops(g.dtype.char) if known and worth(4 * g.size) else None

    def in_one_pass(g: Array, place: Array, out: Array) -> None:
        assert loops is not None
        loops[1](g.reshape(-1), place.reshape(-1), pixels, taps, out.reshape(-1), len(g), size, g.shape[-1], apart)

    def by_slices(g: Array, place: Array, out: Array) -> None:
        for part in _blocks(out):
            sliced_pool.unpool(g[part], place[part], kernel, stride, dilation, apart, out[part])

    arrays = (np.ascontiguousarray(g), np.ascontiguousarray(place), out)
    _shared(by_slices if loops is None else in_one_pass, arrays, 4 * g.size)
    return out


def _blocks(images: Array) -> list[slice]:
    """Some images at a time."""
    step = max(1, BLOCK * len(images) // max(1, images.nbytes))
    return [slice(at, at + step) for at in range(0, len(images), step)]


def _shared(some: Callable[..., None], arrays: tuple[Array, ...], size: int) -> None:
    """The loop over all images, or over a part of them in each thread."""
    if size < SHARED_FROM:
        some(*arrays)
    else:
        crew.share_rows(some, arrays)


@lru_cache(64)
def _plan(shape: tuple[int, ...], kernel: Axes, stride: Axes, dilation: Axes) -> tuple[Axes, Array, Array, int]:
    """For images of this shape: the shape of y, where windows begin, where a window's values stand from there, and the numbers of one."""
    *spatial, channels = shape
    steps = [prod(shape[axis + 1 :]) for axis in range(len(spatial))]
    count = extent(tuple(spatial), kernel, stride, dilation)
    pixels = grid(*((n, s * step) for n, s, step in zip(count, stride, steps, strict=True)))
    taps = grid(*((k, d * step) for k, d, step in zip(kernel, dilation, steps, strict=True)))
    return (*count, channels), pixels, taps, prod(shape)


@cache
def _loops(char: str) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """None where they cannot be compiled."""
    if char not in "fd" or not compiled.installed():
        return None
    try:
        from nnx.backends.convolution import pool_tiles

        return pool_tiles.loops(char)
    except Exception:  # whatever stops the compiler
        return None
