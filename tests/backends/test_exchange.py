"""DLPack: arrays of other libraries come in and go out, in the same memory wherever nothing needs a copy; nnx never writes to it."""

import gc

import numpy as np
import pytest
from support.compare import assert_agrees

import nnx
from nnx import backends
from nnx.errors import DtypeError, MixedArraysError

LIBRARIES = {"torch": "torch", "jax": "jax", "strict": "array_api_strict"}


def made(library, host):
    """An array of a library, in memory of its own."""
    pytest.importorskip(LIBRARIES[library], reason=f"{library} is not installed")
    return backends.get(library).asarray(np.array(host))


def address(x):
    """Where the first value of an array on the CPU lies."""
    return (
        np.from_dlpack(x).__array_interface__["data"][0]
        if not isinstance(x, np.ndarray)
        else x.__array_interface__["data"][0]
    )


class Elsewhere:
    """An array of a library that nobody here knows, on a GPU."""

    dtype = "float32"

    def __dlpack__(self, **options):
        raise AssertionError("memory of a GPU is not read here")

    def __dlpack_device__(self):
        return 10, 0  # of ROCm, which no backend here has


CASES = {
    "float64": np.linspace(0, 1, 12).reshape(3, 4), "float32": np.ones((2, 3), "float32"), "int64": np.arange(5),
    "bool": np.asarray([True, False]), "none": np.zeros((0, 3)), "0-d": np.asarray(2.5), "complex": np.asarray([1 + 2j]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_values_and_dtype_come_over(be, library, case):
    x = CASES[case]
    y = be.asarray(made(library, x))
    assert backends.of(y) is be
    assert_agrees(y, x, exact=True, backend=be)
    if x.dtype.kind == "f":
        assert_agrees(be.asarray(made(library, x), dtype="float32"), x.astype("float32"), exact=True, backend=be)


@pytest.mark.parametrize("library", LIBRARIES)
def test_strided_views_come_over(be, library):
    x = np.arange(24.0).reshape(4, 6)
    assert_agrees(be.asarray(made(library, x)[1:, ::2]), x[1:, ::2], exact=True, backend=be)
    assert_agrees(be.asarray(made(library, x).T), x.T, exact=True, backend=be)


@pytest.mark.parametrize(("to", "source", "shared"), [
    ("numpy", "torch", True), ("numpy", "jax", True), ("numpy", "strict", True), ("torch", "strict", True),
    ("torch", "jax", False), ("jax", "torch", False), ("strict", "torch", False), ("jax", "strict", False),
])  # fmt: skip
def test_memory_is_shared_where_nothing_needs_a_copy(to, source, shared):
    pytest.importorskip(LIBRARIES.get(to, "numpy"), reason=f"{to} is not installed")
    x = made(source, np.arange(64.0))
    y = backends.get(to).asarray(x)
    assert (address(y) == address(x)) is shared
    if source != "jax":  # whose arrays do not change
        x[0] = 7.0
        assert float(y[0]) == (7.0 if shared else 0.0)


def test_numpy_to_pytorch_and_back_is_one_memory():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = np.zeros(3)
    there = backends.get("torch").asarray(x)
    back = backends.get("numpy").asarray(there)
    there[0] = 5.0
    assert x[0] == back[0] == 5.0
    assert there.data_ptr() == address(x) == address(back)
    assert backends.get("torch").asarray(torch.zeros(2), dtype="float64").dtype == torch.float64


def test_what_is_read_only_stays_so():
    pytest.importorskip("torch", reason="torch is not installed")
    x = made("jax", np.zeros(3))
    assert not backends.get("numpy").asarray(x).flags.writeable
    backends.get("torch").asarray(x)[0] = 1.0
    assert float(x[0]) == 0.0


@pytest.mark.parametrize("library", LIBRARIES)
def test_memory_lives_as_long_as_its_arrays(library):
    x = made(library, np.arange(1000.0))
    y = backends.get("numpy").asarray(x)
    del x
    gc.collect()
    made(library, np.zeros(1000))
    np.testing.assert_array_equal(y, np.arange(1000.0))


def test_an_array_on_another_device_is_not_fetched(be):
    with pytest.raises(MixedArraysError, match=r"got a .*Elsewhere on another device. Bring it to the host first"):
        be.asarray(Elsewhere())
    foreign = backends.get("strict:device1").asarray([1.0])
    if be.name != "strict":
        with pytest.raises(MixedArraysError, match=r"got a array_api_strict.*Array on another device"):
            be.asarray(foreign)


def test_tensors_that_dlpack_does_not_hand_over():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    be = backends.get("numpy")
    with pytest.raises(MixedArraysError, match=r"got a torch.Tensor, which DLPack cannot hand over \(.*require grad"):
        be.asarray(torch.ones(2, requires_grad=True))
    with pytest.raises(MixedArraysError, match=r"which DLPack cannot hand over \(.*dtype"):
        be.asarray(torch.ones(2, dtype=torch.bfloat16))


def test_dtypes_that_a_device_lacks_are_refused_as_of_the_host():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    x = made("strict", np.zeros(2))
    with jax.enable_x64(False), pytest.raises(DtypeError, match=r"got float64. JAX runs without x64"):
        backends.get("jax").asarray(x)
    with pytest.raises(DtypeError, match="got float64"):
        backends.get("strict:no_float64").asarray(made("jax", np.zeros(2)))


# on one GPU -----------------------------------------------------------------------------------------------------------
def test_one_gpu_is_one_memory(be):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if be.name != "cupy" or not torch.cuda.is_available():
        pytest.skip("only CuPy beside a CUDA build of PyTorch share a GPU")
    x = torch.arange(6.0, device=f"cuda:{be.device.id}")
    y = be.asarray(x)
    assert y.data.ptr == x.data_ptr()
    assert backends.get(f"torch:cuda:{be.device.id}").asarray(y).data_ptr() == x.data_ptr()
    with pytest.raises(MixedArraysError, match="on another device"):
        backends.get("numpy").asarray(x)
    with pytest.raises(MixedArraysError, match="on another device"):
        backends.get("torch:cpu").asarray(y)


# nobody else's memory is written to -----------------------------------------------------------------------------------
OPTIMIZERS = {
    "sgd": lambda: nnx.optim.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: nnx.optim.Adam(0.01),
    "lbfgs": lambda: nnx.optim.LBFGS(),
}


@pytest.mark.parametrize(
    ("spec", "lent"), [("numpy", "numpy"), ("numpy", "torch"), ("torch", "numpy"), ("torch", "torch")]
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_never_writes_to_arrays_that_it_was_given(name, spec, lent):
    if "torch" in (spec, lent):
        pytest.importorskip("torch", reason="torch is not installed")
    rng, be = np.random.default_rng(0), backends.get(spec)
    model = nnx.Sequential(nnx.Linear(4, 6), nnx.BatchNorm(6), nnx.ReLU(), nnx.Linear(6, 2)).initialize(0)
    owners = {path: np.array(array) for path, array in model.state().items()}
    x, y = rng.normal(size=(32, 4)).astype("float32"), rng.integers(0, 2, 32)
    before = {path: array.copy() for path, array in (owners | {"x": x, "y": y}).items()}
    model.to(be).load({path: backends.get(lent).asarray(array) for path, array in owners.items()})
    assert {address(array) for array in model.state().values()} == {address(array) for array in owners.values()}
    data = nnx.data.load((x, y))
    nnx.fit(model, data, optimizer=OPTIMIZERS[name](), epochs=2, batch_size=32 if name == "lbfgs" else 8, backend=spec)
    nnx.predict(model, x)
    now = owners | {"x": x, "y": y}
    assert [path for path in before if not np.array_equal(before[path], now[path])] == []
    assert not np.array_equal(be.to_numpy(model.layers[0].weight), before["layers.0.weight"])


def test_steps_by_hand_never_write_to_arrays_that_they_were_given(be):
    optimizer = nnx.optim.Adam(0.1)
    hosts = [np.ones(300, "float32") for _ in range(4)]
    params, grads = ({"w": be.asarray(host)} for host in hosts[:2])
    state = optimizer.init(params)
    given = {**state, **{slot: {"w": be.asarray(hosts[2])} for slot in state if isinstance(state[slot], dict)}}
    for _ in range(3):
        params, given = optimizer.update(grads, given, params)
    assert all((host == 1).all() for host in hosts)
    assert not np.array_equal(be.to_numpy(params["w"]), hosts[0])
