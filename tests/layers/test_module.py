"""What a module is: paths, values, tied and frozen parameters, copies."""

import copy
import pickle

import numpy as np
import pytest
from layers.helpers import draw, host, same
from layers.models import STATE, Counter, Residual, Scale, Tied, mlp
from support.compare import assert_agrees, dtype_of

import nnx
from nnx import backends, random
from nnx.errors import StateError


# paths and values -----------------------------------------------------------------------------------------------------
def test_paths():
    model = mlp()
    assert list(model.state()) == STATE
    assert list(model.parameters()) == [path for path in STATE if "running" not in path]
    assert list(model.buffers()) == STATE[3:5]
    assert [path for path, _ in model.modules()] == ["", *(f"layers.{i}" for i in range(5))]


def test_modules_in_lists_dictionaries_and_private_attributes():
    model = Residual(4, 2)
    assert list(model.parameters()) == [
        "blocks.0.weight", "blocks.0.bias", "blocks.1.weight", "blocks.1.bias", "heads.class.weight", "heads.class.bias",
        "heads.value.0.weight", "heads.value.0.bias", "heads.value.1.factor", "_hidden.factor",
    ]  # fmt: skip


def test_ordinary_control_flow_is_differentiated(backend):
    model = Residual(4, 3).initialize(0, dtype="float64").to(backend)
    x = backend.asarray(draw((5, 4)))
    for head in ("class", "value"):
        report = nnx.gradcheck(lambda model, x, head=head: model(x, head=head), model, x, directions=2, entries=1)
        assert report.passed
        g = nnx.grad(lambda m, x, head=head: nnx.namespace(x).sum(m(x, head)))(model, x)
        assert list(g) == list(model.parameters())
        unused = "heads.value.0.weight" if head == "class" else "heads.class.weight"
        assert not backend.to_numpy(g[unused]).any()
        assert backend.to_numpy(g["_hidden.factor"]).all()


def test_a_layer_by_call_is_a_layer(backend):
    layer = Scale(3).to(backend)
    x = backend.asarray(np.ones((2, 3), dtype="float32"))
    seen = []
    with nnx.layers.observing(lambda module, args, out: seen.append(type(module))):
        assert_agrees(layer(x), 2 * np.ones((2, 3)), exact=True, backend=backend, dtype="float32")
        assert_agrees(layer.forward(x), layer(x), exact=True)
    assert seen == [Scale, Scale]


def test_values_are_a_function_of_seed_and_path_and_the_same_everywhere(backend):
    here, there = mlp().initialize(seed=3), mlp().to(backend).initialize(seed=3)
    assert same(host(here.state()), host(there.state()))
    assert all(backends.of(array) is backend for array in there.state().values())
    again, other = mlp().initialize(seed=3), mlp().initialize(seed=4)
    assert same(host(here.state()), host(again.state()))
    assert not np.array_equal(here.state()["layers.0.weight"], other.state()["layers.0.weight"])
    expected = nnx.init.he_normal()(random.key(3, "initialize", "layers.4.weight"), (6, 3)).astype("float32")
    assert np.array_equal(here.state()["layers.4.weight"], expected)
    wider = nnx.Sequential(*mlp().layers, nnx.Linear(3, 3)).initialize(seed=3)
    assert np.array_equal(wider.state()["layers.4.weight"], expected)  # not of what else is in the model


def test_initialize_draws_anew_and_resets_buffers(backend):
    model = mlp().to(backend).initialize(0)
    before = host(model.state())
    with nnx.training():
        model(backend.asarray(draw((8, 4)).astype("float32")))
    assert not same(host(model.buffers()), {path: before[path] for path in STATE[3:5]})
    model.load({path: array + 1 for path, array in model.state().items()})
    assert same(host(model.initialize(0).state()), before)


def test_use_before_initialize_is_seed_zero():
    model, expected = mlp(), mlp().initialize(0)
    assert not model.initialized
    x = draw((2, 4)).astype("float32")
    assert np.array_equal(model(x), expected(x))
    assert model.initialized
    assert same(model.state(), expected.state())
    assert same(mlp().parameters(), expected.parameters())


def test_a_layer_put_in_later_has_no_values_yet():
    model = mlp().initialize(0)
    model.layers[-1] = nnx.Linear(8, 5)
    assert not model.initialized


def test_an_error_is_noted_once_where_it_began():
    class Planted(nnx.Module):
        def forward(self, x):
            raise ValueError("planted")

    with pytest.raises(ValueError, match="planted") as error:
        nnx.Sequential(nnx.ReLU(), nnx.Sequential(Planted()))(np.ones((2, 3)))
    assert error.value.__notes__ == ["nnx: in layers.1.layers.0 (Planted), called with an array of shape (2, 3)"]


def test_initialize_in_another_dtype(backend):
    model = mlp().initialize(0, dtype="float64")
    assert {dtype_of(array) for array in model.state().values()} == {"float64"}
    single = mlp().initialize(0)
    assert np.array_equal(model.state()["layers.0.weight"].astype("float32"), single.state()["layers.0.weight"])
    counter = Counter().initialize(0, dtype="float64")
    assert [dtype_of(counter.total), dtype_of(counter.calls)] == ["float64", "int64"]
    x = backend.asarray(draw((2, 4)))
    assert dtype_of(model.to(backend)(x)) == "float64"


def test_to_another_backend_and_dtype(backend):
    model = mlp().initialize(1)
    before = host(model.state())
    moved = model.copy().to(backend, dtype="float64")
    assert {(backends.of(a).spec, dtype_of(a)) for a in moved.state().values()} == {(backend.spec, "float64")}
    assert same(host(moved.to("numpy", dtype="float32").state()), before)
    counter = Counter().to(backend, dtype="float64")
    assert dtype_of(counter.calls) == "int64"


# tied and frozen ------------------------------------------------------------------------------------------------------
def test_tied_arrays_are_one(backend):
    model = Tied().initialize(0, dtype="float64").to(backend)
    assert list(model.state()) == ["mine", "encode.weight"]
    assert model.summary((1, 4)).parameters == 15
    x = backend.asarray(draw((5, 4)))
    assert nnx.gradcheck(model, x).passed
    g = nnx.grad(lambda m, x: nnx.namespace(x).sum(m(x)))(model, x)
    w = host(model.state())["encode.weight"]
    columns = (draw((5, 4)) @ w).sum(0)
    assert_agrees(g["mine"], 2 * columns, rtol=1e-13, scale=10.0, backend=backend)
    assert_agrees(
        g["encode.weight"], 2 * np.outer(draw((5, 4)).sum(0), np.ones(3)), rtol=1e-13, scale=10.0, backend=backend
    )
    model.load({path: array * 2 for path, array in model.parameters().items()})
    assert model.mine is model.other.array
    assert model.encode is model.again
    twin = model.map_arrays(lambda path, array: array)
    assert twin.encode is twin.again
    assert twin.mine is twin.other.array
    clone = model.copy()
    clone.load({path: array * 2 for path, array in clone.parameters().items()})
    assert clone.mine is clone.other.array
    assert same(host(clone.state()), {path: 2 * array for path, array in host(model.state()).items()})


def test_frozen_parameters_are_kept_and_not_trained(backend):
    model = mlp().initialize(0).to(backend)
    model.layers[0].freeze()
    model.layers[4].freeze("weight")
    assert list(model.parameters()) == ["layers.1.gamma", "layers.1.beta", "layers.4.bias"]
    assert list(model.parameters(frozen=True)) == ["layers.0.weight", "layers.4.weight"]
    assert list(model.state()) == STATE
    x = backend.asarray(draw((5, 4)).astype("float32"))
    loss = lambda m, x: nnx.namespace(x).sum(m(x) ** 2)  # noqa: E731
    g = nnx.grad(loss)(model, x)
    assert list(g) == list(model.parameters())
    full = nnx.grad(loss)(model.copy().unfreeze(), x)
    assert list(full) == [path for path in STATE if "running" not in path]
    assert all(np.array_equal(backend.to_numpy(g[path]), backend.to_numpy(full[path])) for path in g)
    model.load(model.parameters())
    with pytest.raises(StateError, match=r"got frozen: layers\.0\.weight, layers\.4\.weight\."):
        model.load({path: array for path, array in model.state().items() if "running" not in path})
    with pytest.raises(
        StateError, match=r"expected parameters of layers\.1 \(BatchNorm\): gamma, beta, got running_mean"
    ):
        model.layers[1].freeze("running_mean")
    assert list(model.unfreeze().parameters(frozen=True)) == []


# copies ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("duplicate", [nnx.Module.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent(duplicate):
    model = mlp().initialize(0)
    before = host(model.state())
    twin = duplicate(model)
    assert same(host(twin.state()), before)
    twin.load({path: array + 1 for path, array in twin.state().items()})
    with nnx.training():
        twin(draw((4, 4)).astype("float32"))
    twin.layers[0].freeze()
    twin.layers.append(nnx.ReLU())
    assert same(host(model.state()), before)
    assert len(model) == 5
    assert list(model.parameters(frozen=True)) == []


def test_copy_shares_arrays_until_one_is_given_new_ones(backend):
    model = mlp().initialize(0).to(backend)
    assert all(a is b for a, b in zip(model.state().values(), model.copy().state().values(), strict=True))


def test_map_arrays_leaves_the_original_alone(backend):
    model = Residual(4, 2).initialize(0).to(backend)
    before = dict(model.state())
    twin = model.map_arrays(lambda path, array: array * 0)
    assert all(not backend.to_numpy(array).any() for array in twin.state().values())
    assert all(array is before[path] for path, array in model.state().items())
    assert twin.blocks is not model.blocks
    part = model.blocks[1]
    assert part.map_arrays(lambda path, _: path)._path == ""
    assert part.map_arrays(lambda path, _: path, part=True)._path == "blocks.1"
    assert type(twin) is type(model)
    twin.blocks[0].weight = twin.blocks[0].weight + 1
    assert all(array is before[path] for path, array in model.state().items())
