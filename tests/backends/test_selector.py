import subprocess
import sys
from types import ModuleType

import array_api_compat
import array_api_compat.numpy
import numpy as np
import pytest

from nnx import backends
from nnx.backends import selector
from nnx.errors import BackendUnavailable, ConfigError, MixedArraysError


@pytest.fixture
def forgotten(monkeypatch):
    """The selector as in a new process."""
    for table in ("_by_spec", "_by_type", "_by_namespace"):
        monkeypatch.setattr(selector, table, {})


def without(monkeypatch, name, package, replacement=None):
    """The library is absent, or is the replacement."""
    monkeypatch.delitem(sys.modules, f"nnx.backends.{name}", raising=False)
    for module in [m for m in sys.modules if m == package or m.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, replacement)
    for module in ("cupy", "torch"):
        monkeypatch.delitem(sys.modules, f"array_api_compat.{module}", raising=False)


def test_one_object_per_device(be):
    assert backends.get(be) is be
    assert backends.get(be.spec) is be
    assert backends.of(be.asarray([1.0])) is be
    assert backends.over(be.xp).name == be.name
    assert backends.over(array_api_compat.array_namespace(be.asarray([1.0]))).name == be.name


def test_names_and_devices():
    assert backends.names() == ("numpy", "cupy", "torch", "jax", "strict")
    assert backends.get("numpy:cpu") is backends.get("numpy")
    assert backends.get("strict:cpu") is backends.get("strict")
    assert backends.get("strict:device2").spec == "strict:device2"
    assert {"numpy", "strict"} <= set(backends.available())


def test_torch_and_jax_devices():
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("jax", reason="jax is not installed")
    assert backends.get("torch:cpu") is backends.get("torch")
    assert backends.get("jax:cpu") is backends.get("jax")
    import torch

    assert backends.of(torch.nn.Parameter(torch.zeros(1))) is backends.get("torch")


def test_of_subclasses_and_scalars():
    class Mine(np.ndarray):
        pass

    assert backends.of(np.zeros(1).view(Mine)) is backends.get("numpy")
    assert backends.of(np.float32(1)) is backends.get("numpy")


@pytest.mark.parametrize("bad", [1.0, [1.0], None, "x"])
def test_of_something_else(bad):
    with pytest.raises(MixedArraysError, match="expected an array of numpy, cupy, torch, jax, strict, got a"):
        backends.of(bad)


def test_inside_jit_the_backend_is_that_of_the_default_device():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    seen = []
    jax.jit(lambda x: seen.append(backends.of(x)) or x)(1.0)
    assert seen == [backends.get("jax")]


def test_a_standard_namespace_unknown_to_us_gets_the_defaults():
    from nnx.backends import portable

    xp = ModuleType("somebody.arrays")
    xp.__dict__.update({k: v for k, v in vars(array_api_compat.numpy).items() if not k.startswith("__")})

    class Array:
        def __array_namespace__(self):
            return xp

    be = backends.over(xp)
    assert be.name == "somebody.arrays"
    assert be.scatter_add is portable.scatter_add
    assert be.fuse is portable.fuse
    assert backends.of(Array()) is be


def test_a_traced_array_lives_where_the_array_inside_lives():
    class Traced:
        __nnx_tensor__ = True

        def __init__(self, array):
            self._array = array

    assert backends.of(Traced(Traced(np.zeros(1)))) is backends.get("numpy")


def test_unknown_name():
    with pytest.raises(ConfigError, match=r"one of the backends numpy.*got 'numppy'. Did you mean 'numpy'\?"):
        backends.get("numppy")
    with pytest.raises(ConfigError, match=r"got 'zzz'. Name one of these"):
        backends.get("zzz:0")


@pytest.mark.parametrize(
    "spec, match",
    [
        ("numpy:gpu", "NumPy has no such device.*got numpy:gpu. For a GPU: --backend cupy"),
        ("strict:device9", "no such device.*strict:device1.*got strict:device9"),
        ("torch:cuda:77", "torch has no such device here, expected torch:cpu.*got torch:cuda:77.*https://pytorch.org"),
        ("torch:nonsense", "torch has no such device here"),
        ("jax:tpu", r"JAX has no such device here, expected jax:cpu.*got jax:tpu.*pip install"),
        ("jax:cpu:9", "JAX has no such device here"),
    ],
)
def test_no_such_device(spec, match):
    if spec.partition(":")[0] not in backends.available():
        pytest.skip(f"{spec.partition(':')[0]} is not installed")
    with pytest.raises(BackendUnavailable, match=match):
        backends.get(spec)


@pytest.mark.parametrize(
    "name, package, command",
    [
        ("cupy", "cupy", r'python -m pip install "nnx-array\[cuda12\]"'),
        ("torch", "torch", r'python -m pip install "nnx-array\[torch\]"'),
        ("jax", "jax", r'python -m pip install "nnx-array\[jax\]"'),
        ("strict", "array_api_strict", 'python -m pip install "array-api-strict"'),
    ],
)
def test_not_installed(monkeypatch, forgotten, name, package, command):
    without(monkeypatch, name, package)
    with pytest.raises(BackendUnavailable, match=f"backend {name}: {package} is not installed. Run: {command}"):
        backends.get(name)
    assert name not in backends.available()
    row = next(row for row in backends.status() if row["name"] == name)
    assert not row["usable"]
    assert "is not installed" in row["reason"]


def test_a_broken_installation_is_not_called_missing(monkeypatch, forgotten):
    class Broken(ModuleType):
        def __getattr__(self, name):
            raise ImportError("libcublas.so.12: cannot open shared object file")

    without(monkeypatch, "cupy", "cupy", Broken("cupy"))
    with pytest.raises(BackendUnavailable, match=r"cupy cannot be imported .*libcublas.*nnx-array"):
        backends.get("cupy")


def test_status_tells_what_the_table_shows():
    rows = {row["name"]: row for row in backends.status()}
    assert tuple(rows) == backends.names()
    assert rows["numpy"]["usable"]
    assert rows["numpy"]["version"] == np.__version__
    assert rows["numpy"]["threads"] >= 1
    assert rows["numpy"]["fused"].startswith(("on", "off"))


def test_importing_and_naming_backends_imports_no_array_library():
    heavy = ["torch", "jax", "cupy", "numba", "array_api_strict", "scipy"]
    program = (
        "import sys, nnx.backends as b, numpy as np; b.names(); b.of(np.zeros(1)); be = b.get();"
        "be.fuse(lambda xp, x: x)(be.xp, np.zeros(3));"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
