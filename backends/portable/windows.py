"""Windows and fold: strided patches of an array as rows of a matrix, and the sum of such patches back."""

from itertools import product
from math import prod

from nnx.backends.portable.lengths import beside, lengths
from nnx.typing import Array, Namespace

Axes = tuple[int, ...]


def windows(xp: Namespace, x: Array, kernel: Axes, stride: Axes, dilation: Axes) -> Array:
    """Every window of ``x`` as one row: what turns a convolution into a matrix product.

    ``out[n, i, (k, c)] = x[n, i * stride + k * dilation, c]``   for i, k multi-indices over the spatial axes

    x (N, *spatial, C) -> (N, *out, prod(kernel) * C), where ``out = (spatial - dilation * (kernel - 1) - 1) // stride +
    1``. Columns run over kernel positions in row-major order, then channels. No padding.

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> windows(xp, np.arange(5.0).reshape(1, 5, 1), (2,), (2,), (1,))
    array([[[0., 1.],
            [2., 3.]]])
    """
    out = extent(tuple(x.shape[1:-1]), kernel, stride, dilation)
    return xp.concat([x[place] for place in places(out, kernel, stride, dilation)], axis=-1)


def fold(xp: Namespace, cols: Array, spatial: Axes, kernel: Axes, stride: Axes, dilation: Axes) -> Array:
    """The adjoint of :func:`windows`: every window is added back where it was taken from.

    ``out[n, s, c] = sum of cols[n, i, (k, c)] over i * stride + k * dilation == s``

    cols (N, *out, prod(kernel) * C) -> (N, *spatial, C).

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> fold(xp, np.ones((1, 3, 2)), (4,), (2,), (1,), (1,))[0, :, 0]
    array([1., 2., 2., 1.])
    """
    sums = None
    for part, place in zip(split(cols, kernel), places(tuple(cols.shape[1:-1]), kernel, stride, dilation), strict=True):
        for axis, steps in enumerate(place[1:-1], start=1):
            part = _spread(xp, part, axis, steps, spatial[axis - 1])
        sums = part if sums is None else sums + part
    return sums


def extent(spatial: Axes, kernel: Axes, stride: Axes, dilation: Axes) -> Axes:
    """How many windows fit along each spatial axis."""
    return tuple(
        max((s - d * (k - 1) - 1) // t + 1, 0) for s, k, t, d in zip(spatial, kernel, stride, dilation, strict=True)
    )


def places(out: Axes, kernel: Axes, stride: Axes, dilation: Axes) -> list[tuple[slice, ...]]:
    """For each kernel position, in row-major order, the slices of ``x`` that it meets over all windows."""
    full = slice(None)
    return [
        (
            full,
            *(
                slice(k * d, k * d + t * (o - 1) + 1 if o else k * d, t)
                for k, d, t, o in zip(at, dilation, stride, out)
            ),
            full,
        )
        for at in product(*map(range, kernel))
    ]


def split(cols: Array, kernel: Axes) -> list[Array]:
    """The columns of each kernel position: views (N, *out, C)."""
    positions = prod(kernel)
    channels = cols.shape[-1] // positions
    return [cols[..., i * channels : (i + 1) * channels] for i in range(positions)]


def _spread(xp: Namespace, part: Array, axis: int, steps: slice, size: int) -> Array:
    """Zeros of length ``size`` along ``axis`` with ``part`` at ``steps``, made without assignment."""
    shape = tuple(part.shape)
    if shape[axis] == 0:
        return beside(xp, part, axis, size, 0.0)
    if steps.step > 1:  # zeros between the entries: a new axis beside this one, of length step
        part = xp.expand_dims(part, axis=axis + 1)
        part = xp.concat([part, beside(xp, part, axis + 1, steps.step - 1, 0.0)], axis=axis + 1)
        part = xp.reshape(part, (*lengths(shape[:axis]), shape[axis] * steps.step, *shape[axis + 1 :]))
        part = part[(*(slice(None),) * axis, slice(0, steps.stop - steps.start), ...)]
    before, after = (beside(xp, part, axis, n, 0.0) for n in (steps.start, size - steps.stop))
    return xp.concat([before, part, after], axis=axis)
