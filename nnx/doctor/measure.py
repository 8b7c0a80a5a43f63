"""Figures from the device: computed there as 0-d arrays, brought to the host together."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnx import backends
from nnx.typing import Array


def pull(stats: Mapping[str, Array]) -> dict[str, float]:
    """0-d arrays of one device as Python floats, in one transfer.

    >>> pull({"a": np.asarray(1), "b": np.asarray(0.5)})
    {'a': 1.0, 'b': 0.5}
    """
    if not stats:
        return {}
    return dict(zip(stats, pull_rows([stack(list(stats.values()))])[0].tolist()))


def stack(values: Sequence[Array]) -> Array:
    """0-d arrays of any dtype as one vector of floating-point numbers."""
    xp = backends.of(values[0]).xp
    double = any("float64" in str(value.dtype) for value in values)
    dtype = xp.float64 if double else xp.float32
    return xp.stack([xp.astype(value, dtype) for value in values])


def pull_rows(rows: Sequence[Array]) -> np.ndarray[Any, Any]:
    """Vectors of one length as a float64 host matrix, in one transfer."""
    backend = backends.of(rows[0])
    return backend.to_numpy(backend.xp.stack(list(rows))).astype(np.float64)


def share(condition: Array) -> Array:
    """The share of true values, 0-d."""
    xp = backends.of(condition).xp
    return xp.mean(xp.astype(condition, xp.float32))


def units_first(x: Array) -> Array:
    """(N, …, units) as (samples, units)."""
    return backends.of(x).xp.reshape(x, (-1, x.shape[-1]))


def norm(x: Array) -> Array:
    """√Σ x², 0-d."""
    xp = backends.of(x).xp
    return xp.sqrt(xp.sum(x * x))


def similarity(a: Array, b: Array) -> Array:
    """The cosine between two activations (N, …, units), both without the mean over the rows of the first, 0-d."""
    xp = backends.of(a).xp
    centre = xp.mean(a, axis=0, keepdims=True)
    a, b = a - centre, b - centre
    scale = norm(a) * norm(b)
    return xp.sum(a * b) / xp.where(scale > 0, scale, xp.ones_like(scale))


def number(value: float) -> str:
    """A figure as people read it.

    >>> number(0.123456), number(1258.0), number(1.5e-9), number(float("nan"))
    ('0.123', '1258', '1.5e-09', 'nan')
    """
    if not math.isfinite(value):
        return str(value)
    if value == round(value) and abs(value) < 1e6:
        return str(round(value))
    return f"{value:.3g}"


def percent(value: float) -> str:
    """A share in percent.

    >>> percent(0.256)
    '26 %'
    """
    return f"{100 * value:.2g} %" if abs(value) < 0.0995 else f"{100 * value:.0f} %"
