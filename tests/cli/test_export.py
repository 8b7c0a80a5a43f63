"""``nnx export``: from a table to probabilities under onnxruntime."""

import csv

import numpy as np
import pytest

ort = pytest.importorskip("onnxruntime", reason="needs onnxruntime besides the extra onnx")
pytest.importorskip("ndonnx", reason="needs ndonnx (extra onnx)")

ROWS = [(i * 0.5, ("cat", "dog")[i % 2]) for i in range(40)]


@pytest.fixture
def run(nnx, here):
    with open("pets.csv", "w", newline="") as file:
        csv.writer(file).writerows([("size", "species"), *ROWS])
    assert nnx("train", "pets.csv", "--epochs", "1", "--model", "mlp:4").code == 0
    return "runs/pets-001"


def test_a_run_becomes_a_file_that_predicts_what_nnx_predicts(nnx, run, here):
    done = nnx("export", run, "pets.onnx")
    assert done.code == 0, done.err
    first, second, third, last = done.out.splitlines()
    assert (first, second) == ("input     input: float32 (N, 1)", "outputs   logits, probabilities")
    assert third.startswith("checked   within ")
    assert last == f"wrote     pets.onnx, {(here / 'pets.onnx').stat().st_size:,} bytes"
    predicted = nnx("predict", run, "pets.csv").out.splitlines()[1:]
    x = np.asarray([[size] for size, _ in ROWS], dtype="float32")
    (theirs,) = ort.InferenceSession("pets.onnx").run(["probabilities"], {"input": x})
    np.testing.assert_allclose(theirs, [[float(p) for p in row.split(",")[2:]] for row in predicted], atol=2e-6)


def test_a_file_that_is_there_is_kept(nnx, run, here):
    (here / "pets.onnx").write_bytes(b"mine")
    done = nnx("export", run, "pets.onnx")
    assert done.code == 2
    assert done.err == (
        "nnx: export: expected a new file, got pets.onnx, which exists and is another. "
        "Take another name, or overwrite it: force=True, --force.\n"
    )
    assert (here / "pets.onnx").read_bytes() == b"mine"
    assert nnx("export", run, "pets.onnx", "--force", "--no-check").code == 0
    assert nnx("export", "nothing", "x.onnx").err.startswith("nnx: RUN: expected the directory of a run")
