"""Convolution on NumPy without windows, where numba is installed: sums of products over the padded image itself.

Whether a convolution is made so depends on its shapes and dtype alone: sums in another order have other last bits, and
the same step must give the same ones each time. Few rows of an image at a time lie with zeros around them in a block of
the thread's own.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from math import prod
from typing import Any

import numpy as np

from nnx.backends.fast import compiled, crew
from nnx.backends.portable.convolution import Pads, padded
from nnx.backends.portable.windows import Axes, extent
from nnx.typing import Array

FROM = 100_000
"""Multiplications from which it is worth loading the compiler."""

SHARED_FROM = 2_000_000
"""Multiplications from which images, or rows of one, are shared among threads."""

WEIGHT = 640 * 1024
"""Bytes of a weight up to which: of more, every number of a window is used so often that gathering it costs little."""

LEAST = 2
"""Outputs of a group from which they make vectors."""

BAND = 64 * 1024
"""Bytes of an image that are filled in at a time."""


class Plan:
    """What a convolution of some shapes needs beside its arrays; ``shape``: of y."""

    def __init__(
        self,
        shape: tuple[int, ...],
        weight: tuple[int, ...],
        stride: Axes,
        pads: Pads,
        dilation: Axes,
        groups: int,
        dtype: np.dtype,
    ) -> None:
        images, *spatial, channels = shape
        self.shape = (images, *extent(padded(tuple(spatial), pads), weight[:-2], stride, dilation), weight[-1])
        more = (1,) * (4 - len(weight))  # a sequence is an image of one column
        height, across = (*spatial, *more)
        (kh, kw), (sh, sw), (dh, dw) = ((*pair, *more) for pair in (weight[:-2], stride, dilation))
        above, (left, right) = pads[0][0], pads[1] if len(pads) == 2 else (0, 0)
        self.rows, self.line = (*self.shape[1:-1], *more)
        width = (left + across + right) * channels
        reach = dh * (kh - 1)
        self.band = max(1, min(self.rows, (BAND // max(1, dtype.itemsize * width) - reach - 1) // sh + 1))
        self.room = ((self.band - 1) * sh + reach + 1) * width
        share, columns = weight[-2], weight[-1] // groups
        self.pixels = grid((self.band, sh * width), (self.line, sw * channels))
        self.taps = grid((kh, dh * width), (kw, dw * channels), (share, 1))
        self.images = (images, height, across * channels)
        self.settings = (self.band, self.rows, self.line, sh, above, left * channels, width, groups, share, columns)
        self.all_rows, self.nothing = slice(0, self.rows), np.zeros(weight[-1], dtype)
        self.work = prod(self.shape) * len(self.taps)
        self.loop: Callable[..., None]

    def run(self, images: Array, b: Array, base: Array, out: Array, to_weight: int, rows: slice) -> None:
        """The compiled loop on some images and some rows of their output, in a block of this thread's own."""
        room = np.empty(self.room, out.dtype)
        self.loop(
            images, room, self.pixels, self.taps, b, base, out, to_weight, rows.start, rows.stop, *self.settings
        )  # fmt: skip

    def parts(self) -> list[tuple[slice, slice]]:
        """(images, rows of y) for each thread."""
        images = slice(0, self.shape[0])
        if self.work < SHARED_FROM:
            return [(images, self.all_rows)]
        if images.stop > 1:
            return [(part, self.all_rows) for part in crew.cut(images.stop)]
        return [(images, part) for part in crew.cut(self.rows)]


def plan(
    x: Array, weight: tuple[int, ...], stride: Axes, pads: Pads, dilation: Axes, groups: int, dtype: np.dtype
) -> Plan | None:
    """The plan of a convolution of x, if it is to be made here."""
    if x.dtype is not dtype and x.dtype != dtype:
        return None
    return _plan(x.shape, weight, stride, pads, dilation, groups, dtype.char)


@lru_cache(128)
def _plan(
    shape: tuple[int, ...], weight: tuple[int, ...], stride: Axes, pads: Pads, dilation: Axes, groups: int, char: str
) -> Plan | None:
    if len(weight) > 4 or char not in "fd" or 0 in shape or 0 in weight or not compiled.installed():
        return None
    dtype = np.dtype(char)
    if prod(weight) * dtype.itemsize > WEIGHT or weight[-1] < LEAST * groups or shape[-1] != weight[-2] * groups:
        return None
    found = Plan(shape, weight, stride, pads, dilation, groups, dtype)
    if found.work < FROM or (loop := kernel(char)) is None:
        return None
    found.loop = loop
    return found


def convolve(plan: Plan, x: Array, weight: Array, bias: Array | None, out: Array) -> Array:
    """y into ``out``, which lies in order."""
    images, matrix = _ordered(x).reshape(plan.images), _ordered(weight).reshape(-1)
    base = plan.nothing if bias is None else _ordered(bias.astype(out.dtype, copy=False))

    def some(images: Array, part: Array, rows: slice) -> None:
        plan.run(images, matrix, base, part.reshape(-1), 0, rows)

    crew.share(some, [(images[part], out[part], rows) for part, rows in plan.parts()])
    return out


def to_weight(plan: Plan, x: Array, g: Array, out: Array) -> Array:
    """The weight's gradient into ``out``, which lies in order."""
    images, g, parts = _ordered(x).reshape(plan.images), _ordered(g), plan.parts()
    totals = np.zeros((len(parts), out.size), out.dtype)

    def some(images: Array, part: Array, rows: slice, total: Array) -> None:
        plan.run(images, part.reshape(-1), total, total, 1, rows)

    crew.share(some, [(images[p], g[p], rows, total) for (p, rows), total in zip(parts, totals, strict=True)])
    np.add.reduce(totals, 0, None, out.reshape(-1))
    return out


@cache
def kernel(char: str) -> Callable[..., None] | None:
    """The compiled loop; None where it cannot be compiled: windows are then gathered as ever."""
    try:
        from nnx.backends.convolution import tiles

        return tiles.kernel(np.dtype(char))  # type: ignore[no-any-return]
    except Exception:  # whatever stops the compiler
        return None


def grid(*axes: tuple[int, int]) -> Array:
    """The places in memory of a grid of (count, step) for each axis."""
    places: Any = np.zeros((), np.int64)
    for count, step in axes:
        places = places[..., None] + np.arange(count, dtype=np.int64) * step
    return np.ascontiguousarray(places).reshape(-1)


def _ordered(x: Array) -> Array:
    return x if x.flags.c_contiguous else np.ascontiguousarray(x)
