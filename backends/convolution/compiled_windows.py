"""The windows of images as one matrix, with zeros around them, in one pass compiled by numba. numba is imported at first use."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from nnx.backends.fast import compiled
from nnx.backends.portable.convolution import Pads
from nnx.backends.portable.windows import Axes
from nnx.typing import Array

worth = compiled.Worth()


def gatherer(
    x: Array, matrix_is_turned: bool, kernel: Axes, stride: Axes, pads: Pads, dilation: Axes, width: int
) -> Callable[[Array, int, int, int, int], None] | None:
    """``fill(windows, at, n, row, m)``: the windows of images ``at`` to ``at + n``, rows ``row`` to ``row + m`` of the
    output, each of them a row of ``windows`` (or a column of its transpose, if it is turned); ``width`` is how many
    stand in a row of the output. None where there is nothing to gain, or more than two axes.
    """
    if x.dtype.char not in "fd" or len(kernel) > 2 or not worth(x.size):
        return None
    images = np.ascontiguousarray(x if x.ndim == 4 else x[:, None])
    (kh, kw), (sh, sw), (dh, dw) = (pair if len(pair) == 2 else (1, *pair) for pair in (kernel, stride, dilation))
    left, top = pads[-1][0], pads[0][0] if len(pads) == 2 else 0
    loop = _loops()[matrix_is_turned]

    def fill(windows: Array, at: int, n: int, row: int, m: int) -> None:
        rows, first = (m, row) if x.ndim == 4 else (1, 0)
        places, start = (width, 0) if x.ndim == 4 else (m, row)
        loop(images[at : at + n], windows, first, rows, start, places, kh, kw, sh, sw, dh, dw, top, left)

    return fill


@cache
def _loops() -> tuple[Callable[..., Any], Callable[..., Any]]:
    def by_window(x, matrix, first, rows, start, places, kh, kw, sh, sw, dh, dw, top, left):  # type: ignore[no-untyped-def]
        images, height, width, channels = x.shape
        lines = x.reshape(images, height, width * channels)
        run = kw * channels
        at = 0
        for b in range(images):
            for i in range(first, first + rows):
                for j in range(start, start + places):
                    window = matrix[at]
                    at += 1
                    left_edge = j * sw - left
                    inside = dw == 1 and left_edge >= 0 and left_edge + kw <= width
                    for u in range(kh):
                        y = i * sh + u * dh - top
                        to = u * run
                        if inside and 0 <= y < height:  # a whole row of the window lies together
                            line, begin = lines[b, y], left_edge * channels
                            for c in range(run):
                                window[to + c] = line[begin + c]
                            continue
                        for v in range(kw):
                            z = left_edge + v * dw
                            if 0 <= y < height and 0 <= z < width:
                                for c in range(channels):
                                    window[to + v * channels + c] = x[b, y, z, c]
                            else:
                                for c in range(channels):
                                    window[to + v * channels + c] = 0

    def by_place(x, turned, first, rows, start, places, kh, kw, sh, sw, dh, dw, top, left):  # type: ignore[no-untyped-def]
        images, height, width, channels = x.shape
        for u in range(kh):
            for v in range(kw):
                for c in range(channels):
                    line = turned[(u * kw + v) * channels + c]
                    at = 0
                    for b in range(images):
                        for i in range(first, first + rows):
                            y = i * sh + u * dh - top
                            for j in range(start, start + places):
                                z = j * sw + v * dw - left
                                line[at] = x[b, y, z, c] if 0 <= y < height and 0 <= z < width else 0
                                at += 1

    return compiled.njit(by_window), compiled.njit(by_place)
