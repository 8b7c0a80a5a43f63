"""Creation from arrays, data types, and manipulation: linear maps, whose pullback is the transposed map."""

import math
from typing import Any

from array_api_compat import device, to_device

from nnx.autodiff import hooks
from nnx.typing import Array, Namespace


def rules(xp: Namespace) -> dict[str, Any]:
    """The rules of this chapter, written with ``xp``."""
    return {
        "astype": (lambda y, x, dtype, **_: _astype(xp, dtype),),
        "to_device": (lambda y, x, to, **_: _to_device(x),),
        "broadcast_to": (lambda y, x, shape: lambda g: g,),
        "expand_dims": (lambda y, x, axis=0: lambda g: xp.reshape(g, x.shape),),
        "flip": (lambda y, x, axis=None: lambda g: xp.flip(g, axis=axis),),
        "moveaxis": (lambda y, x, source, destination: lambda g: xp.moveaxis(g, destination, source),),
        "permute_dims": (lambda y, x, axes: lambda g: xp.permute_dims(g, _inverse(axes, y.ndim)),),
        "matrix_transpose": (lambda y, x: lambda g: xp.matrix_transpose(g),),
        "repeat": (lambda y, x, repeats, axis=None: _repeat(xp, x.shape, repeats, axis),),
        "reshape": (lambda y, x, shape, copy=None: _reshape(xp, x.shape),),
        "roll": (lambda y, x, shift, axis=None: lambda g: xp.roll(g, _negative(shift), axis=axis),),
        "squeeze": (lambda y, x, axis=None: _reshape(xp, x.shape),),
        "tril": (lambda y, x, k=0: lambda g: xp.tril(g, k=k),),
        "triu": (lambda y, x, k=0: lambda g: xp.triu(g, k=k),),
        "concat": (lambda y, arrays, kept, axis: _concat(xp, arrays, kept, axis),),
        "stack": (lambda y, arrays, kept, axis: _stack(xp, kept, axis),),
    }


def _astype(xp: Namespace, dtype: Any) -> Any:
    return (lambda g: g) if xp.isdtype(dtype, ("real floating", "complex floating")) else None


def _to_device(x: Array) -> Any:
    home = device(x)
    return lambda g: to_device(g, home)


def _inverse(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    axes = tuple(axis % ndim for axis in axes)
    return tuple(axes.index(i) for i in range(ndim))


def _reshape(xp: Namespace, shape: tuple[int, ...]) -> Any:
    return lambda g: xp.reshape(g, shape)


def _negative(shift: Any) -> Any:
    return tuple(-s for s in shift) if isinstance(shift, tuple) else -shift


def _repeat(xp: Namespace, shape: tuple[int, ...], repeats: Any, axis: int | None) -> Any:
    def pullback(g: Array) -> Array:
        flat = axis is None
        a = 0 if axis is None else axis % len(shape)
        n = 1
        for length in shape if flat else (shape[a],):
            n *= length
        source = xp.repeat(xp.arange(n, dtype=xp.int64, device=device(g)), repeats)
        summed = xp.moveaxis(hooks.scatter_add(source, xp.moveaxis(g, a, 0), n=n), 0, a)
        return xp.reshape(summed, shape)

    return pullback


def _concat(xp: Namespace, arrays: tuple[Array, ...], kept: list[int], axis: int | None) -> Any:
    shapes = [array.shape for array in arrays]
    where = 0 if axis is None else axis % len(shapes[0])
    lengths = [math.prod(array.shape) if axis is None else array.shape[where] for array in arrays]

    def pullback(g: Array) -> list[Array]:
        parts = []
        for i in kept:
            start = sum(lengths[:i])
            part = g[(slice(None),) * where + (slice(start, start + lengths[i]), ...)]
            parts.append(xp.reshape(part, shapes[i]) if axis is None else part)
        return parts

    return pullback


def _stack(xp: Namespace, kept: list[int], axis: int) -> Any:
    def pullback(g: Array) -> list[Array]:
        where = axis % g.ndim
        return [g[(slice(None),) * where + (i, ...)] for i in kept]

    return pullback
