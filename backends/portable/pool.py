"""Pool and unpool: the largest value of every window with its place, and values put back at such places."""

from math import prod

from nnx.backends.portable.windows import Axes, extent, fold, places
from nnx.typing import Array, Namespace


def pool(xp: Namespace, x: Array, kernel: Axes, stride: Axes, dilation: Axes) -> tuple[Array, Array]:
    """The largest value of every window, channel by channel, and where in the window it stands.

    ``y[n, i, c] = max over k of x[n, i * stride + k * dilation, c]``, and ``place[n, i, c]`` is that k, counted in
    row-major order; of equal values the first. NaN is larger than any number.

    x (N, *spatial, C) -> y (N, *out, C) and place (N, *out, C), integers. No padding.

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> y, place = pool(xp, np.asarray([1.0, 3.0, 3.0, 0.0]).reshape(1, 4, 1), (3,), (1,), (1,))
    >>> y[0, :, 0], place[0, :, 0].tolist()
    (array([3., 3.]), [1, 0])
    """
    first, *others = places(extent(tuple(x.shape[1:-1]), kernel, stride, dilation), kernel, stride, dilation)
    y = x[first]
    place = xp.zeros_like(y, dtype=xp.int32)
    for k, slot in enumerate(others, start=1):
        part = x[slot]
        better = (part > y) | ((part != part) & (y == y))
        y = xp.where(better, part, y)
        place = xp.where(better, xp.full_like(place, k), place)
    return y, place


def unpool(xp: Namespace, g: Array, place: Array, spatial: Axes, kernel: Axes, stride: Axes, dilation: Axes) -> Array:
    """Every value of ``g`` added where :func:`pool` had found the largest one: (N, *out, C) -> (N, *spatial, C).

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> g, place = np.asarray([[[5.0], [7.0]]]), np.asarray([[[1], [0]]])
    >>> unpool(xp, g, place, (4,), (3,), (1,), (1,))[0, :, 0]
    array([ 0., 12.,  0.,  0.])
    """
    zero = xp.zeros_like(g)
    columns = xp.concat([xp.where(place == k, g, zero) for k in range(prod(kernel))], axis=-1)
    return fold(xp, columns, spatial, kernel, stride, dilation)
