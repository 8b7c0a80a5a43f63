"""The windows of images for one row of the kernel at a time, where nothing compiles them on NumPy.

Windows that differ in their row of the image alone are the same numbers: gathered along a row once, they serve every
row of the kernel, each with a product of its own that begins some rows further down. A 3×3 kernel so gathers a third,
for two more additions to the result.
"""

from collections.abc import Callable

import numpy as np

from nnx.backends import portable
from nnx.backends.convolution import strided
from nnx.backends.fast import compiled
from nnx.backends.portable.convolution import Pads
from nnx.backends.portable.windows import Axes
from nnx.typing import Array


def suit(x: Array, kernel: Axes, stride: Axes, dilation: Axes) -> bool:
    """Whether the shapes are such, and numba is not installed, whose loops gather as fast: the one and the other differ in last bits."""
    return (
        len(kernel) == 2
        and kernel[0] > 1 == stride[0] == dilation[1]
        and strided.run_length(x, kernel, dilation) >= strided.SHORT
        and not compiled.installed()
    )


def gatherer(
    x: Array, images: int, kernel: Axes, stride: Axes, pads: Pads, dilation: Axes, width: int
) -> Callable[[Array, int, int, int, int], list[Array]]:
    """``gather(room, at, n, row, m)``: of rows ``row`` to ``row + m`` of the output of images ``at`` to ``at + n`` the
    windows for each row of the kernel, (n, m·width, run): views of ``room``.
    """
    (top, bottom), (left, right) = pads
    (rows, columns), channels = x.shape[1:3], x.shape[3]
    padded: Array = np.zeros((images, top + rows + bottom, left + columns + right, channels), x.dtype)
    middle = padded[portable.inside((rows, columns), pads)]
    run, further = kernel[1] * channels, dilation[0] * (kernel[0] - 1)
    image, line, pixel, number = padded.strides

    def gather(room: Array, at: int, n: int, row: int, m: int) -> list[Array]:
        if row == 0:
            middle[:n] = x[at : at + n]
        whole = room[: n * (m + further) * width * run].reshape(n, m + further, width, run)
        strides = (image, line, stride[1] * pixel, number)
        np.copyto(whole, np.lib.stride_tricks.as_strided(padded[:, row:], whole.shape, strides))
        flat = whole.reshape(n, -1, run)
        return [flat[:, width * dilation[0] * u :][:, : m * width] for u in range(kernel[0])]

    return gather
