"""The flag of finite numbers: as the portable default has it, on every dtype."""

import numpy as np
import pytest


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_that_of_numpy(bad, dtype, tables, be):
    if be.refuses(dtype):
        dtype = "float32"
    arrays = [
        np.ones((3, 4), dtype),
        np.full((2,), np.finfo(dtype).max, dtype),
        np.zeros((0, 3), dtype),
        np.asarray(1.0, dtype),
    ]
    if bad is not None:
        arrays[0][1, 2] = bad
    there = [be.asarray(array) for array in arrays]
    for hooks in tables:
        assert bool(be.to_numpy(hooks.finite(be.xp, there))) is (bad is None)
