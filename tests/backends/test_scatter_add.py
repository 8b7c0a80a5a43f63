import numpy as np
import pytest
from support.compare import assert_agrees

from nnx import backends


def case(K, n, trailing, dtype, seed=0):
    random = np.random.default_rng(seed)
    index = random.integers(-n, n, size=K) if n else np.zeros(0, int)
    values = random.normal(size=(K, *trailing)) * 100
    if dtype.startswith("complex"):
        values = values + 1j * random.normal(size=values.shape)
    values = values.astype(dtype)
    expected = np.zeros((n, *trailing), dtype="complex128" if dtype.startswith("complex") else "float64")
    scale = np.zeros((n, *trailing))
    for i, row in zip(index, values, strict=True):
        expected[i] += row
        scale[i] += np.abs(row)
    return index, values, expected, scale


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int32", "int64"])
@pytest.mark.parametrize(
    "K, n, trailing",
    [(7, 4, ()), (50, 3, (5,)), (33, 40, (2, 3)), (0, 3, (2,)), (0, 0, (2,)), (5, 1, ()), (4, 3, (0,))],
)
def test_sums_of_rows(be, tables, K, n, trailing, dtype):
    index, values, expected, scale = case(K, n, trailing, dtype)
    tier = {"exact": True} if dtype.startswith("int") else {"rtol": K * float(np.finfo(dtype).eps), "scale": scale}
    for hooks in tables:
        out = hooks.scatter_add(be.xp, be.asarray(index), be.asarray(values), n)
        assert_agrees(out, expected.astype(dtype) if "exact" in tier else expected, backend=be, dtype=dtype, **tier)


def test_a_small_sum_beside_a_large_one_keeps_its_bits(be, host):
    values = np.asarray([1e30, 1.0, -1e30, 1e-30, 1e30], dtype="float32")
    for hook in (be.scatter_add, host.scatter_add):
        out = be.to_numpy(hook(be.xp, be.asarray([0, 1, 0, 2, 3]), be.asarray(values), 4))
        assert out.tolist() == [0.0, 1.0, np.float32(1e-30), np.float32(1e30)]


def test_nan_and_infinity_stay_in_their_row(be, host):
    values = np.asarray([np.nan, 1.0, np.inf, 2.0])
    for hook in (be.scatter_add, host.scatter_add):
        out = be.to_numpy(hook(be.xp, be.asarray([0, 1, 2, 1]), be.asarray(values), 4))
        np.testing.assert_array_equal(out, [np.nan, 3.0, np.inf, 0.0])


def test_the_default_sums_in_a_tree(host):
    """A running sum of 2^16 float32 thirds errs by 1e-4; a tree of depth 16 by a few ulp."""
    be = backends.get("numpy")
    values = np.full(2**16, 1 / 3, dtype="float32")
    out = host.scatter_add(be.xp, np.zeros(2**16, int), values, 1)
    total = np.sum(values.astype("float64"), keepdims=True)
    assert_agrees(out, total, rtol=16 * 2.0**-24, backend=be, dtype="float32")


def test_needs_no_data_dependent_shape(host, strict_flags):
    be = backends.get("strict")
    out = host.scatter_add(be.xp, be.asarray([1, 1]), be.asarray([1.0, 2.0]), 3)
    assert be.to_numpy(out).tolist() == [0.0, 3.0, 0.0]


def test_the_defaults_inside_jit(host):
    """Hooks that JAX does not override, and those it does: none needs a value while it is traced."""
    jax = pytest.importorskip("jax", reason="jax is not installed")
    xp = backends.get("jax").xp

    def all_of_them(index, values):
        summed = host.scatter_add(xp, index, values, 3)
        cols = host.windows(xp, summed[None, :, None], (2,), (1,), (1,))
        return host.erf(xp, host.fold(xp, cols, (3,), (2,), (1,), (1,)))[0, :, 0]

    out = jax.jit(all_of_them)(xp.asarray([2, 0, 2]), xp.asarray([0.25, 0.5, 0.25]))
    assert_agrees(np.asarray(out), np.asarray([0.5204998778130465, 0.0, 0.5204998778130465]), ulp=2)
