"""Put: zeros with values at an index, which is the derivative of ``x[key]``."""

from collections.abc import Callable
from math import prod
from typing import Any

import array_api_compat

from nnx.backends.portable.lengths import count
from nnx.backends.portable.numbering import numbering, widened
from nnx.backends.portable.scatter_add import scatter_add
from nnx.typing import Array, Namespace

ScatterAdd = Callable[[Namespace, Array, Array, int], Array]


def put(
    xp: Namespace, shape: tuple[int, ...], key: Any, values: Array, *, scatter_add: ScatterAdd = scatter_add
) -> Array:
    """Zeros of ``shape`` with ``values`` added at ``key``; a place named twice gets the sum.

    ``put(xp, shape, key, values)[key] == values`` where no place is named twice, and zero elsewhere.

    key is what the library allows inside ``x[key]``; values has the shape of ``x[key]``. What the standard has goes its
    own way: ints, slices (any step), ``None`` and ``...``; one boolean mask; integer arrays beside ints and full
    slices. Mixtures of these, and lists, are looked up in the numbers of all places.

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> put(xp, (4,), np.asarray([1, 3, 1]), np.asarray([1.0, 2.0, 3.0]))
    array([0., 4., 0., 2.])
    """
    keys = key if isinstance(key, tuple) else (key,)
    arrays = arrays_in(keys)
    if arrays and all(_integers_or_whole(xp, part) for part in keys):
        return _put_at_integers(xp, shape, _expand(keys, len(shape)), values, scatter_add)
    if arrays and arrays[0] is keys[0] and not isinstance(keys[0], list) and all(part is ... for part in keys[1:]):
        return _put_at_mask(xp, shape, keys[0], values)
    if arrays:
        return _put_anywhere(xp, shape, key, values, scatter_add)
    out = xp.zeros(shape, dtype=values.dtype, device=array_api_compat.device(values))
    places = tuple(part for part in keys if part is not None)  # the standard assigns to no new axis
    out[places] = values if len(places) == len(keys) else xp.reshape(values, tuple(out[places].shape))
    return out  # every place was named once, and nobody else has this array


def arrays_in(keys: tuple[Any, ...]) -> list[Any]:
    """The parts of a key that are arrays."""
    return [part for part in keys if not (part is None or part is ... or isinstance(part, int | slice))]


def _integers_or_whole(xp: Namespace, part: Any) -> bool:
    """Whether it is an int, an array of integers, or leaves an axis as it is."""
    if part is None or isinstance(part, bool | list):
        return False
    if isinstance(part, slice):
        return part == slice(None)
    return part is ... or isinstance(part, int) or xp.isdtype(part.dtype, "integral")


def _put_anywhere(xp: Namespace, shape: tuple[int, ...], key: Any, values: Array, scatter_add: ScatterAdd) -> Array:
    """By the numbers of all places: the library itself says which of them such a key takes."""
    size = prod(shape)
    numbers = xp.arange(size, dtype=numbering(xp, size), device=array_api_compat.device(values))
    taken = xp.reshape(numbers, shape)[key]
    return xp.reshape(scatter_add(xp, xp.reshape(taken, (-1,)), xp.reshape(values, (-1,)), size), shape)


def _put_at_mask(xp: Namespace, shape: tuple[int, ...], mask: Array, values: Array) -> Array:
    """Each True takes the next row of ``values``: by counting, so that no shape depends on data."""
    zeros = xp.zeros(shape, dtype=values.dtype, device=array_api_compat.device(values))
    if values.shape[0] == 0:
        return zeros
    flat = xp.astype(xp.reshape(mask, (-1,)), xp.int64)
    rank = xp.cumulative_sum(flat) - flat  # of a False too, where it may be one too many
    rows = xp.take(values, xp.where(rank < values.shape[0], rank, xp.zeros_like(rank)), axis=0)
    beside = (1,) * (len(shape) - mask.ndim)
    return xp.where(xp.reshape(mask, (*mask.shape, *beside)), xp.reshape(rows, shape), zeros)


def _put_at_integers(
    xp: Namespace, shape: tuple[int, ...], keys: tuple[Any, ...], values: Array, scatter_add: ScatterAdd
) -> Array:
    """The indexed axes become one flat axis, and ``scatter_add`` does the rest."""
    taken = [axis for axis, part in enumerate(keys) if not isinstance(part, slice)]
    kept = [axis for axis, part in enumerate(keys) if isinstance(part, slice)]
    like = widened(xp, arrays_in(keys)[0], prod(shape))
    parts = xp.broadcast_arrays(*(_index(xp, keys[axis], like) for axis in taken))
    flat = xp.zeros_like(parts[0])
    for axis, part in zip(taken, parts, strict=True):
        flat = flat * shape[axis] + xp.where(part < 0, part + shape[axis], part)

    # x[key] puts the indexed axes where they stood if they were neighbours, else first: bring them to the front
    depth, adjacent = flat.ndim, taken[-1] - taken[0] == len(taken) - 1
    first = taken[0] if adjacent else 0
    front = [*range(first, first + depth), *range(first), *range(first + depth, depth + len(kept))]
    rows = xp.reshape(xp.permute_dims(values, tuple(front)), (count(flat.shape), *(shape[axis] for axis in kept)))
    summed = scatter_add(xp, xp.reshape(flat, (-1,)), rows, prod(shape[axis] for axis in taken))
    summed = xp.reshape(summed, tuple(shape[axis] for axis in (*taken, *kept)))
    back = sorted(range(len(shape)), key=[*taken, *kept].__getitem__)
    return xp.permute_dims(summed, tuple(back))


def _expand(keys: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """The key with ``...`` and missing axes written out as full slices; only full slices may stand beside arrays."""
    at = next((i for i, part in enumerate(keys) if part is ...), len(keys))
    before, after = keys[:at], keys[at + 1 :]
    full = (slice(None),) * (ndim - len(before) - len(after))
    return (*before, *full, *after)


def _index(xp: Namespace, part: Any, like: Array) -> Array:
    if isinstance(part, int):
        return xp.asarray(part, dtype=like.dtype, device=array_api_compat.device(like))
    return xp.astype(part, like.dtype)
