"""Random draws as functions of a key: no generator, no state, the same numbers on every backend.

A key is made of what the draw is for: ``key(seed, "dropout", "layers.3", step)``. Its words are the Philox4x64-10
stream of that key, and are turned into numbers here, so they change neither with NumPy's version nor with the library
that computes. Every value comes from its own word (or half word): a longer draw begins with the shorter one.

    uniform            low + (high - low) * (word >> 11) / 2^53
    normal             the inverse of the normal distribution function at ((word >> 12) + 1/2) / 2^52
    bernoulli          half word < round(2^32 p), low half first: whole numbers, so the same mask everywhere
    permutation        the stable order of the words
"""

import math
import operator
from hashlib import blake2b
from math import prod
from typing import Any, NamedTuple

import numpy as np

from nnx import backends
from nnx.errors import ConfigError
from nnx.typing import Array

Shape = tuple[int, ...]


class Key(NamedTuple):
    """The two 64-bit words of a Philox key, low first."""

    low: int
    high: int


def key(seed: int, purpose: str, path: str = "", step: int = 0) -> Key:
    """The key of one draw: BLAKE2b of (seed, purpose, path, step), each part with its length before it.

    >>> key(0, "weights", "layers.0.weight") == key(0, "weights", "layers.0.weight", step=0)
    True
    >>> key(0, "weights", "layers.0") == key(0, "weights", "layers.1")
    False
    """
    try:
        parts = (str(operator.index(seed)), purpose, path, str(operator.index(step)))
    except TypeError:
        raise ConfigError(
            expected="an integer seed and step",
            got=f"seed={seed!r}, step={step!r}",
            where="nnx.random.key",
            fix="Write for example seed=0.",
        ) from None
    message = b"".join(b"%d:%b" % (len(part), part) for part in map(str.encode, parts))
    digest = int.from_bytes(blake2b(message, digest_size=16, person=b"nnx.random").digest(), "little")
    return Key(digest & (2**64 - 1), digest >> 64)


def uniform(key: Key, shape: Shape, low: float = 0.0, high: float = 1.0, dtype: Any = "float64") -> np.ndarray:
    """Uniform numbers in [low, high) on the host, drawn in float64 and then cast; a cast may round up to ``high``.

    >>> uniform(key(0, "example"), (2,)).dtype
    dtype('float64')
    """
    words = _words(key, shape) >> np.uint64(11)
    return _cast(low + (high - low) * (words * 2.0**-53), shape, dtype)


def normal(key: Key, shape: Shape, mean: float = 0.0, std: float = 1.0, dtype: Any = "float64") -> np.ndarray:
    """Normally distributed numbers on the host, drawn in float64 and then cast; none is farther out than 8.3 std.

    >>> bool(abs(normal(key(0, "example"), (10_000,)).mean()) < 0.03)
    True
    """
    return _cast(mean + std * _quantile(_open_uniform(key, shape)), shape, dtype)


def truncated_normal(
    key: Key, shape: Shape, low: float = -2.0, high: float = 2.0, dtype: Any = "float64"
) -> np.ndarray:
    """Standard normal numbers on the condition that they lie in [low, high]; drawn like :func:`normal`, from one word each.

    >>> bool(abs(truncated_normal(key(0, "example"), (1000,))).max() <= 2)
    True
    """
    if not low < high:
        raise ConfigError(
            expected="low < high",
            got=f"low={low}, high={high}",
            where="truncated_normal",
            fix="Write for example low=-2.0, high=2.0.",
        )
    # the tail that is the thinner is the better resolved: draw on the negative side, and mirror
    mirrored = low + high > 0
    below, above = (-high, -low) if mirrored else (low, high)
    start, end = (math.erfc(-bound / math.sqrt(2)) / 2 for bound in (below, above))
    x = np.clip(_quantile(start + (end - start) * _open_uniform(key, shape)), below, above)
    return _cast(-x if mirrored else x, shape, dtype)


def permutation(key: Key, n: int) -> np.ndarray:
    """The numbers 0 … n - 1 in random order, int64 on the host.

    >>> sorted(permutation(key(0, "example"), 4).tolist())
    [0, 1, 2, 3]
    """
    return np.argsort(_words(key, (n,)), kind="stable").astype(np.int64, copy=False)


def bernoulli(key: Key, p: float, shape: Shape, backend: Any = "numpy") -> Array:
    """A boolean array on the backend's device, True with probability ``p`` (to 2^-33): the same bits on every backend.

    >>> bernoulli(key(0, "example"), 0.5, (5,)).dtype
    dtype('bool')
    """
    if not 0 <= p <= 1:
        raise ConfigError(
            expected="a probability in [0, 1]", got=f"p={p}", where="bernoulli", fix="0.5 is a fair coin."
        )
    be, count, threshold = backends.get(backend), prod(shape), round(p * 2**32)
    words = be.random_words(key, (count + 1) // 2)
    if isinstance(words, np.ndarray):
        halves = words.astype("<u8", copy=False).view("<u4")
        return be.asarray((halves < threshold)[:count].reshape(shape))
    xp = be.xp  # drawn on the device
    halves = xp.reshape(xp.stack([words & 0xFFFFFFFF, words >> 32], axis=1), (-1,))
    return xp.reshape(halves[:count] < threshold, shape)


def _words(key: Key, shape: Shape) -> np.ndarray:
    sizes = isinstance(shape, (tuple, list)) and all(isinstance(n, (int, np.integer)) and n >= 0 for n in shape)
    if not sizes:
        raise ConfigError(
            expected="a shape of whole numbers ≥ 0", got=repr(shape), where="nnx.random", fix="Write for example (3,)."
        )
    words: np.ndarray = backends.get("numpy").random_words(key, prod(shape))
    return words


def _open_uniform(key: Key, shape: Shape) -> np.ndarray:
    """Uniform in (0, 1), symmetric about 1/2, every value exact."""
    u: np.ndarray = ((_words(key, shape) >> np.uint64(12)) + 0.5) * 2.0**-52
    return u


def _cast(values: np.ndarray, shape: Shape, dtype: Any) -> np.ndarray:
    return values.reshape(shape).astype(backends.dtype_name(dtype), copy=False)


def _table(above: tuple[float, ...], below: tuple[float, ...]) -> np.ndarray:
    """Coefficients of a ratio of polynomials: (power, numerator or denominator, 1)."""
    table: np.ndarray = np.array([above, below]).T[..., None]
    return table


# Wichura: Algorithm AS 241, The percentage points of the normal distribution (Applied Statistics 37, 1988), PPND16:
# numerator and denominator for |p - 1/2| <= 0.425, for tails down to exp(-25), and beyond.
_CENTRE = _table(
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_TAIL = _table(
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR_TAIL = _table(
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def _quantile(p: np.ndarray) -> np.ndarray:
    """The x at which the standard normal distribution function is p, for p in (0, 1); within 1e-15 relative."""
    p = p.reshape(-1)
    q = p - 0.5
    x: np.ndarray = q * _ratio(_CENTRE, 0.180625 - q * q)
    outer = np.flatnonzero(np.abs(q) > 0.425)
    if outer.size:
        r = np.sqrt(-np.log(np.minimum(p[outer], 1.0 - p[outer])))
        tail = _ratio(_TAIL, r - 1.6)
        if np.max(r) > 5.0:  # once in 7e10 draws
            tail = np.where(r <= 5.0, tail, _ratio(_FAR_TAIL, r - 5.0))
        x[outer] = np.copysign(tail, q[outer])
    return x


def _ratio(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Numerator over denominator, both by Horner's rule at once."""
    total: np.ndarray = coefficients[-1] * x
    for pair in coefficients[-2:0:-1]:
        total += pair
        total *= x
    total += coefficients[0]
    ratio: np.ndarray = np.divide(total[0], total[1])
    return ratio
