"""The door itself, arrays, NPZ and IDX, and what they refuse. Everything malformed is one row of MALFORMED."""

import gzip
import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from nnx.data import limits, load
from nnx.data.stream import Streamed
from nnx.errors import ConfigError, DataError, DtypeError, ShapeError

IMAGES = np.arange(3 * 4 * 5).reshape(3, 4, 5).astype("u1")
LABELS = np.asarray([2, 0, 1], "u1")
TRAIN, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def npy(array_or_header):
    """The bytes of an NPY file: of an array, or only a header that declares (shape, dtype)."""
    file = io.BytesIO()
    if isinstance(array_or_header, tuple):
        shape, dtype = array_or_header
        np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": dtype})
    else:
        np.lib.format.write_array(file, np.asarray(array_or_header))
    return file.getvalue()


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(f"{name}.npy", content)
    return file.getvalue()


def header(code, *sizes):
    return struct.pack(f">BBBB{len(sizes)}i", 0, 0, code, len(sizes), *sizes)


# ---- what is read ------------------------------------------------------------------------------------------------


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
    assert load(write("new-images-idx3-ubyte", IMAGES), schema=schema).y is None
    assert load(write("new-images.idx3-ubyte.gz", IMAGES), schema=schema).x.shape == (3, 20)


def test_colour_images_keep_their_channels(write):
    write("a-labels-idx1-ubyte", LABELS)
    assert load(write("a-images-idx4-ubyte", np.zeros((3, 2, 2, 3), "u1"))).image_shape == (2, 2, 3)


# ---- what is refused: each with the place and the fix ------------------------------------------------------------

HUGE = 1 << 50
GOOD = "a,b,y\n1,2,0\n3,4,1\n5,6,0\n"
SMALL = {"x": np.eye(2), "y": np.asarray([0, 1])}

MALFORMED = [
    # tables
    ("t.csv", "", DataError, "t.csv: the file is empty. Write a header"),
    ("t.csv", "\n\n", DataError, "the file is empty"),
    ("t.csv", "a,b,y\n", DataError, "a header and no rows. Add rows"),
    ("t.csv", "1,2,0\n3,4,1\n", DataError, r"row 1: expected a header.*got numbers: '1', '2', '0'.*header=False"),
    ("t.csv", "a,,y\n1,2,0\n", DataError, "row 1: column 1 has no name.*index=False"),
    ("t.csv", "a,a,y\n1,2,0\n", DataError, "row 1: two columns named 'a'. Rename"),
    ("t.csv", "y\n1\n2\n", DataError, "no column besides the target 'y'. Leave at least one input"),
    ("t.csv", "a,b,y\n1,2,0\n3,4\n", DataError, "row 3: expected 3 cells as in the first row, got 2. Add or remove"),
    ("t.csv", "a,b,y\n1,2,0\n3,4,1,9\n", DataError, r'row 3: expected 3 cells.*got 4.*"quotes"'),
    ("t.csv", "a,b,y\n1,,0\n3,4,1\n", DataError, "row 2, column 'b': expected a number, got an empty cell. Fill it in"),
    ("t.csv", "a,b,y\n1,2,0\n3,NA,1\n", DataError, r"row 3, column 'b': expected a number, got a missing value \('NA'\)"),
    ("t.csv", "a,b,y\n1,2,0\n3,?,1\n", DataError, r"row 3, column 'b'.*'\?'.*remove the row"),
    ("t.csv", "a,b,y\n1,nan,0\n3,4,1\n", DataError, r"row 2, column 'b'.*a missing value \('nan'\)"),
    ("t.csv", "a,b,y\nu,nan,0\n,4,1\n", DataError, "row 3, column 'a': expected a value, got an empty cell"),
    ("t.csv", "a,b,y\n1,NA,0\n3,NA,1\n", DataError, "row 2, column 'b': expected a number"),
    ("t.csv", "a,b,y\n1,inf,0\n3,4,1\n", DataError, "row 2, column 'b': expected a finite number, got 'inf'. Correct"),
    ("t.csv", "a,b,y\n1,1e999,0\n3,4,1\n", DataError, "row 2, column 'b': expected a finite number, got '1e999'"),
    ("t.csv", "a,y\n" + "1,0\n2,1\n-inf,0\n" * 20, DataError, "row 4, column 'a': expected a finite number, got '-inf'"),
    ("t.csv", "a,b,y\n1,1e39,0\n3,4,1\n", DataError, "row 2, column 'b': .*float32.*got 1e39. Change the unit"),
    ("t.csv", "a,b,y\n1,1_000,0\n3,4,1\n", DataError, "row 2, column 'b': expected a number.*got '1_000'"),
    ("t.csv", "a,b,y\n1,2,\n3,4,1\n", DataError, "row 2, column 'y': expected a number, got an empty cell"),
    ("t.csv", "a,b,y\n1,2,q\n3,4,q\n", DataError, "column 'y': expected at least two classes, got only 'q'. There is"),
    ("t.csv", 'a,b,y\n1,"2,0\n3,4,1\n', DataError, "row 2: unexpected end of data. Look for a quote"),
    ("t.csv", 'a,b,y\n1,"2"2,0\n', DataError, "row 2: .*expected after.*Look for a quote"),
    ("t.csv", "a,b,y\r1,2,0\r3,4,1\r", DataError, "row 1: new-line character seen"),
    ("t.csv", f'a,b,y\n1,{"x" * 200_000},0\n', DataError, "row 2: field larger than field limit"),
    ("t.csv", ",".join(f"c{i}" for i in range(100_001)) + "\n", DataError, "row 1: expected at most 100000 columns.*NPZ"),
    ("t.csv", b"a,b\xff,y\n1,2,0\n", DataError, "line 1: expected UTF-8, got byte 0xff. Save the file as text"),
    ("t.csv", GOOD.encode("utf-16"), DataError, "line 1: a zero byte.*UTF-16. Save"),
    ("t.csv", b"a" * (17 << 20), DataError, "line 1: a line longer than 16777216 bytes"),
    ("t.csv", "id,y\n" + "".join(f"k{i},{i % 2}\n" for i in range(1500)), DataError, "column 'id'.*more than 1000.*drop="),
    # NPZ
    ("a.npz", b"", DataError, "a.npz: expected a whole NPZ archive, got File is not a zip file. Copy it again"),
    ("a.npz", archive(**{k: npy(v) for k, v in SMALL.items()})[:-30], DataError, "expected a whole NPZ archive"),
    ("a.npz", archive(), DataError, r"a.npz: no arrays. Write it with numpy.savez"),
    ("a.npz", archive(a=npy(np.eye(2)), b=npy(np.eye(2))), ConfigError, "named x or X, got 'a', 'b'.*inputs='x_train'"),
    ("a.npz", archive(x=npy(np.eye(2)), X=npy(np.eye(2))), ConfigError, "both 'x' and 'X'. Say which with inputs="),
    ("a.npz", archive(x=npy(np.eye(2))), DataError, "a.npz: there are no targets. Pass y, or schema="),
    ("a.npz", archive(x=b"", y=npy([0, 1])), DataError, "array x: .*no NPY header"),
    ("a.npz", archive(x=b"\x93NUMPY\x01\x00\x05\x00(((((", y=npy([0, 1])), DataError, r"array x: .*header that is none: '\(\(\(\(\('"),
    ("a.npz", archive(x=npy(((HUGE,), "<f8")), y=npy([0, 1])), DataError, r"array x: .*declares 9007199254740992 bytes and 0"),
    ("a.npz", archive(x=npy(((-1, 2), "<f8"))), DataError, r"array x: .*shape \(-1, 2\)"),
    ("a.npz", archive(x=npy(((2, 2), "<f8")) + bytes(31)), DataError, "array x: .*declares 32 bytes and 31 follow"),
    ("a.npz", archive(x=npy(((2, 2), "<f8")) + bytes(33)), DataError, "array x: .*declares 32 bytes and 33 follow"),
    ("a.npz", archive(x=npy(np.zeros(16 << 20))), DataError, "array x: .*grows at most 500 times.*KiB that declare 128 MiB"),
    ("a.npz", archive(x=npy(((2,), "|O")) + b"cos\nsystem\n"), DtypeError, "array x: .*Python objects. nnx runs no code"),
    ("a.npz", archive(x=npy([["a"]]), y=npy([0])), DtypeError, "a.npz: expected real numbers in x, got <U1.*CSV"),
    ("a.npz", archive(x=npy(np.eye(2)), y=npy([0, 1, 1])), ShapeError, r"a.npz: expected as many targets as rows of x, 2"),
    ("a.npz", archive(x=npy(np.eye(2)), y=npy([0, 9]), classes=npy(["a", "b"])), DataError, "y at row 1: .*0…1 .*got 9"),
    ("a.npz", archive(x=npy(np.zeros(2, "f4,i4"))), DtypeError, r"array x: .*got an array of type \[\('f0', '<f4'\)"),
    ("a.npz", archive(x=npy(np.eye(2)), y=npy(["a", "b"])[:-4] + b"\xff\xff\xff\xff"), DataError, "array y: .*impossible"),
    ("a.npz", archive(x=npy(np.eye(2)).replace(b"True", b"1e99").replace(b"False", b"1e999")), DataError, "array x: .*none"),
    # IDX
    (TRAIN, b"", DataError, f"{TRAIN}: expected a whole IDX file, got it begins with nothing.*Download"),
    (TRAIN, b"\0\0\x08", DataError, "begins with 00 00 08"),
    (TRAIN, header(0x0A, 1), DataError, "begins with 00 00 0a 01, not with"),
    (TRAIN, b"\x1f\x8b\x08\0", DataError, "begins with 1f 8b 08 00"),
    (TRAIN, struct.pack(">BBBB", 0, 0, 8, 200), DataError, "1 to 8 dimensions"),
    (TRAIN, header(8, 2, 2)[:-2], DataError, "the header is cut off"),
    (TRAIN, header(8, -1, 4), DataError, r"sizes \(-1, 4\): each must be above 0"),
    (TRAIN, header(8, 0, 4), DataError, r"sizes \(0, 4\)"),
    (TRAIN, header(0x0E, 2**31 - 1, 2**31 - 1, 2**31 - 1), DataError, r"declares \d+ bytes, the file has 16"),
    (TRAIN, lambda idx: idx(IMAGES)[:-1], DataError, "the file ends after 59 of 60 bytes"),
    (TRAIN, lambda idx: idx(IMAGES) + b"x", DataError, "more bytes than the 60 declared"),
    (TRAIN, lambda idx: idx(IMAGES), DataError, "no labels file beside the images.*'labels' for 'images'"),
    (TRAIN + ".gz", header(8, 2**31 - 1), DataError, r"declares 2147483647 bytes, the file has \d+"),
    (TRAIN + ".gz", lambda idx: idx(np.zeros(80 << 20, "u1")), DataError, "grows at most 500 times.*declare 80 MiB"),
    ("t10k-images.idx3-ubyte.gz", lambda idx: idx(IMAGES)[:-1], DataError, "ends after 59 of 60"),
]  # fmt: skip


@pytest.mark.parametrize("name, content, error, message", MALFORMED)
def test_a_malformed_file_is_refused_with_the_place_and_the_fix(write, name, content, error, message):
    with pytest.raises(error, match=f"(?s){message}") as caught:
        load(write(name, content))
    assert caught.value.fix


def test_there_are_at_least_thirty_malformed_files():
    assert len(MALFORMED) >= 30


@pytest.mark.parametrize("name", ["t.csv.gz", TRAIN + ".gz"])
@pytest.mark.parametrize("cut", [1, 5, 12, -9, -1])
def test_a_gzip_file_cut_anywhere_is_refused(tmp_path, name, cut):
    rows = "a,y\n" + "".join(f"{i},{i}.5\n" for i in range(50))
    whole = gzip.compress(header(8, 50) + bytes(50) if TRAIN in name else rows.encode())
    (tmp_path / name).write_bytes(whole[:cut])
    with pytest.raises(DataError, match=r"(damaged gzip|whole IDX) file"):
        load(tmp_path / name)


def test_a_table_in_a_gzip_bomb_is_refused_early(write, monkeypatch):
    monkeypatch.setattr("nnx.data.csv._UNQUESTIONED", 1 << 18)
    with pytest.raises(DataError, match=r"bomb.csv.gz: expected data that grows at most 500 times"):
        load(write("bomb.csv.gz", b"a,b\n" + b"1,2\n" * (2 << 20)))


def test_labels_that_do_not_fit_their_images(write):
    path = write(TRAIN, IMAGES)
    write(TRAIN_LABELS, LABELS[:2])
    with pytest.raises(ShapeError, match=f"{TRAIN_LABELS}: expected as many labels as images, 3, got 2"):
        load(path)


def test_an_encrypted_or_doubled_member_is_refused(write):
    raw = bytearray(archive(x=npy(np.eye(2))))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        raw[raw.index(signature) + offset] |= 1
    with pytest.raises(DataError, match="array x: the archive is encrypted"):
        load(write("a.npz", bytes(raw)))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("x.npy", npy(np.eye(2)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            out.writestr("x.npy", npy(np.eye(3)))
    with pytest.raises(DataError, match="two arrays named 'x'"):
        load(write("b.npz", file.getvalue()))


@pytest.mark.parametrize("position", range(0, 600, 7))
def test_a_flipped_byte_in_an_archive_is_noticed_or_harmless(write, position):
    raw = bytearray(archive(**{k: npy(v) for k, v in SMALL.items()}))
    if position >= len(raw):
        return
    raw[position] ^= 0xFF
    try:
        data = load(write("a.npz", bytes(raw)))
    except (DataError, DtypeError, ConfigError):
        return
    np.testing.assert_array_equal(data.x, SMALL["x"])
    np.testing.assert_array_equal(data.y, SMALL["y"])


LYING = [
    ("a.npz", archive(x=npy(((HUGE,), "<f8")) + bytes(100))),
    ("a.npz", archive(x=npy(np.zeros(40 << 20, "u1").view("f4")))),
    (TRAIN, header(0x0E, 1 << 20, 1 << 20)),
    (TRAIN + ".gz", header(0x0E, 1 << 20, 1 << 20)),
    (TRAIN + ".gz", lambda idx: idx(np.zeros(40 << 20, "u1"))),
]


@pytest.mark.parametrize("name, content", LYING)
def test_no_memory_is_taken_for_what_is_refused(write, monkeypatch, name, content):
    path = write(name, content)
    monkeypatch.setattr(limits, "available_bytes", lambda: 64 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="declare"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_what_does_not_fit_into_memory_is_refused_before_it_is_made(write, monkeypatch):
    monkeypatch.setattr(limits, "available_bytes", lambda: 1 << 20)
    uncompressed = write("a.npz", x=np.zeros((1000, 100)), y=np.zeros(1000))
    assert isinstance(load(uncompressed).x, Streamed)
    with pytest.raises(
        DataError, match=r"array x: .*half of the free memory, 512 KiB, got 781 KiB declared. Cut the file"
    ):
        load(uncompressed, stream=False)
    wide = write("b.csv", "a,y\n" + "".join(f"c{i % 400},{i % 2}\n" for i in range(1000)))
    with pytest.raises(DataError, match=r"b.csv: expected data that fits .*got 1.5 MiB"):
        load(wide)
    with pytest.raises(DataError, match="arrays: expected data that fits"):
        load((np.zeros((1000, 1000), "u1"), np.zeros(1000)))


def test_the_free_memory_is_known_and_bounded_by_the_process(monkeypatch):
    assert 1 << 20 < limits.available_bytes() < 1 << 50
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1 << 20, 1 << 20))
    assert limits.available_bytes() == 0


class OnDevice:
    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a host array is not allowed")


X, Y = np.zeros((3, 2)), np.asarray([0, 1, 0])


@pytest.mark.parametrize(
    "source, options, error, message",
    [
        ("digit", {}, ConfigError, "source: .*got 'digit', which does not exist. Did you mean 'digits'"),
        ("no/such/file.csv", {}, ConfigError, "which does not exist. Check the path"),
        (7, {}, ConfigError, r"a pair of arrays \(x, y\), got int"),
        ((X,), {}, ConfigError, r"expected a pair \(x, y\), got 1 things"),
        ("digits", {"task": "clasification"}, ConfigError, "task: .*'clasification'. Did you mean 'classification'"),
        ("digits", {"task": "regression"}, ConfigError, "digits is a classification.*Leave the task out"),
        ("digits", {"target": "digit"}, ConfigError, "target: digits takes no target=.*Leave it out"),
        ((X, Y), {"drop": ["a"]}, ConfigError, "drop: a pair of arrays takes no drop="),
        ((X, None), {}, DataError, "there are no targets"),
        ((OnDevice(), Y), {}, DtypeError, r"x as an array on the host, got OnDevice \(Implicit.*to_numpy"),
        (([[1, 2], [3]], Y), {}, DtypeError, "rows of a list must have one length"),
        ((X.astype(complex), Y), {}, DtypeError, "real numbers in x, got complex128"),
        ((X.astype(np.longdouble), Y), {}, DtypeError, "real numbers in x.*use float32 or float64"),
        ((np.ma.masked_equal(X + Y[:, None], 1), Y), {}, DataError, "arrays, x: masked values. Fill them"),
        ((X, Y.astype(complex)), {}, DtypeError, "labels, texts or real numbers.*got y of complex128"),
        ((X, [None, 1, 2]), {}, DtypeError, "got y of object"),
        ((X, np.eye(3, dtype=int)), {}, ShapeError, r"got one-hot rows, y of shape \(3, 3\).*argmax"),
        ((X, Y[:, None]), {}, ShapeError, r"labels of shape \(3,\), got y of shape \(3, 1\).*y\[:, 0\]"),
        ((X, np.zeros((3, 1, 1))), {}, ShapeError, r"targets of shape \(N, k\), got y of shape \(3, 1, 1\)"),
        ((X, np.float64(1)), {}, ShapeError, r"got y of shape \(\)"),
        ((X, [0, 0, 0]), {}, DataError, "at least two classes, got only '0'"),
        ((X, [0.5, 1, 2]), {"task": "classification"}, DataError, "y at row 0: .*got 0.5.*bin_target"),
        ((X, [0, np.nan, 2]), {"task": "classification"}, DataError, "y at row 1: .*got nan"),
        ((X, ["a", "b", "c"]), {"task": "regression"}, DtypeError, "y at row 0: .*texts such as 'a'"),
        ((X, [1.0, np.inf, 2]), {}, DataError, "y at row 1, column 0: expected finite targets, got inf"),
        ((X, [0, 1, 7]), {"schema": load((X, ["a", "b", "a"])).schema}, DataError, "y at row 2: .*0…1 .*got 7"),
        ((X, ["a", "q", "a"]), {"schema": load((X, ["a", "b", "a"])).schema}, DataError, "y at row 1: .*got 'q'. Known"),
        ((X, [1, 2, 4]), {"schema": load((X, [1, 2, 3])).schema}, DataError, "y at row 2: .*the model knows, got '4'"),
        ((X, [1.0, 2, 4]), {"schema": load((X, X)).schema}, ShapeError, r"targets of shape \(N, 2\), got y of shape \(3, 1\)"),
        ((X, Y), {"schema": load("digits").schema}, ShapeError, r"rows of shape \(64,\), as the model .*got \(2,\)"),
        ((np.zeros((3, 8, 1, 8)), None), {"schema": load("digits").as_images().schema}, ShapeError, r"\(8, 8, 1\)"),
    ],
)  # fmt: skip
def test_a_bad_call_is_refused_with_the_place_and_the_fix(source, options, error, message):
    with pytest.raises(error, match=message):
        load(source, **options)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("t.csv", {"target": "z"}, "t.csv, target: no column 'z'. Known: 'a', 'b', 'y'"),
        ("t.csv", {"target": 3}, "target: expected a column name, or a place -3…2, got 3"),
        ("t.csv", {"target": True}, "target: .*got True"),
        ("t.csv", {"drop": ["bb"]}, "drop: no column 'bb'. Did you mean 'b'"),
        ("t.csv", {"categorical": [1.5]}, "categorical: .*got 1.5"),
        ("t.csv", {"delimiter": "|"}, r"delimiter: expected delimiter ',', ';' or a tab, got '\|'"),
        ("t.csv", {"inputs": "a"}, "inputs: a table takes no inputs=.*It takes target, header"),
        ("a.npz", {"target": "z"}, "a.npz, target: no array named 'z'"),
        ("a.npz", {"inputs": "xx"}, "a.npz, inputs: no array named 'xx'. Did you mean 'x'"),
        ("a.npz", {"header": False}, "header: an NPZ file takes no header="),
        (TRAIN, {"target": "y"}, "target: IDX files takes no target="),
        ("t.xlsx", {}, "t.xlsx'. Rename or convert the file"),
    ],
)
def test_a_bad_option_is_refused(write, name, options, message):
    path = write(name, **SMALL) if name == "a.npz" else write(name, GOOD)
    with pytest.raises(ConfigError, match=message):
        load(path, **options)


def test_dropping_everything_or_the_target(write):
    path = write("t.csv", GOOD)
    with pytest.raises(DataError, match="the target 'y' is dropped"):
        load(path, drop=["y"])
    with pytest.raises(DataError, match="no column besides"):
        load(path, drop=["a", "b"])


def test_near_names_and_folders(write, tmp_path):
    write("people.csv", GOOD)
    with pytest.raises(ConfigError, match=r"Did you mean 'people.csv'"):
        load(tmp_path / "poeple.csv")
    with pytest.raises(DataError, match=r"expected a folder with train-images.*got no such images file"):
        load(tmp_path)
    for name in ("a-train-images-idx3-ubyte", "b-train-images-idx3-ubyte"):
        write(name, IMAGES)
    with pytest.raises(DataError, match=r"got 2 such images files. Name the images file itself"):
        load(tmp_path)


def test_devices_and_unreadable_files(tmp_path, monkeypatch):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match=r"pipe.csv: neither a file nor a folder"):
        load(tmp_path / "pipe.csv")
    (tmp_path / "t.csv").write_text(GOOD)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(DataError, match=r"t.csv: the file cannot be read \(Permission denied\). Check the path"):
        load(tmp_path / "t.csv")


def test_a_file_that_grows_between_the_readings_is_noticed(write, monkeypatch):
    from nnx.data import table

    path, original = write("t.csv", GOOD), table.survey

    def survey(*arguments):
        seen = original(*arguments)
        with path.open("a") as file:
            file.write("7,8,1\n")
        return seen

    monkeypatch.setattr(table, "survey", survey)
    with pytest.raises(DataError, match="the file changed while it was read"):
        load(path)


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
