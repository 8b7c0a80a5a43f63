"""Functions that are short expressions of others: when traced, that expression is what the tape sees.

Each takes the differentiable namespace first and then the arguments of the standard.
"""

import math
from collections.abc import Callable
from typing import Any

from nnx.errors import ConfigError, TracingError
from nnx.typing import Array, Namespace

INVERSE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The scaling of an inverse Fourier transform in the other direction, by that of the transform."""


# creation and manipulation --------------------------------------------------------------------------------------------
def arange(xp: Namespace, *args: Any, **options: Any) -> Array:
    """How many elements there are would depend on a traced value."""
    raise TracingError(
        "arange with a traced array: its length would depend on the value",
        fix="Write start + step * xp.arange(n, ...), with a number n.",
    )


def full(xp: Namespace, shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """One traced number everywhere."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return xp.broadcast_to(xp.asarray(fill_value, dtype=dtype, device=device), shape)


def full_like(xp: Namespace, x: Array, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """One number everywhere, perhaps traced; of ``x`` only shape, type and device count."""
    if isinstance(fill_value, (bool, int, float, complex)):
        return xp.full_like(xp.wrap(xp.lower(x)), fill_value, dtype=dtype, device=device)
    return full(xp, x.shape, fill_value, dtype=dtype or x.dtype, device=device or x.device)


def linspace(
    xp: Namespace, start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Array:
    """Evenly spaced numbers between traced ones."""
    traced = start if _traced(start) else stop
    place = {"dtype": dtype or traced.dtype, "device": device or traced.device}
    weight = xp.linspace(0.0, 1.0, num, endpoint=endpoint, **place)
    return start * (1.0 - weight) + stop * weight


def _traced(x: Any) -> bool:
    return getattr(x, "_node", None) is not None


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


# sets -----------------------------------------------------------------------------------------------------------------
def _unique(name: str) -> Callable[..., Any]:
    """A set function whose values are taken out of ``x``: of equal elements the first gets the gradient."""

    def composition(xp: Namespace, x: Array, /) -> Any:
        constant = xp.wrap(xp.lower(x))
        found = getattr(xp, name)(constant)
        if xp.isdtype(x.dtype, "complex floating"):  # these have no order
            first = xp.unique_all(constant).indices
        else:
            flat = xp.reshape(constant, (x.size,))
            order = xp.argsort(flat)
            values = found if name == "unique_values" else found.values
            first = xp.take(order, xp.searchsorted(xp.take(flat, order, axis=0), values), axis=0)
        values = xp.take(xp.reshape(x, (x.size,)), first, axis=0)
        return values if name == "unique_values" else found._replace(values=values)

    return composition


# linear algebra -------------------------------------------------------------------------------------------------------
def tensordot(xp: Namespace, a: Array, b: Array, /, *, axes: Any = 2) -> Array:
    """Sums over pairs of axes, as one product of matrices."""
    n = axes if isinstance(axes, int) else len(axes[0])
    left, right = (range(a.ndim - n, a.ndim), range(n)) if isinstance(axes, int) else axes
    left, right = [i % a.ndim for i in left], [i % b.ndim for i in right]
    rows, columns = ([i for i in range(x.ndim) if i not in taken] for x, taken in ((a, left), (b, right)))
    shape = (*(a.shape[i] for i in rows), *(b.shape[i] for i in columns))
    length = math.prod(a.shape[i] for i in left)
    a = xp.reshape(xp.permute_dims(a, (*rows, *left)), (math.prod(a.shape[i] for i in rows), length))
    b = xp.reshape(xp.permute_dims(b, (*right, *columns)), (length, math.prod(b.shape[i] for i in columns)))
    return xp.reshape(xp.matmul(a, b), shape)


def diagonal(xp: Namespace, x: Array, /, *, offset: int = 0) -> Array:
    """Every (n + 1)-th element of the rows laid end to end."""
    m, n = x.shape[-2:]
    length = max(min(m + min(offset, 0), n - max(offset, 0)), 0)
    start = offset if offset >= 0 else -offset * n
    flat = xp.reshape(x, (*x.shape[:-2], m * n))
    return flat[..., start : start + (length - 1) * (n + 1) + 1 : n + 1] if length else flat[..., :0]


def trace(xp: Namespace, x: Array, /, *, offset: int = 0, dtype: Any = None) -> Array:
    """The sum of the diagonal."""
    return xp.sum(xp.linalg.diagonal(x, offset=offset), axis=-1, dtype=dtype)


def outer(xp: Namespace, a: Array, b: Array, /) -> Array:
    """aᵢ bⱼ."""
    return xp.expand_dims(a, axis=1) * xp.expand_dims(b, axis=0)


def matrix_power(xp: Namespace, x: Array, n: int, /) -> Array:
    """xⁿ by repeated squaring."""
    if n < 0:
        return matrix_power(xp, xp.linalg.inv(x), -n)
    if n == 0:
        return xp.broadcast_to(xp.eye(x.shape[-1], dtype=x.dtype, device=x.device), x.shape)
    half = matrix_power(xp, x, n // 2) if n > 1 else None
    even = x if half is None else xp.matmul(half, half)
    return xp.matmul(even, x) if n % 2 and n > 1 else even


def matrix_norm(xp: Namespace, x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """Frobenius, nuclear (sum of the singular values), ±1 (columns), ±2 (singular values), ±inf (rows)."""
    extreme = xp.min if ord in (-1, -2, -math.inf) else xp.max
    if ord == "fro":
        return xp.linalg.vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in (1, -1):
        y = extreme(xp.sum(xp.abs(x), axis=-2), axis=-1)
    elif ord in (math.inf, -math.inf):
        y = extreme(xp.sum(xp.abs(x), axis=-1), axis=-1)
    elif ord in (2, -2, "nuc"):
        y = (xp.sum if ord == "nuc" else extreme)(xp.linalg.svdvals(x), axis=-1)
    else:
        raise ConfigError(
            expected="ord to be one of 'fro', 'nuc', 1, -1, 2, -2, inf, -inf",
            got=f"{ord!r}",
            fix="Choose one of these; for the norm of all elements use vector_norm.",
        )
    return xp.expand_dims(xp.expand_dims(y, axis=-1), axis=-1) if keepdims else y


def eigvals(xp: Namespace, x: Array, /) -> Array:
    """The eigenvalues; the vectors are needed for the derivative."""
    return xp.linalg.eig(x)[0]


def eigvalsh(xp: Namespace, x: Array, /) -> Array:
    """The eigenvalues of a Hermitian matrix; the vectors are needed for the derivative."""
    return xp.linalg.eigh(x)[0]


def svdvals(xp: Namespace, x: Array, /) -> Array:
    """The singular values; the vectors are needed for the derivative."""
    return xp.linalg.svd(x, full_matrices=False)[1]


# Fourier transforms ---------------------------------------------------------------------------------------------------
def rfftn(xp: Namespace, x: Array, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Array:
    """A real transform along the last axis, complex ones along the others."""
    s, axes = _lengths(x, s, axes)
    y = xp.fft.rfft(x, n=s[-1], axis=axes[-1], norm=norm)
    return xp.fft.fftn(y, s=s[:-1], axes=axes[:-1], norm=norm) if len(axes) > 1 else y


def irfftn(xp: Namespace, x: Array, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Array:
    """The inverse of ``rfftn``: its steps undone in the opposite order."""
    last = None if s is None else s[-1]
    s, axes = _lengths(x, s, axes)
    y = xp.fft.ifftn(x, s=s[:-1], axes=axes[:-1], norm=norm) if len(axes) > 1 else x
    return xp.fft.irfft(y, n=last, axis=axes[-1], norm=norm)


def hfft(xp: Namespace, x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """The transform of a signal with Hermitian symmetry, of which half is given: a real spectrum."""
    return xp.fft.irfft(xp.conj(x), n=n, axis=axis, norm=INVERSE[norm])


def ihfft(xp: Namespace, x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """The inverse of ``hfft``."""
    return xp.conj(xp.fft.rfft(x, n=n, axis=axis, norm=INVERSE[norm]))


def _lengths(x: Array, s: Any, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    return tuple(x.shape[axis] for axis in axes) if s is None else tuple(s), tuple(axes)


# shared ---------------------------------------------------------------------------------------------------------------
def _common_shape(shapes: Any) -> tuple[int, ...]:
    result: tuple[int, ...] = ()
    for shape in shapes:
        longer, shorter = (result, tuple(shape)) if len(result) >= len(shape) else (tuple(shape), result)
        shorter = (1,) * (len(longer) - len(shorter)) + shorter
        result = tuple(b if a == 1 else a for a, b in zip(longer, shorter, strict=True))
    return result


COMPOSITE: dict[str, Callable[..., Any]] = {
    "arange": arange,
    "full": full,
    "full_like": full_like,
    "linspace": linspace,
    "broadcast_arrays": broadcast_arrays,
    "clip": clip,
    "diff": diff,
    "meshgrid": meshgrid,
    "tensordot": tensordot,
    "tile": tile,
    "unique_all": _unique("unique_all"),
    "unique_counts": _unique("unique_counts"),
    "unique_inverse": _unique("unique_inverse"),
    "unique_values": _unique("unique_values"),
    "unstack": unstack,
    "linalg.diagonal": diagonal,
    "linalg.eigvals": eigvals,
    "linalg.eigvalsh": eigvalsh,
    "linalg.matrix_norm": matrix_norm,
    "linalg.matrix_power": matrix_power,
    "linalg.outer": outer,
    "linalg.svdvals": svdvals,
    "linalg.trace": trace,
    "fft.hfft": hfft,
    "fft.ihfft": ihfft,
    "fft.irfftn": irfftn,
    "fft.rfftn": rfftn,
}
