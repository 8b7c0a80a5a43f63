"""Philox4x64-10: random words as a function of a key and a place, with no state to keep.

Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011). The stream is that of
``numpy.random.Philox(key=key, counter=0).random_raw``, which NumPy keeps the same across versions.
"""

import numpy as np

_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MASK = (1 << 64) - 1


def random_words(key: tuple[int, int], count: int) -> np.ndarray:
    """``count`` random 64-bit words of the stream of ``key``, two 64-bit integers, low first.

    Block b is the cipher of counter b + 1 and gives words 4b … 4b + 3, so a longer draw begins with the shorter one.
    Here in NumPy on the host, for the draws of every backend that has nothing faster.

    >>> [hex(int(word)) for word in random_words((0, 0), 2)]
    ['0x2f4ba6408e4d89b', '0x3dd62b0b9ca8c5b2']
    """
    counters = np.arange(1, -(-count // 4) + 1, dtype=np.uint64)
    return cipher(counters, key).reshape(-1)[:count]


def cipher(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Four words for each counter (B,) uint64 -> (B, 4); the higher three words of the 256-bit counter are zero."""
    x0, (k0, k1) = counter, key
    x1 = x2 = x3 = np.zeros_like(counter)
    for _ in range(_ROUNDS):
        high0, low0 = _product(x0, _MULTIPLIERS[0])
        high1, low1 = _product(x2, _MULTIPLIERS[1])
        x0, x1, x2, x3 = high1 ^ x1 ^ np.uint64(k0), low1, high0 ^ x3 ^ np.uint64(k1), low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return np.stack([x0, x1, x2, x3], axis=1)


def _product(x: np.ndarray, multiplier: int) -> tuple[np.ndarray, np.ndarray]:
    """High and low words of the 128-bit product, by four 32-bit products."""
    m0, m1 = np.uint64(multiplier & 0xFFFFFFFF), np.uint64(multiplier >> 32)
    x0, x1 = x & _LOW, x >> _HALF
    low = x0 * m0
    middle = x1 * m0 + (low >> _HALF)
    other = x0 * m1 + (middle & _LOW)
    return x1 * m1 + (middle >> _HALF) + (other >> _HALF), x * np.uint64(multiplier)
