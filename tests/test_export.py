"""ONNX files: every layer under onnxruntime, what a file says of itself, and what cannot be exported."""

import json
import sys

import numpy as np
import pytest
from cases.layers import LAYERS

import nnx
from nnx.errors import BackendUnavailable, ConfigError, ShapeError, StateError

onnx = pytest.importorskip("onnx", reason="needs onnx (extra onnx)")
ort = pytest.importorskip("onnxruntime", reason="needs onnxruntime besides the extra onnx")
pytest.importorskip("ndonnx", reason="needs ndonnx (extra onnx)")


def ready(model, dtype="float32"):
    if not getattr(model, "is_fitted", False):
        model.initialize(seed=3)
    return model.to("numpy", dtype=dtype)


def outputs(path, x):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {"input": x})
    return dict(zip([output.name for output in session.get_outputs()], found))


def worst(theirs, ours):
    ours = np.asarray(ours)
    assert theirs.shape == ours.shape
    assert theirs.dtype == ours.dtype
    return float(np.abs(theirs - ours).max(initial=0.0)) / (float(np.abs(ours).max(initial=0.0)) or 1.0)


def about(path):
    return {prop.key: prop.value for prop in onnx.load(str(path)).metadata_props}


class Twice(nnx.Module):
    """A layer of a user's own, that shows how a graph is made wrong."""

    def __init__(self, what):
        self.what = what

    def forward(self, x):
        return self.what(x)


def network(*more):
    return ready(nnx.Sequential(nnx.Linear(4, 3), nnx.Tanh(), *more))


# values ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("row", "dtype"),
    [pytest.param(row, "float32", id=name) for name, row in LAYERS.items() if not row.training]
    + [
        pytest.param(LAYERS[name], "float64", id=f"{name} of float64")
        for name in ("linear", "gelu", "convolution", "transposed convolution of sequences", "max pool of sequences")
    ],
)
def test_every_layer_gives_what_nnx_gives_for_any_number_of_rows(row, dtype, tmp_path):
    model = ready(row.make(), dtype)
    x = row.inputs().astype("int64" if row.count else dtype)
    done = nnx.export(model, tmp_path / "layer.onnx", input_shape=x.shape, input_dtype=x.dtype, check=False)
    for n in (len(x), 1, 0):
        assert worst(outputs(done.path, x[:n])["output"], model(x[:n])) <= 1e-5


def test_a_wrong_graph_is_seen(tmp_path, monkeypatch):
    from nnx.backends import ndonnx

    monkeypatch.setattr(ndonnx.xp, "tanh", ndonnx.xp.sin)
    with pytest.raises(StateError, match=r"Sequential: expected onnxruntime to give .* got a difference of 0\.\d+"):
        nnx.export(network(), tmp_path / "wrong.onnx", input_shape=(1, 4))
    assert not list(tmp_path.iterdir())
    assert nnx.export(network(), tmp_path / "wrong.onnx", input_shape=(1, 4), check=False).difference is None


def test_nan_is_not_lost(tmp_path):
    model = ready(nnx.Sequential(nnx.MaxPool2d(2), nnx.Flatten(), nnx.Maxout(2)))
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32")
    x[0, 1, 2, 1] = np.nan
    done = nnx.export(model, tmp_path / "m.onnx", input_shape=x.shape)
    np.testing.assert_array_equal(outputs(done.path, x)["output"], model(x))


def test_a_whole_network_with_its_preparation(tmp_path):
    digits = nnx.data.load("digits").as_images()
    model = nnx.Sequential(
        nnx.Standardize(1).fit(digits.x), nnx.Conv2d(1, 4, 3, padding="same", bias=False), nnx.BatchNorm(4), nnx.ReLU(),
        nnx.MaxPool2d(2), nnx.Residual(nnx.Conv2d(4, 4, 3, padding=1)), nnx.GlobalAvgPool(), nnx.Dropout(0.5), nnx.Linear(4, 10),
    ).initialize(0)  # fmt: skip
    model.layers[0].fit(digits.x)
    done = nnx.export(model, tmp_path / "digits.onnx", data=digits)
    found = outputs(done.path, digits.x[:50].astype("float32"))
    logits = model(digits.x[:50].astype("float32"))
    assert list(found) == list(done.outputs) == ["logits", "probabilities"]
    assert worst(found["logits"], logits) <= 1e-5
    assert worst(found["probabilities"], nnx.ops.softmax(logits)) <= 1e-5


def test_arrays_anywhere_and_several_outputs(backend, tmp_path):
    model = nnx.Sequential(
        nnx.Linear(4, 3), Twice(lambda x: {"mean": nnx.namespace(x).mean(x, axis=1), "all": (x, -x)})
    )
    model.initialize(0).to(backend.spec)
    done = nnx.export(model, tmp_path / "m.onnx", input_shape=(1, 4))
    assert done.outputs == ("output.mean", "output.all.0", "output.all.1")
    assert done.difference <= 1e-5


def test_a_model_that_looks_up_whole_numbers(tmp_path):
    model = nnx.Sequential(
        nnx.Embedding(5, 4), nnx.LearnedPositions(3, 4), nnx.TransformerBlock(4, 2), nnx.GRU(4, 3)
    ).initialize(0)
    done = nnx.export(model, tmp_path / "m.onnx", input_shape=(1, 3))
    assert done.inputs == {"input": ("int64", ("N", 3))}
    x = np.asarray([[0, 4, 2]])
    assert worst(outputs(done.path, x)["output"], model(x)) <= 1e-5


# what a file says of itself -------------------------------------------------------------------------------------------
def test_names_of_inputs_outputs_weights_and_the_metadata(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 4))
    data = nnx.data.Dataset(
        x, np.arange(30) % 3, classes=("ä", "b", "c"), feature_names=("p", "q", "r", "s"), target_name="kind"
    )
    model = nnx.Sequential(nnx.Linear(4, 5), nnx.ReLU(), nnx.Linear(5, 3), nnx.Softmax()).initialize(0)
    done = nnx.export(model, tmp_path / "m.onnx", data=data)
    assert done.inputs == {"input": ("float32", ("N", 4))}
    assert done.outputs == ("probabilities",)
    graph = onnx.load(str(done.path)).graph
    assert [value.name for value in graph.input] == ["input"]
    assert [d.dim_param or d.dim_value for d in graph.output[0].type.tensor_type.shape.dim] == ["N", 3]
    kept = {array.name: onnx.numpy_helper.to_array(array) for array in graph.initializer}
    assert kept.keys() == model.state().keys()
    assert all(np.array_equal(kept[name], array) for name, array in model.state().items())
    told = about(done.path)
    assert told.pop("nnx") == "1"
    assert {name: json.loads(text) for name, text in told.items()} == {
        "task": "classification", "classes": ["ä", "b", "c"], "feature_names": ["p", "q", "r", "s"], "target": "kind",
    }  # fmt: skip


def test_a_run_and_its_directory_tell_their_data(tmp_path):
    rng = np.random.default_rng(0)
    train = nnx.data.load((rng.normal(size=(40, 3)), rng.normal(size=(40, 1))), task="regression")
    model = nnx.Sequential(nnx.Standardize(3), nnx.Linear(3, 1), nnx.Unstandardize(1))
    run = nnx.fit(model, train, epochs=1, directory=tmp_path / "run")
    files = [
        nnx.export(what, tmp_path / f"{i}.onnx")
        for i, what in enumerate((run, tmp_path / "run", tmp_path / "run" / "model.safetensors"))
    ]
    assert {done.outputs for done in files} == {("prediction",)}
    assert len({done.path.read_bytes() for done in files}) == 1
    assert json.loads(about(files[0].path)["task"]) == "regression"


# what is refused ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "what",
    [
        lambda x: x * float(nnx.namespace(x).sum(x)),
        lambda x: x if nnx.namespace(x).any(x > 0) else -x,
        lambda x: nnx.namespace(x).reshape(x, (x.shape[0] * 3,)),
        lambda x: nnx.namespace(x).fft.fft(x),
    ],
    ids=["float", "if", "rows", "fft"],
)
def test_a_layer_that_cannot_be_exported_is_named(what, tmp_path):
    model = network(nnx.Residual(Twice(what)))
    with pytest.raises(
        StateError,
        match=r"^layers\.2(\.inner \(Twice\)| \(Residual\)): expected .*layers that ONNX can express.* Write ",
    ):
        nnx.export(model, tmp_path / "m.onnx", input_shape=(1, 4))
    assert not list(tmp_path.iterdir())


def test_a_constant_output_is_refused(tmp_path):
    with pytest.raises(
        StateError, match=r"^Twice: expected outputs that are computed from the input, got output, a ndarray"
    ):
        nnx.export(Twice(lambda x: np.zeros((1, 3), dtype="float32")), tmp_path / "m.onnx", input_shape=(1, 4))


def test_errors_of_layers_pass_through(tmp_path):
    with pytest.raises(ShapeError, match=r"layers.0 \(Linear\): expected x of shape \(…, 4\), got \(None, 5\)"):
        nnx.export(network(), tmp_path / "m.onnx", input_shape=(1, 5))
    with pytest.raises(StateError, match=r"layers.0 \(Standardize\): expected a fitted layer"):
        nnx.export(nnx.Sequential(nnx.Standardize(4)), tmp_path / "m.onnx", input_shape=(1, 4))


@pytest.mark.parametrize("shape", [(), 4, (1, 0), (1, "a"), (1, True)])
def test_a_wrong_shape_of_the_inputs(shape, tmp_path):
    with pytest.raises(ConfigError, match=r"export: expected input_shape \(N, …\) of whole numbers"):
        nnx.export(network(), tmp_path / "m.onnx", input_shape=shape)


def test_wrong_arguments(tmp_path):
    with pytest.raises(
        ConfigError, match=r"export: the shape of the inputs is not known. Pass data=train, or input_shape"
    ):
        nnx.export(network(), tmp_path / "m.onnx")
    with pytest.raises(ConfigError, match=r"export: expected a model, a run or a path, got int"):
        nnx.export(3, tmp_path / "m.onnx", input_shape=(1, 4))
    with pytest.raises(ConfigError, match=r"expected the name of a file in a directory that exists, got the directory"):
        nnx.export(network(), tmp_path, input_shape=(1, 4))
    with pytest.raises(ConfigError, match=r"expected the name of a file in a directory that exists, got .*nowhere"):
        nnx.export(network(), tmp_path / "nowhere" / "m.onnx", input_shape=(1, 4))


def test_a_file_that_is_there_is_kept_unless_it_is_the_same(tmp_path):
    path = tmp_path / "m.onnx"
    nnx.export(network(), path, input_shape=(1, 4))
    before = path.read_bytes()
    nnx.export(network(), path, input_shape=(9, 4))
    path.write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"expected a new file, got .*m.onnx, which exists and is another"):
        nnx.export(network(), path, input_shape=(1, 4))
    assert path.read_bytes() == b"mine"
    nnx.export(network(), path, input_shape=(1, 4), force=True)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_too_large_for_the_format(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["nnx.export.onnx_file"], "LIMIT", 40)
    with pytest.raises(StateError, match=r"Sequential: expected a model of at most 2 GiB.*got 60 bytes"):
        nnx.export(network(), tmp_path / "m.onnx", input_shape=(1, 4))


def test_without_ndonnx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nnx.backends.ndonnx", None)
    with pytest.raises(
        BackendUnavailable, match=r'ndonnx is not installed. Run: python -m pip install "nnx-array\[onnx\]"'
    ):
        nnx.export(network(), tmp_path / "m.onnx", input_shape=(1, 4))


def test_inside_a_training_pass_it_is_inference(tmp_path):
    model = network(nnx.Dropout(0.5))
    with nnx.training(seed=0, step=0):
        assert nnx.export(model, tmp_path / "m.onnx", input_shape=(1, 4)).difference <= 1e-5
