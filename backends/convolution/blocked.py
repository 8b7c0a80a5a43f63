"""Convolution on NumPy, a few images at a time: the windows of one block stay in the cache, and no others ever exist.

A large batch is shared among threads (:mod:`nnx.backends.fast.crew`), each of which has images and a block of its own.
Memory that is asked of the system comes page by page, which can take as long as the work: results go to ``out`` where
it is given, and each thread keeps its block.
"""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np

from nnx.backends import portable
from nnx.backends.convolution import compiled_windows, direct, kernel_rows, strided
from nnx.backends.fast import crew
from nnx.backends.fast.products import SHARED_FROM
from nnx.backends.portable.convolution import Pads, padded
from nnx.backends.portable.windows import Axes, extent, places
from nnx.typing import Array, Namespace

BLOCK = 512 * 1024
"""Bytes of windows at a time: with what they are multiplied by and give, about half of a level-2 cache."""


def convolve(
    xp: Namespace,
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Axes,
    pads: Pads,
    dilation: Axes,
    groups: int,
    out: Array | None = None,
) -> Array:
    """The ``convolve`` hook of NumPy."""
    plan = direct.plan(x, weight.shape, stride, pads, dilation, groups, weight.dtype)
    if plan is not None and (bias is None or bias.shape == weight.shape[-1:]):
        return direct.convolve(plan, x, weight, bias, np.empty(plan.shape, x.dtype) if out is None else out)
    if groups > 1:
        return into(out, _convolve_groups(xp, x, weight, bias, stride, pads, dilation, groups))
    kernel, outputs = weight.shape[:-2], weight.shape[-1]
    matrix = weight.reshape(-1, outputs)
    shape = (len(x), *extent(padded(x.shape[1:-1], pads), kernel, stride, dilation), outputs)
    y = np.empty(shape, x.dtype) if out is None else out
    steps = matrix.reshape(kernel[0], -1, outputs) if kernel_rows.suit(x, kernel, stride, dilation) else matrix[None]
    row = None if bias is None else np.empty((*y.shape[2:-1], outputs), bias.dtype)
    if row is not None:
        row[...] = bias

    def some(x: Array, y: Array) -> None:
        for place, windows in _blocks(x, kernel, stride, pads, dilation):
            part = y[place].reshape(*windows[0].shape[:-1], outputs)
            np.matmul(windows[0], steps[0], out=part)
            for more, step in zip(windows[1:], steps[1:]):
                part += more @ step
            if row is not None:  # over whole rows of the image: NumPy's loop over the last axis is then long
                lines = part.reshape(-1, row.size)
                lines += row.reshape(-1)

    crew.share(some, [(x[part], y[part]) for part in _parts(len(x), y.size * len(matrix))])
    return y


def convolve_to_weight(
    xp: Namespace,
    x: Array,
    g: Array,
    kernel: Axes,
    stride: Axes,
    pads: Pads,
    dilation: Axes,
    groups: int,
    out: Array | None = None,
) -> Array:
    """The ``convolve_to_weight`` hook of NumPy."""
    shape = (*kernel, x.shape[-1] // groups, g.shape[-1])
    plan = direct.plan(x, shape, stride, pads, dilation, groups, g.dtype)
    if plan is not None and g.shape == plan.shape:
        return direct.to_weight(plan, x, g, np.empty(shape, x.dtype) if out is None else out)
    if groups > 1:
        return into(out, _to_weight_groups(xp, x, g, kernel, stride, pads, dilation, groups))
    inputs, outputs = x.shape[-1], g.shape[-1]
    g = np.ascontiguousarray(g)

    def some(x: Array, g: Array, total: Array) -> None:
        for place, windows in _blocks(x, kernel, stride, pads, dilation):
            back = g[place].reshape(*windows[0].shape[:-1], outputs)
            for step, part in zip(total.reshape(len(windows), -1, outputs), windows, strict=True):
                made = part.mT @ back
                step += made if made.ndim == 2 else made.sum(0)

    width = prod(kernel) * inputs
    parts = _parts(len(x), g.size * width)
    totals = np.zeros((len(parts), width, outputs), g.dtype)
    crew.share(some, [(x[part], g[part], total) for part, total in zip(parts, totals, strict=True)])
    return into(out, np.add.reduce(totals).reshape(*kernel, inputs, outputs))


def convolve_to_input(
    xp: Namespace,
    g: Array,
    weight: Array,
    spatial: Axes,
    stride: Axes,
    pads: Pads,
    dilation: Axes,
    groups: int,
    out: Array | None = None,
) -> Array:
    """The ``convolve_to_input`` hook of NumPy: for a stride of 1 the convolution of g with the kernel turned round."""
    *kernel, inputs, outputs = weight.shape
    walls = tuple(
        (d * (k - 1) - before, d * (k - 1) - after)
        for d, k, (before, after) in zip(dilation, kernel, pads, strict=True)
    )
    if set(stride) == {1} and min(min(wall) for wall in walls) >= 0:
        turned = _turned(weight, groups)
        plan = direct.plan(g, turned.shape, stride, walls, dilation, groups, weight.dtype)
        if plan is not None and plan.shape[1:-1] == tuple(spatial):
            return direct.convolve(plan, g, turned, None, np.empty(plan.shape, g.dtype) if out is None else out)
        if groups == 1 and outputs <= 4 * inputs:
            return convolve(xp, g, turned, None, stride, walls, dilation, 1, out)
    if groups > 1:
        return into(out, _to_input_groups(xp, g, weight, spatial, stride, pads, dilation, groups))
    total, matrix = np.zeros((len(g), *padded(spatial, pads), inputs), g.dtype), weight.reshape(-1, outputs).T
    slots = places(tuple(g.shape[1:-1]), tuple(kernel), stride, dilation)
    step = max(1, BLOCK // max(1, prod(g.shape[1:-1]) * matrix.shape[1] * g.itemsize))

    def some(g: Array, total: Array) -> None:
        for at in range(0, len(g), step):
            block = g[at : at + step]
            columns = (block.reshape(-1, outputs) @ matrix).reshape(*block.shape[:-1], len(slots), inputs)
            for k, slot in enumerate(slots):
                total[at : at + step][slot] += columns[..., k, :]

    crew.share(some, [(g[part], total[part]) for part in _parts(len(g), g.size * matrix.shape[1])])
    return into(out, total[portable.inside(spatial, pads)])


def _turned(weight: Array, groups: int) -> Array:
    """The weight of the adjoint: the kernel turned round, inputs and outputs of each group exchanged."""
    *kernel, inputs, outputs = weight.shape
    parts = weight.reshape(prod(kernel), inputs, groups, outputs // groups)[::-1]
    return parts.transpose(0, 3, 2, 1).reshape(*kernel, outputs // groups, groups * inputs)


def into(out: Array | None, made: Array) -> Array:
    """What was made, where it is wanted; else in order, as it lies there: sums go over an array as it lies, and round so."""
    if out is None:
        return np.ascontiguousarray(made)
    out[...] = made
    return out


def _parts(images: int, multiplications: int) -> list[slice]:
    """Runs of images, one for each thread; gathering windows takes three times as long as multiplying them."""
    return crew.cut(images) if multiplications >= SHARED_FROM // 4 else [slice(0, images)]


def _blocks(x: Array, kernel: Axes, stride: Axes, pads: Pads, dilation: Axes) -> Iterator[tuple[Any, list[Array]]]:
    """Places of the output, some images or some rows of one, each with its windows as a matrix that is used at once; or
    as one for each row of the kernel.
    """
    out = extent(padded(x.shape[1:-1], pads), kernel, stride, dilation)
    line, width = prod(out[1:]), prod(kernel) * x.shape[-1]
    images = BLOCK // max(1, prod(out) * width * x.itemsize)
    rows = out[0] if images else max(1, BLOCK // (line * width * x.itemsize))
    images = max(1, min(images, len(x)))
    short = strided.run_length(x, kernel, dilation) < strided.SHORT
    if kernel_rows.suit(x, kernel, stride, dilation):
        gather = kernel_rows.gatherer(x, images, kernel, stride, pads, dilation, line)
        size = images * (rows + dilation[0] * (kernel[0] - 1)) * line * (width // kernel[0])
    else:
        fill = compiled_windows.gatherer(x, short, kernel, stride, pads, dilation, out[-1])
        fill = fill or _filler(x, images, short, out, kernel, stride, pads, dilation)
        gather = partial(_filled, fill, line, width, short)
        size = images * rows * line * width
    room = _room(size, x.dtype)
    for at in range(0, len(x), images):
        n = min(images, len(x) - at)
        for row in range(0, out[0], rows):
            m = min(rows, out[0] - row)
            yield (slice(at, at + n), slice(row, row + m)), gather(room, at, n, row, m)


def _filled(
    fill: Callable[..., None], line: int, width: int, short: bool, room: Array, at: int, n: int, row: int, m: int
) -> list[Array]:
    """All windows as one matrix."""
    matrix = room[: n * m * line * width].reshape((width, -1) if short else (-1, width))
    fill(matrix, at, n, row, m)
    return [matrix.T if short else matrix]


def _room(size: int, dtype: Any) -> Array:
    """This thread's block; whoever has it is done with it before anybody else in the thread asks."""
    kept: dict[Any, Array] = _own.__dict__
    if dtype.char not in kept or kept[dtype.char].size < size:
        kept[dtype.char] = np.empty(size, dtype)
    return kept[dtype.char]


_own = threading.local()


def _filler(
    x: Array, images: int, short: bool, out: Axes, kernel: Axes, stride: Axes, pads: Pads, dilation: Axes
) -> Callable[[Array, int, int, int, int], None]:
    """``fill(matrix, at, n, row, m)``: the windows of some images and some rows of the output, one in each row of the
    matrix; in each column if there are few neighbours in memory to take at once.
    """
    channels = x.shape[-1]
    whole: Array = np.zeros((images, *padded(x.shape[1:-1], pads), channels), x.dtype)
    middle = whole[portable.inside(x.shape[1:-1], pads)]

    def fill(matrix: Array, at: int, n: int, row: int, m: int) -> None:
        if row == 0:
            middle[:n] = x[at : at + n]
        source, shape = whole[:n, row * stride[0] :], (n, m, *out[1:])
        if short:
            columns = matrix.reshape(-1, *shape)
            for k, slot in enumerate(places(shape[1:], kernel, stride, dilation)):
                for c in range(channels):
                    columns[k * channels + c] = source[(*slot[:-1], c)]
        else:
            np.copyto(matrix.reshape(*shape, *kernel, channels), _view(source, shape, kernel, stride, dilation))

    return fill


def _view(x: Array, shape: tuple[int, ...], kernel: Axes, stride: Axes, dilation: Axes) -> Array:
    """All windows, as a view with overlapping strides."""
    first, *steps, last = x.strides
    hops = (step * t for step, t in zip(steps, stride, strict=True))
    reaches = (step * d for step, d in zip(steps, dilation, strict=True))
    return np.lib.stride_tricks.as_strided(x, (*shape, *kernel, x.shape[-1]), (first, *hops, *reaches, last))


_windows = strided.windows_by(np.lib.stride_tricks.as_strided)
_convolve_groups = partial(portable.convolve, windows=_windows)
_to_weight_groups = partial(portable.convolve_to_weight, windows=_windows)
_to_input_groups = partial(portable.convolve_to_input, fold=strided.fold_in_place)
