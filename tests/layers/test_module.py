"""The tree of arrays: paths, values, loading, moving, freezing, tying, copying, errors."""

import contextlib
import copy
import pickle

import numpy as np
import pytest
from layers.helpers import draw
from layers.models import Counter, Holder, Residual, Scale, Tied, mlp
from support.compare import assert_agrees, dtype_of

import nnx
from nnx import backends, random
from nnx.errors import ConfigError, DtypeError, MixedArraysError, ShapeError, StateError

STATE = ["layers.0.weight", "layers.1.gamma", "layers.1.beta", "layers.1.running_mean", "layers.1.running_variance",
         "layers.4.weight", "layers.4.bias"]  # fmt: skip


def host(state):
    return {path: np.array(backends.of(array).to_numpy(array)) for path, array in state.items()}


def same(a, b):
    return a.keys() == b.keys() and all(
        np.array_equal(a[path], b[path]) and a[path].dtype == b[path].dtype for path in a
    )


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


# loading --------------------------------------------------------------------------------------------------------------
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


def foreign(backend, x):
    """An array of another library: of array-api-strict beside NumPy, of NumPy beside all others."""
    return backends.get("strict").asarray(x) if backend.name == "numpy" else np.array(x)


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


def test_an_array_of_the_same_library_goes_to_the_models_device():
    strict = pytest.importorskip(
        "array_api_strict", reason="array-api-strict is not installed: it has two devices here"
    )
    model = nnx.Linear(2, 2).to("strict:device1")
    model.load(
        {path: strict.asarray(np.array(array)) for path, array in nnx.Linear(2, 2).initialize(7).state().items()}
    )
    assert {str(array.device) for array in model.state().values()} == {str(strict.Device("device1"))}


# attributes -----------------------------------------------------------------------------------------------------------
def test_a_bare_array_as_attribute(backend):
    layer = Scale(3)
    with pytest.raises(
        StateError, match=r"expected a declared array, got a bare array for Scale\.other\. Write self\.other"
    ):
        layer.other = backend.asarray([1.0])


def test_a_declared_array_takes_arrays_of_its_shape_alone(backend):
    layer = Scale(3).to(backend)
    layer.factor = backend.asarray(np.asarray([1.0, 2.0, 3.0], dtype="float32"))
    assert host(layer.state())["factor"].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ShapeError, match=r"Scale\.factor: expected shape \(3,\), got \(2,\)"):
        layer.factor = backend.asarray([1.0, 2.0])
    with pytest.raises(StateError, match=r"expected an array for Scale\.factor, got float 2\.0"):
        layer.factor = 2.0
    assert list(layer.state()) == ["factor"]
    layer.factor = None
    assert layer.state() == {}


@pytest.mark.parametrize("nest", [lambda p: [p], lambda p: {"a": p}, lambda p: (1, [p])])
def test_parameters_in_a_list_are_refused(nest):
    layer = Scale(3)
    with pytest.raises(
        StateError, match=r"expected parameters as attributes, got Scale\.parts, a \w+ with parameters in it"
    ):
        layer.parts = nest(nnx.Parameter((2,), nnx.init.ones()))


def test_two_arrays_of_one_path_are_refused():
    class Clash(nnx.Module):
        def __init__(self):
            self.parts = {"a.factor": Holder(nnx.Parameter(1.0)), "a": {"factor": Holder(nnx.Parameter(1.0))}}

    with pytest.raises(
        StateError, match=r"expected one path for each array, got two arrays at parts\.a\.factor\.array"
    ):
        Clash().state()


def test_an_unknown_attribute_and_a_layer_without_forward():
    with pytest.raises(AttributeError, match=r"Scale has no attribute 'wieght'"):
        _ = Scale(3).wieght
    with pytest.raises(ConfigError, match=r"Holder must define forward\(self, x\)"):
        Holder(nnx.Parameter(1.0))(np.ones(1))


def test_a_model_may_grow_after_use(backend):
    model, new = mlp().to(backend).initialize(0), nnx.Linear(3, 2)
    assert "layers.5.weight" not in model.parameters()
    model.layers.append(new)
    assert list(model.parameters())[-2:] == ["layers.5.weight", "layers.5.bias"]
    expected = nnx.Sequential(*mlp().layers, nnx.Linear(3, 2)).initialize(0).state()
    assert same(host(model.to("numpy").state()), expected)
    model.layers[4] = nnx.Linear(6, 3, bias=False)
    assert "layers.4.bias" not in model.parameters()
    assert repr(model).count("Linear") == 3
    assert model(draw((2, 4)).astype("float32")).shape == (2, 2)


def test_where_an_error_happened(backend):
    model = nnx.Sequential(nnx.Linear(4, 6), nnx.Sequential(nnx.ReLU(), nnx.Linear(5, 3))).to(backend)
    x = backend.asarray(draw((2, 4)).astype("float32"))
    message = r"^layers\.1\.layers\.1 \(Linear\): expected x of shape \(…, 5\), got \(2, 6\)\. Pass 5 features"
    for call in (lambda: model(x), lambda: nnx.grad(lambda m, x: nnx.namespace(x).sum(m(x)))(model, x)):
        with pytest.raises(ShapeError, match=message):
            call()
    with pytest.raises(
        DtypeError, match=r"^layers\.0 \(Linear\): expected x of dtype .*float32, as the weights, got .*float64"
    ):
        model(backend.asarray(draw((2, 4))))
    norm = nnx.Sequential(nnx.BatchNorm(4)).to(backend)
    with pytest.raises(DtypeError, match=r"^layers\.0 \(BatchNorm\): expected x of dtype .*float32, as the model, got"):
        norm(backend.asarray(draw((2, 4))))
    with pytest.raises(ShapeError, match=r"^layers\.0 \(BatchNorm\): expected x of shape \(N, …, 4\), got \(2, 3\)"):
        norm(backend.asarray(draw((2, 3)).astype("float32")))


MIXED = [nnx.Linear(4, 2), nnx.BatchNorm(4, affine=False), nnx.Standardize(4)]


@pytest.mark.parametrize("layer", MIXED, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("training", [False, True])
def test_an_input_of_another_library_than_the_model(layer, training, backend):
    layer = layer.copy()
    if isinstance(layer, nnx.Standardize):
        layer.fit(draw((9, 4)))
    model, x = nnx.Sequential(layer).to(backend), foreign(backend, draw((3, 4)).astype("float32"))
    name = type(layer).__name__
    place = nnx.training() if training else contextlib.nullcontext()
    message = rf"^layers\.0 \({name}\): expected arrays of .* only, got one of .* beside"
    with pytest.raises(MixedArraysError, match=message), place:
        model(x)


# declarations ---------------------------------------------------------------------------------------------------------
def test_values_given_to_a_declaration(backend):
    given = np.asarray([1.0, 2.0])
    layer = Holder(nnx.Parameter(given))
    given[0] = 9.0
    assert layer.array.tolist() == [1.0, 2.0]  # a copy
    assert dtype_of(layer.array) == "float64"
    layer.array[1] = 7.0
    assert layer.initialize(0).array.tolist() == [1.0, 2.0]  # and the values are another
    assert dtype_of(Holder(nnx.Parameter(0.5)).array) == "float32"
    assert dtype_of(Holder(nnx.Parameter([0.5, 1.0])).array) == "float32"
    assert dtype_of(Holder(nnx.Buffer([1, 2])).array) == "int64"
    there = Holder(nnx.Buffer(backend.asarray(np.asarray([True, False]))))
    assert dtype_of(there.array) == "bool"
    assert there.array.tolist() == [True, False]


@pytest.mark.parametrize(
    "make, kind, message",
    [
        (
            lambda: nnx.Parameter((2, 3)),
            ConfigError,
            r"a tuple for the shape and an initializer, or an array, got Parameter\(\(2, 3\), None\)",
        ),
        (lambda: nnx.Parameter(3, nnx.init.ones()), ConfigError, r"expected a tuple for the shape and an initializer"),
        (lambda: nnx.Parameter((3,), 0.0), ConfigError, r"got Parameter\(\(3,\), 0\.0\)\. Write for example"),
        (
            lambda: nnx.Parameter(np.asarray([1, 2])),
            DtypeError,
            r"Parameter: expected floating-point values to train, got int64",
        ),
        (lambda: nnx.Linear(0, 3), ConfigError, r"Linear: expected in_features a whole number ≥ 1, got 0"),
        (lambda: nnx.Linear(3, 2.0), ConfigError, r"Linear: expected out_features a whole number ≥ 1, got 2\.0"),
        (lambda: nnx.Linear(True, 3), ConfigError, r"Linear: expected in_features a whole number ≥ 1, got True"),
        (
            lambda: nnx.Dropout(1.0),
            ConfigError,
            r"Dropout: expected a probability 0 ≤ p < 1 of dropping a value, got 1\.0",
        ),
        (lambda: nnx.Dropout(float("nan")), ConfigError, r"Dropout: expected a probability 0 ≤ p < 1"),
        (lambda: nnx.BatchNorm(3, momentum=1.1), ConfigError, r"BatchNorm: expected momentum in \[0, 1\], got 1\.1"),
        (lambda: nnx.BatchNorm(3, eps=0.0), ConfigError, r"BatchNorm: expected eps > 0, got 0\.0"),
        (lambda: nnx.Maxout(0), ConfigError, r"Maxout: expected pieces a whole number ≥ 1, got 0"),
        (
            lambda: nnx.MinMaxScale(2, 1.0, 1.0),
            ConfigError,
            r"MinMaxScale: expected low < high, got low=1\.0, high=1\.0",
        ),
        (lambda: nnx.Sequential(nnx.ReLU(), 3), ConfigError, r"Sequential: expected modules, got int at position 1"),
    ],
)
def test_bad_arguments_are_refused_when_the_object_is_made(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_an_initializer_must_give_the_shape():
    layer = Holder(nnx.Parameter((3,), lambda key, shape: np.zeros(2)))
    with pytest.raises(ShapeError, match=r"array: expected shape \(3,\), got \(2,\)"):
        layer.initialize(0)


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
    assert type(twin) is type(model)
    twin.blocks[0].weight = twin.blocks[0].weight + 1
    assert all(array is before[path] for path, array in model.state().items())


# looking --------------------------------------------------------------------------------------------------------------
def test_repr_and_indexing():
    model = nnx.Sequential(nnx.Linear(4, 6, bias=False), nnx.LeakyReLU(0.2), nnx.Dropout(p=0.5))
    assert repr(model) == "Sequential(Linear(4, 6, bias=False), LeakyReLU(0.2), Dropout(p=0.5))"
    assert len(model) == 3
    assert model[1] is model.layers[1]
    assert repr(model[:2]) == "Sequential(Linear(4, 6, bias=False), LeakyReLU(0.2))"
    assert model[:1][0].weight is model[0].weight


def test_summary(backend):
    model = mlp(0.5).to(backend)
    model.layers[4].freeze("bias")
    text = str(model.summary((64, 4)))
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines() == [
        "layer                output shape  parameters  bytes",
        "────────────────────────────────────────────────────",
        "layers.0  Linear     (64, 6)               24     96",
        "layers.1  BatchNorm  (64, 6)               12     96",
        "layers.2  ReLU       (64, 6)                0      0",
        "layers.3  Dropout    (64, 6)                0      0",
        "layers.4  Linear     (64, 3)               21     84",
        "────────────────────────────────────────────────────",
        "54 trainable parameters, 3 frozen, 12 in buffers, 276 bytes",
    ]


def test_summary_is_inference_also_inside_a_training_pass(backend):
    model = nnx.Sequential(nnx.Standardize(4), nnx.BatchNorm(4), nnx.Dropout(0.5)).to(backend)
    with nnx.training(seed=0, step=0) as this:
        summary = model.summary((1, 4))
    assert [row.output_shape for row in summary.rows] == [(1, 4)] * 3
    assert this.buffers == {}
    assert not model.layers[0].is_fitted


def test_summary_of_a_model_of_ones_own():
    rows = Tied().summary((2, 4)).rows
    assert [(row.path, row.layer, row.parameters) for row in rows] == [
        ("encode", "Linear", 12), ("encode", "Linear", 12), ("", "Tied", 3),
    ]  # fmt: skip
    assert str(mlp().initialize(0, dtype="float64").summary((2, 4))).endswith(
        "57 trainable parameters, 12 in buffers, 552 bytes"
    )
