"""What a state of another model may be, and what is refused, without PyTorch."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import nnx
from nnx.errors import ConfigError, DataError, ShapeError, StateError


def arrays(*shapes):
    return [np.random.default_rng(i).normal(size=shape).astype("float32") for i, shape in enumerate(shapes)]


def state():
    a, b, c, d = arrays((4, 3), (4,), (2, 4), (2,))
    return {"0.weight": a, "0.bias": b, "2.weight": c, "2.bias": d}


def model():
    return nnx.Sequential(nnx.Linear(3, 4), nnx.ReLU(), nnx.Linear(4, 2)).initialize(0)


def refused(error, match, given, into=None, **options):
    into = model() if into is None else into
    before = {path: array.tobytes() for path, array in into.state().items()}
    with pytest.raises(error, match=match):
        nnx.load_torch(given, into=into, **options)
    assert before == {path: array.tobytes() for path, array in into.state().items()}


def test_a_prefix_other_names_and_what_is_ignored():
    given = {f"module.{key.replace('2.', 'head.')}": value for key, value in state().items()} | {"step": np.asarray(3)}
    filled = nnx.load_torch(given, into=model(), prefix="module.", names={"layers.2": "head"})
    np.testing.assert_array_equal(filled.layers[2].weight, state()["2.weight"].T)
    given["module.extra.weight"] = np.zeros(1)
    refused(StateError, r"got also extra.weight", given, prefix="module.", names={"layers.2": "head"})
    nnx.load_torch(given, into=model(), prefix="module.", names={"layers.2": "head"}, ignore=["extra."])


def test_layers_that_pytorch_lacks_keep_their_values(tmp_path):
    x = np.random.default_rng(0).normal(size=(9, 3))
    ours = nnx.Sequential(nnx.Standardize(3).fit(x), *model().layers)
    save_file(state(), tmp_path / "m.safetensors")
    nnx.load_torch(tmp_path / "m.safetensors", into=ours, names={f"layers.{i + 1}": f"{i}" for i in range(3)})
    np.testing.assert_allclose(ours.layers[0].mean, x.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(ours.layers[1].weight, state()["0.weight"].T)


def test_arrays_of_ones_own_modules_are_taken_as_they_are():
    class Own(nnx.Module):
        def __init__(self):
            self.matrix = nnx.Parameter((2, 3), nnx.init.zeros())
            self.inner = nnx.Linear(3, 1)

    matrix, weight, bias = arrays((2, 3), (1, 3), (1,))
    own = nnx.load_torch({"matrix": matrix, "inner.weight": weight, "inner.bias": bias}, into=Own())
    np.testing.assert_array_equal(own.matrix, matrix)
    np.testing.assert_array_equal(own.inner.weight, weight.T)
    lacking = {"inner.weight": weight, "inner.bias": bias}
    refused(StateError, "Own: expected an array matrix in the state, got none", lacking, Own().initialize(0))


def test_the_dtype_is_that_of_the_state():
    wide = {key: value.astype("float64") for key, value in state().items()}
    assert {str(a.dtype) for a in nnx.load_torch(wide, into=model()).state().values()} == {"float64"}
    half = {key: value.astype("float16") for key, value in state().items()}
    assert {str(a.dtype) for a in nnx.load_torch(half, into=model()).state().values()} == {"float32"}


def test_attention_named_as_here():
    e = 4
    ours = nnx.MultiHeadAttention(e, 2)
    given = {f"{part}.weight": a for part, a in zip(("query", "key", "value", "output"), arrays(*[(e, e)] * 4))}
    given |= {f"{part}.bias": a for part, a in zip(("query", "value", "output"), arrays(*[(e,)] * 3))}
    nnx.load_torch(given, into=ours)
    np.testing.assert_array_equal(ours.key.weight, given["key.weight"].T)


def test_what_does_not_fit_is_named_and_nothing_is_changed():
    lacking = {key: value for key, value in state().items() if key != "2.bias"}
    refused(StateError, r"layers.2 \(Linear\): expected an array 2.bias in the state, got none", lacking)
    near = {("2.bais" if key == "2.bias" else key): value for key, value in state().items()}
    refused(
        StateError, r"expected an array 2.bias in the state, got none \(there is 2.bais\). Name the layers alike", near
    )
    refused(
        StateError,
        r"load_torch: expected keys that Sequential has a place for, got also 3.weight",
        state() | {"3.weight": np.ones(1)},
    )
    refused(
        ShapeError,
        r"layers.0 \(Linear\): expected 0.weight of 2 axes, got shape \(4,\)",
        state() | {"0.weight": np.ones(4)},
    )
    refused(ShapeError, r"layers.0.weight: expected .*\(3, 4\), got \(3, 5\)", state() | {"0.weight": np.ones((5, 3))})
    attention = {"in_proj_weight": np.ones((11, 4)), "in_proj_bias": np.ones(12)}
    refused(
        ShapeError,
        r"expected in_proj_weight of shape \(12, 4\), got \(11, 4\)",
        attention,
        nnx.MultiHeadAttention(4, 2),
    )
    deep = dict(
        zip(
            ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l1"),
            arrays((9, 2), (9, 3), (9,), (9,), (9, 3)),
        )
    )
    refused(StateError, r"got also weight_ih_l1", deep, nnx.GRU(2, 3))


def test_tied_arrays_must_be_tied():
    tied = nnx.Sequential(nnx.Linear(3, 3), nnx.Linear(3, 3))
    tied.layers[1].weight = tied.layers[0]._declared["weight"]
    w, b = arrays((3, 3), (3,))
    given = {"0.weight": w, "0.bias": b, "1.weight": w, "1.bias": b}
    np.testing.assert_array_equal(nnx.load_torch(given, into=tied).layers[1].weight, w.T)
    given["1.weight"] = w + 1
    refused(StateError, r"expected one array for layers.0.weight and layers.1.weight, which are tied here", given, tied)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
def test_a_pickle_is_refused_unopened(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    refused(
        DataError,
        r"expected a .safetensors file, got a pickle .* which could run code.*safetensors.torch.save_file",
        path,
    )


def test_wrong_arguments():
    refused(ConfigError, r"load_torch: expected a state \(a mapping from names to arrays\)", ["0.weight"])
    with pytest.raises(ConfigError, match=r"load_torch: expected a model to fill, got dict"):
        nnx.load_torch(state(), into={})
