"""Functions that are short expressions of others: when traced, that expression is what the tape sees.

Each takes the differentiable namespace first and then the arguments of the standard.
"""

from collections.abc import Callable
from typing import Any

from nnx.typing import Array, Namespace


def broadcast_arrays(xp: Namespace, *arrays: Array) -> tuple[Array, ...]:
    """Each array broadcast to the common shape."""
    shape = _common_shape(array.shape for array in arrays)
    return tuple(xp.broadcast_to(array, shape) for array in arrays)


def meshgrid(xp: Namespace, *arrays: Array, indexing: str = "xy") -> tuple[Array, ...]:
    """Coordinates of the grid spanned by 1-d arrays."""
    swap = indexing == "xy" and len(arrays) > 1
    n = len(arrays)
    grids = []
    for i, array in enumerate(arrays):
        grid = xp.reshape(array, tuple(-1 if j == i else 1 for j in range(n)))
        grids.append(xp.permute_dims(grid, (1, 0, *range(2, n))) if swap else grid)
    return broadcast_arrays(xp, *grids)


def unstack(xp: Namespace, x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The slices of ``x`` along an axis."""
    before = (slice(None),) * (axis % x.ndim)
    return tuple(x[(*before, i, ...)] for i in range(x.shape[axis]))


def tile(xp: Namespace, x: Array, repetitions: tuple[int, ...], /) -> Array:
    """``x`` repeated as a whole: each axis becomes (repetition, length), then the two are merged."""
    ndim = max(x.ndim, len(repetitions))
    shape = (1,) * (ndim - x.ndim) + tuple(x.shape)
    times = (1,) * (ndim - len(repetitions)) + tuple(repetitions)
    paired = tuple(n for length in shape for n in (1, length))
    repeated = tuple(n for pair in zip(times, shape, strict=True) for n in pair)
    full = tuple(r * n for r, n in zip(times, shape, strict=True))
    return xp.reshape(xp.broadcast_to(xp.reshape(x, paired), repeated), full)


def diff(
    xp: Namespace, x: Array, /, *, axis: int = -1, n: int = 1, prepend: Array = None, append: Array = None
) -> Array:
    """Differences of neighbours, ``n`` times over."""
    parts = [part for part in (prepend, x, append) if part is not None]
    x = xp.concat(parts, axis=axis) if len(parts) > 1 else xp.asarray(x)
    before = (slice(None),) * (axis % x.ndim)
    for _ in range(n):
        x = x[(*before, slice(1, None), ...)] - x[(*before, slice(None, -1), ...)]
    return x


def clip(xp: Namespace, x: Array, /, min: Any = None, max: Any = None) -> Array:
    """The elements moved into [min, max]; the bounds may be given by keyword."""
    return xp._clip(x, min, max)


def _common_shape(shapes: Any) -> tuple[int, ...]:
    result: tuple[int, ...] = ()
    for shape in shapes:
        longer, shorter = (result, tuple(shape)) if len(result) >= len(shape) else (tuple(shape), result)
        shorter = (1,) * (len(longer) - len(shorter)) + shorter
        result = tuple(b if a == 1 else a for a, b in zip(longer, shorter, strict=True))
    return result


COMPOSITE: dict[str, Callable[..., Any]] = {
    "broadcast_arrays": broadcast_arrays,
    "clip": clip,
    "diff": diff,
    "meshgrid": meshgrid,
    "tile": tile,
    "unstack": unstack,
}
