"""Attributes and declarations: what a module may hold, and what it says of the rest."""

import contextlib

import numpy as np
import pytest
from layers.helpers import draw, foreign, host, same
from layers.models import Holder, Scale, mlp
from support.compare import dtype_of

import nnx
from nnx.errors import ConfigError, DtypeError, MixedArraysError, ShapeError, StateError


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
    with pytest.raises(
        AttributeError, match=r"expected one of gamma, beta, running_mean, running_variance, features, mom"
    ):
        _ = nnx.BatchNorm(3).mean
    with pytest.raises(ConfigError, match=r"Holder must define forward\(self, x\)"):
        Holder(nnx.Parameter(1.0))(np.ones(1))


def test_whole_numbers_of_numpy_are_sizes(tmp_path):
    """What y.max() + 1 and np.prod(shape) come to."""
    two, three = np.int64(2), np.int32(3)
    model = nnx.Sequential(
        nnx.Reshape((three, two)),
        nnx.Conv1d(two, three, two),
        nnx.BatchNorm(three),
        nnx.Flatten(),
        nnx.Linear(np.int64(6), two),
    )
    x = np.linspace(-1, 1, 12, dtype="float32").reshape(2, 6)
    nnx.save(model, tmp_path / "m.safetensors")
    np.testing.assert_array_equal(nnx.load(tmp_path / "m.safetensors")(x), model(x))
    assert nnx.Embedding(three, two, padding=np.int64(0))(np.asarray([1])).shape == (1, 2)
    assert nnx.optim.StepDecay(0.1, every=two, per="step")(2) == pytest.approx(0.01)


def test_a_number_of_numpy_is_a_number(backend):
    """1/np.sqrt(d) as an attribute is a float: no array, and it makes no float64 of float32."""

    class Scaled(nnx.Module):
        def __init__(self, d):
            self.scale = 1 / np.sqrt(d)

        def forward(self, x):
            return x * self.scale

    layer = Scaled(4)
    assert (type(layer.scale), layer.scale, layer.state()) == (float, 0.5, {})
    assert dtype_of(layer(backend.asarray(np.ones(2, dtype="float32")))) == "float32"


def test_an_array_as_initializer_is_told():
    with pytest.raises(ConfigError, match="expected a tuple for the shape and an initializer, or an array"):
        nnx.Linear(2, 3, init=np.ones((2, 3)))


def test_arrays_of_the_class_are_refused():
    """All objects would share them, and nothing would train them."""
    for value in (nnx.Parameter((2,), nnx.init.ones()), nnx.Linear(2, 2)):
        with pytest.raises(
            ConfigError, match=r"Shared: .*, got part = \w+\(…\) in the class\. Write self\.part = … in __init__"
        ):
            type("Shared", (nnx.Module,), {"part": value})
    assert isinstance(type("Shared", (nnx.Module,), {"part": nnx.ReLU()})().part, nnx.ReLU)


def test_what_a_property_misses_is_told_and_not_the_property():
    class Wide(nnx.Module):
        @property
        def width(self):
            return self.missing.shape[0]

    with pytest.raises(AttributeError, match="Wide has no attribute 'missing'"):
        _ = Wide().width


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


@pytest.mark.parametrize(
    "kind, sizes",
    [
        (nnx.Linear, (2, 3)),
        (nnx.Conv1d, (2, 3, 2)),
        (nnx.Conv2d, (2, 3, 2)),
        (nnx.ConvTranspose1d, (2, 3, 2)),
        (nnx.ConvTranspose2d, (2, 3, 2)),
        (nnx.Embedding, (3, 2)),
        (nnx.LearnedPositions, (3, 2)),
    ],
)
def test_weights_begin_as_init_says(kind, sizes):
    layer = kind(*sizes, init=nnx.init.constant(0.5)).initialize(0)
    (weight,) = [array for path, array in layer.parameters().items() if path != "bias"]
    assert (weight == 0.5).all()


def test_an_initializer_must_give_the_shape():
    layer = Holder(nnx.Parameter((3,), lambda key, shape: np.zeros(2)))
    with pytest.raises(ShapeError, match=r"array: expected shape \(3,\), got \(2,\)"):
        layer.initialize(0)
