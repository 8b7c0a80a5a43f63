"""Convolutions and transposed convolutions of sequences (N, L, C) and images (N, H, W, C)."""

from math import prod
from typing import Any

from nnx import init, ops
from nnx.errors import NnxError
from nnx.layers.linear import positive
from nnx.layers.module import Module
from nnx.layers.parameter import Parameter
from nnx.ops.convolution import check_groups, check_output_padding
from nnx.ops.spatial import Axes, checked_padding, per_axis
from nnx.typing import Array


class Convolution(Module):
    """The common base: arguments checked when the layer is made. Use :class:`Conv1d` or :class:`Conv2d`."""

    axes = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Axes,
        *,
        stride: int | Axes = 1,
        padding: int | Axes | str = 0,
        dilation: int | Axes = 1,
        groups: int = 1,
        bias: bool = True,
        init: init.Initializer | None = None,
    ) -> None:
        self._settle_arguments(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self._declare(in_channels, out_channels, bias, _DEFAULT if init is None else init)

    def _settle_arguments(
        self, inputs: int, outputs: int, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int
    ) -> None:
        n, name = self.axes, type(self).__name__
        positive("in_channels", inputs, name)
        positive("out_channels", outputs, name)
        try:
            self.kernel_size = per_axis("kernel_size", kernel, n)
            self.stride, self.dilation = per_axis("stride", stride, n), per_axis("dilation", dilation, n)
            self.padding = checked_padding(padding, n)
            check_groups(inputs, outputs, groups)
        except NnxError as error:
            error.where = name
            raise
        self.groups = groups

    def _declare(self, inputs: int, outputs: int, bias: bool, rule: init.Initializer) -> None:
        self.weight = Parameter((*self.kernel_size, inputs // self.groups, outputs), rule)
        self.bias = Parameter((outputs,), _ZEROS) if bias else None

    def forward(self, x: Array) -> Array:
        """The convolution of x with the weight, plus the bias."""
        return ops.convolution(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class Conv1d(Convolution):
    """y[n, i] = b + Σ over k of x[n, i·stride + k·dilation − padding] W[k], of sequences.

    Shapes: x (N, L, in_channels), W (k, in_channels/groups, out_channels), b (out_channels,); y (N, L', out_channels) with
    L' = ⌊(L + 2·padding − dilation·(k − 1) − 1)/stride⌋ + 1. The rest as :class:`Conv2d`.

    >>> import numpy as np
    >>> Conv1d(3, 8, 5, padding="same")(np.zeros((2, 12, 3), dtype="float32")).shape
    (2, 12, 8)
    """

    axes = 1


class Conv2d(Convolution):
    """y[n, i, j] = b + Σ over k, l of x[n, i·stride + k·dilation − padding, j… + l…] W[k, l], channels last.

    Shapes: x (N, H, W, in_channels), W (kh, kw, in_channels/groups, out_channels), b (out_channels,);
    y (N, H', W', out_channels) with H' = ⌊(H + 2·padding − dilation·(kh − 1) − 1)/stride⌋ + 1. PyTorch's weight is
    ``xp.permute_dims(W, (3, 2, 0, 1))``.

    ``kernel_size``, ``stride`` and ``dilation`` are whole numbers, one for both axes or a pair. ``padding`` is that too
    (zeros at both ends), "valid" (none), or "same": ⌈H/stride⌉ rows come out. ``groups`` splits the channels into as many
    convolutions side by side. W is drawn by He's rule, whose fan_in is kh·kw·in_channels/groups; b is 0. Leave the bias out
    before a batch norm, which has its own.

    Errors: ``ConfigError`` for sizes that cannot be, or groups that do not divide the channels; ``ShapeError`` for an input
    with other channels or axes, or smaller than the kernel; ``DtypeError`` for another dtype than the weights'.

    >>> import numpy as np
    >>> Conv2d(1, 16, 3, padding=1, stride=2)(np.zeros((2, 28, 28, 1), dtype="float32")).shape
    (2, 14, 14, 16)
    """

    axes = 2


class TransposedConvolution(Convolution):
    """The common base of :class:`ConvTranspose1d` and :class:`ConvTranspose2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Axes,
        *,
        stride: int | Axes = 1,
        padding: int | Axes = 0,
        output_padding: int | Axes = 0,
        dilation: int | Axes = 1,
        groups: int = 1,
        bias: bool = True,
        init: init.Initializer | None = None,
    ) -> None:
        name = type(self).__name__
        try:
            margin = per_axis("padding", padding, self.axes, least=0)
            self.output_padding = per_axis("output_padding", output_padding, self.axes, least=0)
        except NnxError as error:
            error.where = name
            raise
        self._settle_arguments(in_channels, out_channels, kernel_size, stride, margin, dilation, groups)
        try:
            check_output_padding(self.output_padding, self.stride, self.dilation)
        except NnxError as error:
            error.where = name
            raise
        self._declare(in_channels, out_channels, bias, _spread_rule(prod(self.stride)) if init is None else init)

    def forward(self, x: Array) -> Array:
        """The transposed convolution of x with the weight, plus the bias."""
        return ops.transposed_convolution(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,  # type: ignore[arg-type]
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class ConvTranspose1d(TransposedConvolution):
    """The transpose of :class:`Conv1d`: x (N, L, in_channels) → y (N, L', out_channels). As :class:`ConvTranspose2d`.

    >>> import numpy as np
    >>> ConvTranspose1d(8, 3, 4, stride=2, padding=1)(np.zeros((2, 6, 8), dtype="float32")).shape
    (2, 12, 3)
    """

    axes = 1


class ConvTranspose2d(TransposedConvolution):
    """Every input value lays the kernel, times itself, onto the output: the derivative of :class:`Conv2d` as a map.

    Shapes: x (N, H, W, in_channels), weight (kh, kw, in_channels/groups, out_channels), bias (out_channels,);
    y (N, H', W', out_channels) with H' = (H − 1)·stride − 2·padding + dilation·(kh − 1) + output_padding + 1.
    PyTorch's weight is ``xp.permute_dims(W, (2, 3, 0, 1))`` for one group.

    ``padding`` cuts so much off both ends; ``output_padding``, less than stride or dilation, adds at the end. A kernel that
    the stride does not divide lays an uneven pattern: take 4 with 2. Since kh·kw·in/(groups·stride²) inputs meet in one
    output, He's rule is widened by the stride.

    Errors: as :class:`Conv2d`; ``ConfigError`` for an output padding that is too large.

    >>> import numpy as np
    >>> ConvTranspose2d(8, 3, 4, stride=2, padding=1)(np.zeros((2, 7, 7, 8), dtype="float32")).shape
    (2, 14, 14, 3)
    """

    axes = 2


def _spread_rule(steps: int) -> init.Initializer:
    return init.he_normal(gain=steps**0.5)


_DEFAULT = init.he_normal()
_ZEROS = init.zeros()
