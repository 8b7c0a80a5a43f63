"""The door itself, arrays, NPZ and IDX: what is read."""

import io
import struct

import numpy as np
import pytest
from data.files import GOOD, IMAGES, LABELS, SMALL, TRAIN, TRAIN_LABELS, archive, npy

from nnx.data import load
from nnx.errors import DataError, ShapeError


@pytest.mark.parametrize(
    "dtype, expected",
    [("f4", "f4"), ("f8", "f8"), (">f8", "f8"), ("f2", "f4"), ("u1", "f4"), ("i8", "f4"), ("?", "f4")],
)
def test_arrays_keep_or_become_plain_reals(dtype, expected):
    data = load((np.ones((4, 2), dtype), [0, 1, 0, 1]))
    assert (data.x.dtype.str[1:], data.x.dtype.isnative, data.y.dtype) == (expected, True, np.int64)


def test_large_integers_are_noted():
    assert "above 2^24" in load(([[2**24 + 1], [0]], [0, 1])).notes[0]


@pytest.mark.parametrize(
    "y, task, labels, classes",
    [
        ([0, 1, 3, 1], "auto", [0, 1, 3, 1], ("0", "1", "2", "3")),  # class 2 keeps its number
        ([1, 2, 3, 2], "auto", [0, 1, 2, 1], ("1", "2", "3")),
        ([-1, 1, 1, -1], "auto", [0, 1, 1, 0], ("-1", "1")),
        ([0, 255, 0, 255], "auto", [0, 1, 0, 1], ("0", "255")),
        ([True, False, True, True], "auto", [1, 0, 1, 1], ("False", "True")),
        (["b", "a", "10", "b"], "auto", [2, 1, 0, 2], ("10", "a", "b")),
        ([b"b", b"a", b"a", b"a"], "auto", [1, 0, 0, 0], ("a", "b")),
        (["10", "9", "9", "9"], "auto", [1, 0, 0, 0], ("9", "10")),
        (np.asarray(["b", "a", "a", "a"], object), "auto", [1, 0, 0, 0], ("a", "b")),
        ([0.0, 1.0, 1.0, 0.0], "classification", [0, 1, 1, 0], ("0", "1")),
        ([0.0, 1.0, 1.0, 0.0], "auto", [[0.0], [1.0], [1.0], [0.0]], None),
        ([0, 1, 1, 0], "regression", [[0.0], [1.0], [1.0], [0.0]], None),
        ([[0, 5], [1, 5], [1, 5], [0, 5]], "auto", [[0, 5], [1, 5], [1, 5], [0, 5]], None),
    ],
)
def test_targets_of_arrays(y, task, labels, classes):
    data = load((np.zeros((4, 1)), y), task=task)
    assert (data.y.tolist(), data.classes) == (labels, classes)


def test_many_labels_are_classes_when_they_are_exactly_the_first_numbers():
    y = np.arange(1000) % 100
    assert load((np.zeros((1000, 1)), y)).outputs == 100
    assert load((np.zeros((1000, 1)), y + 1)).task == "regression"


def test_a_data_set_passes_through():
    digits = load("digits")
    assert load(digits) is digits
    assert load(digits, schema=digits.as_images().schema).x.shape == (1797, 8, 8, 1)


def test_a_data_set_is_renumbered_for_the_model():
    schema = load((np.zeros((3, 2)), ["a", "b", "c"])).schema
    other = load((np.zeros((2, 2)), ["c", "b"]))
    assert load(other, schema=schema).y.tolist() == [2, 1]
    with pytest.raises(ShapeError, match=r"digits: expected rows of shape \(2,\)"):
        load("digits", schema=load((np.zeros((10, 2)), range(10))).schema)
    with pytest.raises(DataError, match="digits, y at row 0: expected a class that the model knows, got '0'"):
        load("digits", schema=load((np.zeros((3, 64)), ["a", "b", "c"])).schema)


def test_the_task_is_said_for_every_kind(write):
    x, y = np.eye(3), np.asarray([0, 1, 2])
    write("y.npy", npy(y))
    write(TRAIN_LABELS, LABELS)
    sources = (
        (x.tolist(), y.tolist()), write("a.csv", GOOD), write("a.npz", x=x, y=y), write("x.npy", npy(x)), write(TRAIN, IMAGES),
    )  # fmt: skip
    for source in sources:
        assert load(source).task == "classification"
        assert load(source, task="regression").task == "regression"


def test_lists_do_not_stream():
    assert load(([[0.0], [1.0]], [0, 1]), stream=True).x.tolist() == [[0.0], [1.0]]


def test_npz_keys(write):
    x, y = np.eye(4, dtype="f4"), np.asarray([0, 1, 0, 1])
    for keys in (("x", "y"), ("X", "Y"), ("X", "y")):
        data = load(write("a.npz", **dict(zip(keys, (x, y)))))
        np.testing.assert_array_equal(data.x, x)
        np.testing.assert_array_equal(data.y, y)
    path = write("mnist.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert load(path, "y_train", inputs="x_train").name == "mnist.npz"
    named = load(write("b.npz", x=x, y=y, classes=np.asarray(["cat", "dog"])))
    assert named.classes == ("cat", "dog")


def test_npz_as_prediction_data(write):
    x, y = np.eye(4), np.asarray(["b", "a", "b", "c"])
    schema = load(write("a.npz", x=x, y=y)).schema
    assert load(write("b.npz", x=x[:1]), schema=schema).y is None
    assert load(write("c.npz", z=x[:1]), schema=schema).x.shape == (1, 4)
    assert load(write("d.npz", x=x[:2], y=["c", "b"]), schema=schema).y.tolist() == [2, 1]
    assert load(write("e.npz", x=x[:2], y=[1, 0], classes=["c", "a"]), schema=schema).y.tolist() == [0, 2]
    assert load(write("f.npz", x=x[:2], y=[1, 2]), schema=schema).y.tolist() == [1, 2]
    numbered = load((x, [1, 2, 3, 1])).schema
    assert load((x[:2], [3, 2]), schema=numbered).y.tolist() == [2, 1]


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("gz", ["", ".gz"])
def test_idx_types(write, dtype, gz):
    images = (np.arange(60).reshape(3, 4, 5) - 20 * (dtype[0] != "u")).astype(dtype)
    path = write(TRAIN + gz, images)
    write(TRAIN_LABELS, LABELS)
    data = load(path)
    np.testing.assert_array_equal(data.x, images.reshape(3, 20))
    assert data.x.dtype == (np.float64 if dtype == "f8" else np.float32)
    assert (data.y.tolist(), data.image_shape, data.classes) == ([2, 0, 1], (4, 5, 1), ("0", "1", "2"))
    assert data.as_images().x[1, 2, 3, 0] == images[1, 2, 3]


@pytest.mark.parametrize("gz", ["", ".gz"])
def test_a_folder_of_mnist(write, gz):
    path = write(f"mnist/{TRAIN}{gz}", IMAGES)
    write(f"mnist/{TRAIN_LABELS}{gz}", LABELS)
    write(f"mnist/t10k-images-idx3-ubyte{gz}", IMAGES[:1])
    write(f"mnist/t10k-labels-idx1-ubyte{gz}", LABELS[:1])
    data = load(path.parent)
    assert len(data) == 3
    assert f"t10k-images-idx3-ubyte{gz}" in data.notes[0]
    assert load(path.parent / f"t10k-images-idx3-ubyte{gz}", schema=data.schema).y.tolist() == [2]


def test_images_without_labels_are_prediction_data(write):
    schema = load((np.zeros((2, 20)), [0, 1])).schema
    data = load(write("new-images-idx3-ubyte", IMAGES), schema=schema)
    assert data.y is data.take([2, 0]).y is None
    np.testing.assert_array_equal(data.take([2, 0]).x, IMAGES.reshape(3, 20)[[2, 0]])
    assert load(write("new-images.idx3-ubyte.gz", IMAGES), schema=schema).x.shape == (3, 20)


def test_colour_images_keep_their_channels(write):
    write("a-labels-idx1-ubyte", LABELS)
    assert load(write("a-images-idx4-ubyte", np.zeros((3, 2, 2, 3), "u1"))).image_shape == (2, 2, 3)


def test_reading_runs_no_code(write):
    """An audit hook sees no unpickling, no exec and no process while each kind of file is read."""
    import subprocess
    import sys

    paths = [write("t.csv", GOOD), write("a.npz", **SMALL), write(TRAIN, IMAGES)]
    write(TRAIN_LABELS, LABELS)
    code = (
        "import sys, nnx.data\n"
        "def load():\n"
        "    for source in ['digits', *sys.argv[1:]]: nnx.data.load(source)\n"
        "load()  # the modules that the standard library and NumPy import when first used\n"
        "bad = []\n"
        "def hook(event, arguments):\n"
        "    if event in ('pickle.find_class', 'subprocess.Popen', 'socket.connect', 'os.system', 'exec', 'compile'): bad.append(event)\n"
        "sys.addaudithook(hook)\n"
        "load()\n"
        "print(bad, len(sys.argv[1:]))\n"
    )
    out = subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, paths)], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[] 3"


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6.0).reshape(3, 2)),
        np.arange(6.0).reshape(3, 2).astype(">f8"),
        np.ones((3, 2), bool),
        np.ones((3, 2, 2), ">i2"),
    ],
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_layout_that_numpy_writes(write, array, version):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    data = load(write("a.npz", archive(x=file.getvalue(), y=npy(np.asarray(["é", "b", "é"], ">U1")))))
    np.testing.assert_array_equal(data.x, array)
    assert data.classes == ("b", "é")


def test_headers_of_other_writers(write):
    """Another order, double quotes, Python 2's long integers: all within the format."""
    body = np.eye(2).tobytes()
    for text in (
        "{'shape': (2, 2), 'fortran_order': False, 'descr': '<f8'}\n",
        '{"descr":"<f8","fortran_order":False,"shape":(2,2)}',
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2L, 2L), }        \n",
    ):
        raw = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + body
        np.testing.assert_array_equal(load(write("a.npz", archive(x=raw, y=npy([0, 1])))).x, np.eye(2))
