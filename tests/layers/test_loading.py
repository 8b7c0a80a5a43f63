"""A state is loaded whole or not at all, from the host or from the model's library."""

import numpy as np
import pytest
from layers.helpers import host, same
from layers.models import STATE, mlp
from support.compare import dtype_of

import nnx
from nnx import backends
from nnx.errors import DtypeError, MixedArraysError, ShapeError, StateError, TracingError


def test_load_all_or_parameters_or_buffers(backend):
    model, other = mlp().to(backend), mlp().initialize(5)
    other.load({path: array + 1.5 for path, array in other.state().items()})
    model.load(other.state())
    assert same(host(model.state()), host(other.state()))
    assert all(backends.of(array) is backend for array in model.state().values())
    fresh = mlp().to(backend)
    fresh.load(other.parameters())
    assert same(host(fresh.parameters()), host(other.parameters()))
    assert host(fresh.buffers())["layers.1.running_mean"].tolist() == [0.0] * 6
    fresh.load(other.buffers())
    assert same(host(fresh.state()), host(other.state()))


def test_load_into_a_model_without_values(backend):
    state = mlp().to(backend).initialize(2).state()
    assert same(host(mlp().load(state).state()), host(state))
    part = mlp().load(mlp().initialize(2).parameters())
    assert same(part.parameters(), mlp().initialize(2).parameters())
    assert part.buffers().keys() == set(STATE[3:5])


BROKEN = {
    "missing": (
        lambda s: s.pop("layers.4.bias"),
        StateError,
        r"expected the 7 paths of Sequential, got missing: layers\.4\.bias",
    ),
    "unknown": (
        lambda s: s.update({"layers.4.biass": s.pop("layers.4.bias")}),
        StateError,
        r"missing: layers\.4\.bias; unknown: layers\.4\.biass \(did you mean layers\.4\.bias\?\)\. Load a state of the same",
    ),
    "shape": (
        lambda s: s.update({"layers.4.bias": np.zeros(4, dtype="float32")}),
        ShapeError,
        r"layers\.4\.bias: expected shape \(3,\), got \(4,\)",
    ),
    "nothing": (dict.clear, StateError, r"missing: layers\.0\.weight, layers\.1\.beta, "),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_state_that_does_not_fit_changes_nothing(case, backend):
    spoil, kind, message = BROKEN[case]
    model = mlp().to(backend).initialize(0)
    before = host(model.state())
    state = {path: array + 1 for path, array in before.items()}
    spoil(state)
    with pytest.raises(kind, match=message):
        model.load(state)
    assert same(host(model.state()), before)


def test_a_part_of_another_dtype_is_refused_and_a_whole_state_brings_its_own(backend):
    model, wide = mlp().to(backend), mlp().initialize(1, dtype="float64")
    with pytest.raises(DtypeError, match=r"layers\.0\.weight: expected dtype .*float32, as the model, got .*float64"):
        model.load(wide.parameters())
    assert {dtype_of(array) for array in model.state().values()} == {"float32"}
    assert {dtype_of(array) for array in model.load(wide.state()).state().values()} == {"float64"}


def test_host_arrays_are_sent_to_the_model(backend):
    state = host(mlp().initialize(4).state())
    model = mlp().to(backend).load(state)
    assert same(host(model.state()), state)
    assert all(backends.of(array) is backend for array in model.state().values())


def test_arrays_of_a_foreign_library_are_refused(backend):
    model = mlp().to(backend)
    other = backends.get("strict:device1") if backend.name != "strict" else generic()
    state = {path: other.asarray(array) for path, array in host(model.state()).items()}
    with pytest.raises(MixedArraysError, match=r"expected a host array, .* got a "):
        model.load(state)


def generic():
    """A library that is none of ours, for array-api-strict to meet."""

    class Foreign:
        def __init__(self, array):
            self.array, self.shape, self.dtype = array, array.shape, array.dtype

        def __array_namespace__(self, api_version=None):
            return np

    class Maker:
        asarray = staticmethod(Foreign)

    return Maker


def test_traced_arrays_are_loaded_inside_their_derivative_alone(backend):
    model, kept = mlp().to(backend), {}
    x = backend.asarray(np.ones((2, 4), dtype="float32"))

    def loss(params):
        kept.update(params)
        out = model.load(params)(x)
        return nnx.namespace(out).sum(out * out)

    params = model.parameters()
    assert nnx.grad(loss)(params).keys() == params.keys()
    model.load(params)
    with pytest.raises(TracingError, match=r"layers\.\d\.\w+: expected arrays, got a traced one, of a derivative that"):
        model.load(kept)
    assert same(host(model.parameters()), host(params))


def test_an_array_of_the_same_library_goes_to_the_models_device():
    strict = pytest.importorskip(
        "array_api_strict", reason="array-api-strict is not installed: it has two devices here"
    )
    model = nnx.Linear(2, 2).to("strict:device1")
    model.load(
        {path: strict.asarray(np.array(array)) for path, array in nnx.Linear(2, 2).initialize(7).state().items()}
    )
    assert {str(array.device) for array in model.state().values()} == {str(strict.Device("device1"))}
