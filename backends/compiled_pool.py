"""Pool and unpool of NumPy arrays over two axes, each one pass compiled by numba. numba is imported at first use."""

from collections.abc import Callable
from functools import cache
from itertools import chain
from typing import Any

import numpy as np

from nnx.backends import compiled, crew, strided
from nnx.backends.blocked import into
from nnx.backends.portable.windows import Axes, extent
from nnx.typing import Array, Namespace

SHARED_FROM = 60_000
"""Elements of the input from which the images are shared among threads."""

worth = compiled.Worth()


def pool(
    xp: Namespace, x: Array, kernel: Axes, stride: Axes, dilation: Axes, out: tuple[Array, Array] | None = None
) -> tuple[Array, Array]:
    """The ``pool`` hook of NumPy where numba is installed: the portable one's values and places."""
    if x.dtype.char not in "fd" or len(kernel) > 2 or max(kernel) > 15 or not worth(x.size):
        y, place = strided.pool_in_place(xp, x, kernel, stride, dilation)
        return (y, place) if out is None else (into(out[0], y), into(out[1], place))
    shape = (len(x), *extent(tuple(x.shape[1:-1]), kernel, stride, dilation), x.shape[-1])
    y, place = out or (np.empty(shape, x.dtype), np.empty(shape, np.uint8))
    _shared(_loops()[0], (_plane(x), _plane(y), _plane(place)), x.size, *map(_pair, (kernel, stride, dilation)))
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
    sizes = map(_pair, (kernel, stride, dilation))
    _shared(_loops()[1], (_plane(g), _plane(place), _plane(out)), 4 * g.size, *sizes, (apart,))
    return out


def _shared(loop: Callable[..., Any], planes: tuple[Array, ...], size: int, *settings: tuple[Any, ...]) -> None:
    """The loop over all images, or over a part of them in each thread."""
    parts = crew.cut(len(planes[0])) if size >= SHARED_FROM else [slice(None)]
    crew.share(loop, [(*(plane[part] for plane in planes), *chain(*settings)) for part in parts])


def _plane(x: Array) -> Array:
    """A sequence is an image of one row."""
    return np.ascontiguousarray(x if x.ndim == 4 else x[:, None])


def _pair(sizes: Axes) -> Axes:
    return sizes if len(sizes) == 2 else (1, *sizes)


@cache
def _loops() -> tuple[Callable[..., Any], Callable[..., Any]]:
    def pool(x, y, place, kh, kw, sh, sw, dh, dw):  # type: ignore[no-untyped-def]
        n, rows, columns, channels = y.shape
        for b in range(n):
            for i in range(rows):
                for j in range(columns):
                    best, at, first = y[b, i, j], place[b, i, j], x[b, i * sh, j * sw]
                    for c in range(channels):
                        best[c], at[c] = first[c], 0
                    for k in range(1, kh * kw):
                        part = x[b, i * sh + k // kw * dh, j * sw + k % kw * dw]
                        for c in range(channels):
                            better = (part[c] > best[c]) | ((part[c] != part[c]) & (best[c] == best[c]))
                            best[c], at[c] = part[c] if better else best[c], k if better else at[c]

    def unpool(g, place, out, kh, kw, sh, sw, dh, dw, apart):  # type: ignore[no-untyped-def]
        n, rows, columns, channels = g.shape
        zero = out.dtype.type(0)
        for b in range(n):
            for i in range(rows):
                for j in range(columns):
                    value, at = g[b, i, j], place[b, i, j]
                    for k in range(kh * kw):
                        part = out[b, i * sh + k // kw * dh, j * sw + k % kw * dw]
                        if apart:  # every place is met once at most
                            for c in range(channels):
                                part[c] = value[c] if at[c] == k else zero
                        else:
                            for c in range(channels):
                                part[c] += value[c] if at[c] == k else zero

    return compiled.njit(pool), compiled.njit(unpool)
