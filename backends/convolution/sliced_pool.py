"""Pool and unpool of NumPy arrays without a compiler: the windows' values place by place, as slices of the array.

A slice with a stride is copied first: its runs in memory are as short as there are channels, and every further call
would go over them again.
"""

from typing import Any

import numpy as np

from nnx.backends import portable
from nnx.backends.portable.windows import Axes, extent, places
from nnx.typing import Array, Namespace

MOST = 256
"""Values of a window whose place is kept in a byte."""


def pool(xp: Namespace, x: Array, kernel: Axes, stride: Axes, dilation: Axes, y: Array, place: Array) -> None:
    """The largest values into y and their places, bytes, into ``place``; where a NaN is found the portable pool looks for the first."""
    first, *others = places(extent(tuple(x.shape[1:-1]), kernel, stride, dilation), kernel, stride, dilation)
    np.copyto(y, x[first])
    place[...] = 0
    part, better = np.empty(y.shape, y.dtype), np.empty(y.shape, bool)
    here = better.view(np.uint8)
    for k, slot in enumerate(others, start=1):
        np.copyto(part, x[slot])
        np.greater(part, y, out=better)
        np.maximum(y, part, out=y)
        np.multiply(here, np.uint8(k), out=here)
        np.maximum(place, here, out=place)  # a later place is a larger number
    if np.isnan(y).any():
        y[...], place[...] = portable.pool(xp, x, kernel, stride, dilation)


def unpool(g: Array, place: Array, kernel: Axes, stride: Axes, dilation: Axes, apart: bool, out: Array) -> None:
    """Every value of g added to ``out`` where its window had the largest; ``apart``: no place is met twice.

    Values are chosen by the bits of a mask, which takes no branch.
    """
    whole: Any = f"i{g.itemsize}"
    here, mask = np.empty(g.shape, bool), np.empty(g.shape, whole)
    sign, chosen = here.view(np.int8), mask.view(g.dtype)
    for k, slot in enumerate(places(tuple(g.shape[1:-1]), kernel, stride, dilation)):
        np.equal(place, k, out=here)
        np.copyto(mask, np.negative(sign, out=sign))
        np.bitwise_and(mask, g.view(whole), out=mask)
        if apart:
            out[slot] = chosen
        else:
            out[slot] += chosen
