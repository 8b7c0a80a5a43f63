"""Model files and the official safetensors package, in both directions; and numbers that NumPy lacks."""

import json
import struct

import numpy as np
import pytest
from cases.layers import LAYERS
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import nnx
from nnx.errors import DataError, StateError


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in LAYERS.items() if not row.training])
def test_the_official_package_reads_and_writes_what_nnx_does(row, tmp_path):
    model = row.make()
    if not getattr(model, "is_fitted", False):
        model.initialize(1)
    nnx.save(model, tmp_path / "ours.safetensors")
    read = load_file(tmp_path / "ours.safetensors")
    assert {path: (a.dtype, a.shape, a.tobytes()) for path, a in read.items()} == {
        path: (a.dtype, a.shape, np.ascontiguousarray(a).tobytes()) for path, a in model.state().items()
    }
    save_file(read, tmp_path / "theirs.safetensors")
    other = nnx.load(tmp_path / "theirs.safetensors", into=row.make().initialize(2))
    assert all(np.array_equal(array, model.state()[path]) for path, array in other.state().items())


def test_names_and_texts_by_the_official_reader(tmp_path):
    for length in range(8):
        nnx.save(nnx.Linear(2, 3), tmp_path / "m.safetensors", notes={"x": "x" * length})
        assert struct.unpack("<Q", (tmp_path / "m.safetensors").read_bytes()[:8])[0] % 8 == 0  # arrays are aligned
    nnx.save(nnx.Linear(2, 3), tmp_path / "m.safetensors", notes={"classes": ["é"]})
    with safe_open(tmp_path / "m.safetensors", "np") as file:
        assert sorted(file.keys()) == ["bias", "weight"]
        assert json.loads(file.metadata()["notes"]) == {"classes": ["é"]}


def test_a_file_for_another_model_is_refused(tmp_path):
    save_file({"weight": np.zeros((2, 3), "float32")}, tmp_path / "m.safetensors")
    with pytest.raises(StateError, match=r"expected the 2 paths of Linear, got missing: bias"):
        nnx.load(tmp_path / "m.safetensors", into=nnx.Linear(2, 3))
    with pytest.raises(DataError, match=r"expected a model file of nnx, got a safetensors file without its model"):
        nnx.load(tmp_path / "m.safetensors")


def written(path, kind, data, shape):
    header = json.dumps({"weight": {"dtype": kind, "shape": shape, "data_offsets": [0, len(data)]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def test_bfloat16_comes_as_float32(tmp_path):
    written(tmp_path / "m.safetensors", "BF16", struct.pack("<3H", 0x3F80, 0xC040, 0x7FC0), [3])
    found = nnx.train.files.weights.read_arrays(tmp_path / "m.safetensors")[0]["weight"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [1.0, -3.0, np.nan])


def test_numbers_that_nobody_here_has(tmp_path):
    written(tmp_path / "m.safetensors", "F8_E4M3", b"ab", [2])
    with pytest.raises(
        DataError, match=r"expected numbers of a type that NumPy has, or BF16: F64.*got F8_E4M3 for weight"
    ):
        nnx.train.files.weights.read_arrays(tmp_path / "m.safetensors")
