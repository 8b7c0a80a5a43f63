from itertools import product

import numpy as np
import pytest
from support.compare import assert_agrees

CASES = [
    ((7,), (3,), (1,), (1,)),
    ((8,), (3,), (2,), (1,)),
    ((9,), (2,), (3,), (2,)),
    ((4,), (2,), (3,), (1,)),  # windows with gaps that reach the last place in no way
    ((2,), (3,), (1,), (1,)),  # no window fits
    ((5, 6), (3, 3), (1, 1), (1, 1)),
    ((6, 7), (2, 3), (2, 1), (1, 2)),
    ((6, 6), (2, 2), (2, 2), (1, 1)),
    ((5, 4), (1, 1), (2, 3), (1, 1)),
    ((4, 3, 5), (2, 2, 2), (1, 1, 2), (1, 1, 2)),
]


def by_definition(x, kernel, stride, dilation):
    spatial = x.shape[1:-1]
    out = [max((s - d * (k - 1) - 1) // t + 1, 0) for s, k, t, d in zip(spatial, kernel, stride, dilation, strict=True)]
    cols = np.zeros((x.shape[0], *out, *kernel, x.shape[-1]), x.dtype)
    for i in product(*map(range, out)):
        for k in product(*map(range, kernel)):
            place = tuple(a * t + b * d for a, t, b, d in zip(i, stride, k, dilation, strict=True))
            cols[(slice(None), *i, *k)] = x[(slice(None), *place)]
    return (
        cols.reshape(x.shape[0], *out, -1)
        if cols.size
        else cols.reshape(x.shape[0], *out, int(np.prod(kernel)) * x.shape[-1])
    )


@pytest.mark.parametrize("batch, channels", [(2, 3), (1, 1), (0, 2)])
@pytest.mark.parametrize("spatial, kernel, stride, dilation", CASES)
def test_windows_and_fold(be, tables, spatial, kernel, stride, dilation, batch, channels):
    if be.name == "jax" and batch != 2:
        pytest.skip("JAX compiles every shape anew: two rows of each run, and the other batches elsewhere")
    random = np.random.default_rng(0)
    x = random.integers(-9, 9, size=(batch, *spatial, channels)).astype("float32")
    expected = by_definition(x, kernel, stride, dilation)
    back = random.integers(-9, 9, size=expected.shape).astype("float32")
    # <windows(x), c> = <x, fold(c)>: the fold of c has, at each place, the inner product of c with that place's windows
    fold = np.zeros_like(x)
    for place in product(*map(range, spatial)):
        for c in range(channels):
            unit = np.zeros((1, *spatial, channels), "float32")
            unit[(0, *place, c)] = 1
            fold[(slice(None), *place, c)] = np.sum(
                by_definition(unit, kernel, stride, dilation) * back, axis=tuple(range(1, back.ndim))
            )
    for hooks in tables:
        cols = hooks.windows(be.xp, be.asarray(x), kernel, stride, dilation)
        assert_agrees(cols, expected, exact=True, backend=be)
        folded = hooks.fold(be.xp, be.asarray(back), spatial, kernel, stride, dilation)
        assert_agrees(folded, fold, rtol=0.0, backend=be)


def test_windows_share_no_memory_with_the_input(be):
    if be.name != "numpy":
        pytest.skip("only NumPy arrays are views of one another here")
    x = np.zeros((1, 6, 2), "float32")
    assert not np.shares_memory(be.windows(be.xp, x, (3,), (1,), (1,)), x)


def test_windows_of_a_view(be):
    x = np.arange(48.0).reshape(1, 6, 8).transpose(0, 2, 1)[:, ::2]
    expected = by_definition(x, (2,), (1,), (1,))
    assert_agrees(be.windows(be.xp, be.asarray(x), (2,), (1,), (1,)), expected, exact=True, backend=be)
