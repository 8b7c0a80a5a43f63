import numpy as np
import pytest
from support.compare import assert_agrees

from nnx import backends
from nnx.errors import DtypeError, MixedArraysError, TracingError


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_a_host_array_keeps_its_dtype_shape_and_values(be, dtype, shape):
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    y = be.asarray(x)
    assert_agrees(y, x, exact=True, backend=be)
    assert backends.of(y) is be
    back = be.to_numpy(y)
    assert type(back) is np.ndarray
    assert back.dtype == x.dtype
    assert np.array_equal(back, x)


def test_lists_and_scalars_have_the_dtype_numpy_sees(be):
    assert_agrees(be.asarray([1.5, 2.0]), np.asarray([1.5, 2.0]), exact=True, backend=be)
    assert_agrees(be.asarray(2.5), np.asarray(2.5), exact=True, backend=be)
    assert_agrees(be.asarray(np.float32(2.5)), np.asarray(2.5, np.float32), exact=True, backend=be)
    assert_agrees(be.asarray([]), np.asarray([]), exact=True, backend=be)


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32")])
def test_dtype_by_any_name(be, dtype):
    expected = np.asarray([1, 2], np.float32)
    assert_agrees(be.asarray([1, 2], dtype=dtype), expected, exact=True, backend=be)
    assert_agrees(be.asarray([1, 2], dtype=be.xp.float32), expected, exact=True, backend=be)
    assert_agrees(be.asarray(be.asarray([1, 2]), dtype=dtype), expected, exact=True, backend=be)


def test_an_array_that_is_right_is_returned_as_it_is(be):
    x = be.asarray([1.0, 2.0])
    assert be.asarray(x) is x
    assert be.asarray(x, dtype="float64") is x


@pytest.mark.parametrize(
    "view",
    [lambda x: x[::-1], lambda x: x.T, lambda x: x[:, ::2], lambda x: x.astype(">f8"), lambda x: x.astype("<f4")],
    ids=["reversed", "transposed", "strided", "big-endian", "little-endian"],
)
def test_any_layout_of_a_host_array(be, view):
    x = view(np.arange(12.0).reshape(3, 4))
    assert_agrees(be.asarray(x), x.astype(x.dtype.newbyteorder("=")), exact=True, backend=be)


def test_a_read_only_host_array(be):
    x = np.arange(3.0)
    x.flags.writeable = False
    assert_agrees(be.asarray(x), x, exact=True, backend=be)


def test_an_array_moves_between_devices_of_its_library():
    cpu, device1 = backends.get("strict"), backends.get("strict:device1")
    x = device1.asarray([1.0, 2.0])
    assert backends.of(cpu.asarray(x)) is cpu
    assert backends.of(device1.asarray(cpu.asarray(x))) is device1


def test_an_array_of_another_library_is_refused(be):
    class Foreign:
        """An array that cannot be handed over."""

        shape, dtype = (1,), "float32"

    foreign, spec = Foreign(), be.spec
    for given in (foreign, [foreign], [[foreign, foreign]]):
        with pytest.raises(
            MixedArraysError, match=rf"backend {spec}: expected a host array.*Bring it to the host first"
        ):
            be.asarray(given)
    with pytest.raises(MixedArraysError, match="expected a host array"):
        be.to_numpy(foreign)
    with pytest.raises(MixedArraysError, match=r"got a builtins.NoneType"):
        be.asarray(None)


@pytest.mark.parametrize("bad", [np.asarray(["a", "b"]), np.asarray([None]), np.asarray(["2026-01-01"], "M8[D]")])
def test_text_and_objects_are_refused(be, bad):
    with pytest.raises(DtypeError, match="expected numbers or booleans, got an array of dtype"):
        be.asarray(bad)


def test_an_unknown_dtype_is_refused(be):
    with pytest.raises(DtypeError, match=f"expected a dtype that {be.name} can hold here, got float31"):
        be.asarray([1.0], dtype="float31")


def test_a_traced_array_is_refused(be):
    class Traced:
        __nnx_tensor__ = True

    with pytest.raises(TracingError, match="expected a plain array, got a traced one"):
        be.asarray(Traced())


def test_a_device_without_float64_refuses_it():
    be = backends.get("strict:no_float64")
    with pytest.raises(DtypeError, match=r"got float64. It holds .*float32"):
        be.asarray(np.zeros(2))
    with pytest.raises(DtypeError, match="got float64"):
        be.asarray([1.0], dtype="float64")
    assert_agrees(be.asarray(np.zeros(2), dtype="float32"), np.zeros(2, np.float32), exact=True, backend=be)


def test_jax_without_x64_narrows_nothing_in_silence():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    be = backends.get("jax")
    with jax.enable_x64(False):
        with pytest.raises(DtypeError, match=r"got float64. JAX runs without x64: set JAX_ENABLE_X64=1"):
            be.asarray(np.zeros(2))
        with pytest.raises(DtypeError, match="JAX runs without x64"):
            be.asarray(be.asarray(np.zeros(2), dtype="float32"), dtype="float64")
        with pytest.raises(DtypeError, match=r"got int64. JAX runs without x64"):
            be.asarray(np.asarray([2**40]))
        assert_agrees(be.asarray(np.asarray([3, -3])), np.asarray([3, -3], np.int32), exact=True, backend=be)
        assert be.asarray(np.zeros(2), dtype="float32").dtype == np.float32


def test_a_jax_array_does_not_change_with_the_host_array():
    pytest.importorskip("jax", reason="jax is not installed")
    x = np.zeros(64)
    y = backends.get("jax").asarray(x)
    x[:] = 1
    assert not np.any(np.asarray(y))


def test_synchronize_and_info(be):
    x = be.asarray([1.0])
    be.synchronize()
    be.synchronize(x)
    with be.use():
        info = be.info()
    assert {"name", "spec", "version", "devices", "blas", "threads", "fused"} <= set(info)
    assert info["spec"] == be.spec
    assert info["version"][0].isdigit()


def test_strict_defers_to_traced_arrays_alone():
    class Traced:
        __nnx_tensor__ = True

        def __radd__(self, other):
            return "reflected"

    x = backends.get("strict").asarray([1.0])
    assert x + Traced() == "reflected"
    with pytest.raises(TypeError, match="Expected Array or Python scalar"):
        x + np.zeros(1)
