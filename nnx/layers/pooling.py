"""Pooling of sequences (N, L, C) and images (N, H, W, C)."""

from typing import Any

from nnx import ops
from nnx.errors import ConfigError, NnxError
from nnx.layers.module import Module
from nnx.ops.pooling import check_half
from nnx.ops.spatial import Axes, checked_padding, per_axis
from nnx.typing import Array


class Pooling(Module):
    """The common base: kernel, stride (the kernel unless given) and padding, checked when the layer is made."""

    axes = 0

    def _settle_arguments(self, kernel: Any, stride: Any, padding: Any) -> None:
        n = self.axes
        try:
            self.kernel_size = per_axis("kernel_size", kernel, n)
            self.stride = self.kernel_size if stride is None else per_axis("stride", stride, n)
            self.padding = checked_padding(padding, n)
            check_half(self.padding, self.kernel_size)
        except NnxError as error:
            error.where = type(self).__name__
            raise


class MaxPooling(Pooling):
    """The common base of :class:`MaxPool1d` and :class:`MaxPool2d`."""

    def __init__(
        self,
        kernel_size: int | Axes,
        *,
        stride: int | Axes | None = None,
        padding: int | Axes | str = 0,
        dilation: int | Axes = 1,
    ) -> None:
        self._settle_arguments(kernel_size, stride, padding)
        try:
            self.dilation = per_axis("dilation", dilation, self.axes)
        except NnxError as error:
            error.where = type(self).__name__
            raise

    def forward(self, x: Array) -> Array:
        """The largest value of each window."""
        return ops.max_pool(x, self.kernel_size, stride=self.stride, padding=self.padding, dilation=self.dilation)


class MaxPool1d(MaxPooling):
    """The largest value of each window: x (N, L, C) → y (N, L', C). As :class:`MaxPool2d`.

    >>> import numpy as np
    >>> MaxPool1d(2)(np.zeros((2, 9, 3))).shape
    (2, 4, 3)
    """

    axes = 1


class MaxPool2d(MaxPooling):
    """y[n, i, j, c] = the largest of x over the window at (i·stride, j·stride), channel by channel.

    Shapes: x (N, H, W, C), y (N, H', W', C) with H' = ⌊(H + 2·padding − dilation·(k − 1) − 1)/stride⌋ + 1. Without a
    ``stride`` windows stand side by side, and a rest at the end is dropped. Padding is −∞, at most half a kernel, or
    "same". The gradient goes to the largest value, and to the *first* in row-major order where several are equal. NaN
    is the largest.

    Errors: ``ConfigError`` for sizes that cannot be; ``ShapeError`` for other axes, or less than one window.

    >>> import numpy as np
    >>> MaxPool2d(2)(np.asarray([[[[1.0], [2.0]], [[4.0], [3.0]]]])).ravel()
    array([4.])
    """

    axes = 2


class AveragePooling(Pooling):
    """The common base of :class:`AvgPool1d` and :class:`AvgPool2d`."""

    def __init__(
        self,
        kernel_size: int | Axes,
        *,
        stride: int | Axes | None = None,
        padding: int | Axes | str = 0,
        count_include_pad: bool = True,
    ) -> None:
        self._settle_arguments(kernel_size, stride, padding)
        self.count_include_pad = bool(count_include_pad)

    def forward(self, x: Array) -> Array:
        """The mean of each window."""
        return ops.average_pool(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            count_include_pad=self.count_include_pad,
        )


class AvgPool1d(AveragePooling):
    """The mean of each window: x (N, L, C) → y (N, L', C). As :class:`AvgPool2d`.

    >>> import numpy as np
    >>> AvgPool1d(3, stride=1, padding="same")(np.zeros((2, 9, 3))).shape
    (2, 9, 3)
    """

    axes = 1


class AvgPool2d(AveragePooling):
    """The mean of each window, channel by channel; shapes and errors as :class:`MaxPool2d`.

    Padding is zeros. With ``count_include_pad`` (as PyTorch has it) they count as values, so the mean near the border is
    smaller; without it only the true values are averaged.

    >>> import numpy as np
    >>> AvgPool2d(2)(np.asarray([[[[1.0], [2.0]], [[4.0], [3.0]]]])).ravel()
    array([2.5])
    """

    axes = 2


class AdaptiveAveragePooling(Module):
    """The common base of :class:`AdaptiveAvgPool1d` and :class:`AdaptiveAvgPool2d`."""

    axes = 0

    def __init__(self, output_size: int | Axes) -> None:
        try:
            self.output_size = per_axis("output_size", output_size, self.axes)
        except ConfigError as error:
            error.where = type(self).__name__
            raise

    def forward(self, x: Array) -> Array:
        """The means of ``output_size`` windows."""
        return ops.adaptive_average_pool(x, self.output_size)


class AdaptiveAvgPool1d(AdaptiveAveragePooling):
    """The means of ``output_size`` windows that cover x: (N, L, C) → (N, output_size, C). As :class:`AdaptiveAvgPool2d`."""

    axes = 1


class AdaptiveAvgPool2d(AdaptiveAveragePooling):
    """The means of m × m' windows that cover the image, whatever its size: (N, H, W, C) → (N, m, m', C).

    Window i of m over an axis of length n is ⌊i n/m⌋ … ⌈(i + 1) n/m⌉ − 1.
    Errors: ``ConfigError`` for a size that cannot be, ``ShapeError`` for an image smaller than that.

    >>> import numpy as np
    >>> AdaptiveAvgPool2d((2, 3))(np.zeros((5, 7, 8, 4))).shape
    (5, 2, 3, 4)
    """

    axes = 2


class GlobalAvgPool(Module):
    """The mean over all spatial axes: (N, L, C) or (N, H, W, C) → (N, C), ready for a dense layer.

    Errors: ``ShapeError`` without a spatial axis, or an empty one. Source: Lin et al. (2014), arXiv:1312.4400.

    >>> import numpy as np
    >>> GlobalAvgPool()(np.zeros((5, 7, 8, 4))).shape
    (5, 4)
    """

    def forward(self, x: Array) -> Array:
        """The mean of each channel."""
        return ops.global_average_pool(x)
