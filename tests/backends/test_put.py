import numpy as np
import pytest
from support.compare import assert_agrees

from nnx import backends

SHAPE = (4, 5, 3)
A, B = np.asarray([1, 3, 1, -1]), np.asarray([0, 2, 0, -5])
KEYS = {
    "int": (2, ...),
    "negative int": (-1, ...),
    "all ints": (1, 2, 0),
    "slice": (slice(1, 3), ...),
    "step": (slice(None), slice(None, None, 2), ...),
    "backwards": (slice(None, None, -1), ...),
    "backwards from the middle": (slice(2, None, -2), slice(None), slice(None, 0, -1)),
    "backwards after ...": (..., slice(None, None, -1)),
    "backwards beside an int and None": (2, None, slice(3, 0, -1), ...),
    "new axes": (None, slice(1, 2), None, ...),
    "ellipsis": (..., 1),
    "empty slice": (slice(3, 1), ...),
    "mask": np.arange(60).reshape(SHAPE) % 7 == 0,
    "no place in the mask": np.zeros(SHAPE, bool),
    "array": (A, ...),
    "array of two axes": (np.asarray([[0, 1], [1, 0]]), ...),
    "array in the middle": (slice(None), A, slice(None)),
    "array at the end": (..., np.asarray([2, 0, 2])),
    "two arrays": (A, B, ...),
    "two arrays apart": (A, slice(None), np.asarray([0, 2, 0, 1])),
    "arrays that broadcast": (A[:, None], B[None, :], ...),
    "array and int": (A, 2, ...),
    "all axes": (A, B, np.asarray([0, 2, 0, 1])),
    "empty array": (np.zeros(0, int), ...),
    "0-d array": (np.asarray(2), ...),
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_put_is_the_adjoint_of_indexing(be, host, name, dtype):
    key = KEYS[name]
    taken = np.zeros(SHAPE)[key]
    values = np.random.default_rng(1).integers(-9, 9, size=taken.shape).astype(dtype)
    expected = np.zeros(SHAPE, dtype)
    np.add.at(expected, key, values)
    there = (
        tuple(be.asarray(k) if isinstance(k, np.ndarray) else k for k in key)
        if isinstance(key, tuple)
        else be.asarray(key)
    )
    assert_agrees(be.put(be.xp, SHAPE, there, be.asarray(values)), expected, exact=True, backend=be)
    if be.name != "jax" and not (be.name == "torch" and "backwards" in name):  # there the default cannot assign
        assert_agrees(host.put(be.xp, SHAPE, there, be.asarray(values)), expected, exact=True, backend=be)


MASK = np.asarray([True, False, True, True])
BEYOND = {
    "a slice with a step beside an array": (A, slice(0, 5, 2)),
    "an array between slices": (slice(1, 3), np.asarray([1, 2, 2]), slice(0, 2)),
    "a new axis beside an array": (None, A),
    "a mask and an int": (MASK, -1),
    "a mask and a slice": (MASK, slice(1, 3)),
    "a mask of a middle axis": (slice(None), np.asarray([True, True, False, False, True])),
    "a list": [1, 3, 1],
    "a list beside a slice": (slice(None), [2, 2]),
    "lists": ([1, 3, 1], [0, 2, 0]),
    "a list of truth values": [True, False, False, True],
}


@pytest.mark.parametrize("name", BEYOND)
def test_put_at_what_libraries_allow_beyond_the_standard(be, name):
    """What a library takes forward it takes back."""
    if be.name == "strict" or (be.name == "jax" and "list" in name):
        pytest.skip("x[key] is refused there")
    key = BEYOND[name]
    values = np.random.default_rng(1).integers(-9, 9, size=np.zeros(SHAPE)[key].shape).astype("float32")
    expected = np.zeros(SHAPE, "float32")
    np.add.at(expected, key, values)
    there = tuple(be.asarray(k) if isinstance(k, np.ndarray) else k for k in key) if isinstance(key, tuple) else key
    assert_agrees(be.put(be.xp, SHAPE, there, be.asarray(values)), expected, exact=True, backend=be)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_narrow_indices_count_far(be, host, dtype):
    """Rows and columns of eight bits in an array of 300 · 40 places, rows of eight bits in 300."""
    rows, columns = np.asarray([100, 3, 127, 3], dtype), np.asarray([30, 7, 39, 7], dtype)
    values = np.arange(1.0, 5.0)
    expected = np.zeros((300, 40))
    np.add.at(expected, (rows, columns), values)
    there = (be.asarray(rows), be.asarray(columns))
    for hooks in (be, host):
        assert_agrees(hooks.put(be.xp, (300, 40), there, be.asarray(values)), expected, exact=True, backend=be)
        summed = hooks.scatter_add(be.xp, there[0], be.asarray(values), 300)
        assert_agrees(summed, np.bincount(rows, values, 300), exact=True, backend=be)


@pytest.mark.parametrize(
    ("shape", "key"),
    [((4, 0), A), ((0, 3), np.zeros(0, int)), ((4, 0, 3), np.zeros((4, 0, 3), bool)), ((0, 3), np.zeros(0, bool))],
    ids=["rows of nothing", "no row", "mask of nothing", "mask of no row"],
)
def test_an_array_of_nothing(be, host, shape, key):
    values = np.zeros(np.zeros(shape)[key].shape)
    for hooks in (be, host):
        made = hooks.put(be.xp, shape, (be.asarray(key), ...), be.asarray(values))
        assert_agrees(made, np.zeros(shape), exact=True, backend=be)


def test_a_bare_key(be):
    out = be.put(be.xp, (4,), be.asarray([1, 3, 1]), be.asarray([1.0, 2.0, 3.0]))
    assert be.to_numpy(out).tolist() == [0.0, 4.0, 0.0, 2.0]
    assert be.to_numpy(be.put(be.xp, (3,), slice(None, None, -1), be.asarray([1.0, 2.0, 3.0]))).tolist() == [3, 2, 1]
    assert be.to_numpy(be.put(be.xp, (3,), 1, be.asarray(2.0))).tolist() == [0, 2, 0]


def test_rows_of_no_values(be, host):
    for library in (be, host):
        made = library.put(be.xp, (4, 0), be.asarray(np.asarray([1, 3])), be.asarray(np.zeros((2, 0))))
        assert tuple(made.shape) == (4, 0)


def test_a_mask_of_the_leading_axes(be, host):
    mask, values = np.asarray([True, False, True]), np.arange(8.0).reshape(2, 4)
    expected = np.zeros((3, 4))
    expected[mask] = values
    for hook in (be.put, host.put):
        assert_agrees(hook(be.xp, (3, 4), be.asarray(mask), be.asarray(values)), expected, exact=True, backend=be)


def test_no_shape_depends_on_data(strict_flags):
    be = backends.get("strict")
    out = be.put(be.xp, (3,), be.asarray([True, False, True]), be.asarray([1.0, 2.0]))
    assert be.to_numpy(out).tolist() == [1.0, 0.0, 2.0]


def test_put_inside_jit():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    be = backends.get("jax")
    mask, index = be.asarray([True, False, True]), be.asarray([2, 0])
    put = jax.jit(lambda key, values: be.put(be.xp, (3,), key, values))
    assert put(mask, be.asarray([1.0, 2.0])).tolist() == [1.0, 0.0, 2.0]
    assert put(index, be.asarray([1.0, 2.0])).tolist() == [2.0, 0.0, 1.0]


def test_arrays_apart_and_not_at_the_front(be, host):
    shape, (first, second) = (2, 4, 3, 5), (np.asarray([1, 3, 1]), np.asarray([0, 4, 0]))
    values = np.arange(18.0).reshape(3, 2, 3)
    expected = np.zeros(shape)
    np.add.at(expected, (slice(None), first, slice(None), second), values)
    there = (slice(None), be.asarray(first), slice(None), be.asarray(second))
    for hook in (be.put, host.put):
        assert_agrees(hook(be.xp, shape, there, be.asarray(values)), expected, exact=True, backend=be)
