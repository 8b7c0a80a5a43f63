"""Malformed files of every kind: each is refused with the place and the fix, before memory is taken. Each is one row of MALFORMED."""

import gzip
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from data.files import GOOD, HUGE, IMAGES, LABELS, SMALL, TRAIN, TRAIN_LABELS, archive, header, npy

from nnx.data import limits, load
from nnx.data.stream import Streamed
from nnx.errors import ConfigError, DataError, DtypeError, ShapeError

MALFORMED = [
    # tables
    ("t.csv", "", DataError, "t.csv: the file is empty. Write a header"),
    ("t.csv", "\n\n", DataError, "the file is empty"),
    ("t.csv", "a,b,y\n", DataError, "a header and no rows. Add rows"),
    ("t.csv", "1,2,0\n3,4,1\n", DataError, r"row 1: expected a header.*got numbers: '1', '2', '0'.*header=False"),
    ("t.csv", "a,,y\n1,2,0\n", DataError, "row 1: column 1 has no name. Name it, or remove"),
    ("t.csv", "a,a,y\n1,2,0\n", DataError, "row 1: two columns named 'a'. Rename"),
    ("t.csv", "y\n1\n2\n", DataError, "no column besides the target 'y'. Leave at least one input"),
    ("t.csv", "a|y\n1|2\n", DataError, r"no column besides the target 'a\|y'.*commas, semicolons or tabs stand between"),
    ("t.csv", "a,b,y\n1,2,0\n3,4\n", DataError, "row 3: expected 3 cells as in the first row, got 2. Add or remove"),
    ("t.csv", "a,b,y\n1,2,0\n3,4,1,9\n", DataError, r'row 3: expected 3 cells.*got 4.*"quotes"'),
    ("t.csv", "a,y\nr1,1,0\nr2,2,1\n", DataError, "row 2: expected 2 cells.*got 3.* If the rows begin with names, .*begin the header with ','"),
    ("t.csv", "a,y\n" + "$5.50,0\n$6,1\n" * 9, DataError, r"row 2, column 'a': expected a number alone, got '\$5.50'. Leave out what is"),
    ("t.csv", "a,y\n" + "5 %,0\n6%,1\n" * 9, DataError, r"got '5 %'. Leave out what is no number, or pass categorical=\['a'\] if"),
    ("t.csv", "a,b,y\n1,,0\n3,4,1\n", DataError, "row 2, column 'b': expected a number, got an empty cell. Fill it in"),
    ("t.csv", "a,b,y\n1,2,0\n3,NA,1\n", DataError, r"row 3, column 'b': expected a number, got a missing value \('NA'\)"),
    ("t.csv", "a,b,y\n1,2,0\n3,?,1\n", DataError, r"row 3, column 'b'.*'\?'.*remove the row"),
    ("t.csv", "a,b,y\n1,,0\n3,4,1\n5,,1\n2,NA,1\n", DataError, "'b': expected a number, got an empty cell, and 3 such in all. Fill them"),
    ("t.csv", "a,y\n" + "1,0\n2,1\n" * 99 + '3,"1,234.5"\n', DataError, "row 200.*got '1,234.5'. Use decimal points, and no commas"),
    ("t.csv", "a,y\n1e-3,0\n" + '"2,5e-04",1\n' * 9, DataError, "row 3.*got '2,5e-04'. Use decimal points"),
    ("t.csv", "a,y\n" + "".join(f'"{i},5e-04",{i % 2}\n' for i in range(99)), DataError, "got '0,5e-04'. Use decimal points"),
    ("t.csv", "a,y\n2020-01-03,0\n2020-01-04,1\n", DataError, "column 'a': .*dates such as '2020-01-03'. Turn it.*drop=.*categorical="),
    ("t.csv", "a,y\n2020/1/3,0\n2020/10/13,1\n", DataError, "column 'a': .*dates such as '2020/1/3'"),
    ("t.csv", "a,y\n3.1.2020,0\n03.12.2020,1\n", DataError, "column 'a': .*dates such as '03.12.2020'"),
    ("t.csv", "a,b,y\n1,nan,0\n3,4,1\n", DataError, r"row 2, column 'b'.*a missing value \('nan'\)"),
    ("t.csv", "a,b,y\nu,nan,0\n,4,1\n", DataError, "row 3, column 'a': expected a value, got an empty cell"),
    ("t.csv", "a,b,y\n1,NA,0\n3,NA,1\n", DataError, "row 2, column 'b': expected a number"),
    ("t.csv", "a,b,y\n1,inf,0\n3,4,1\n", DataError, "row 2, column 'b': expected a finite number, got 'inf'. Correct"),
    ("t.csv", "a,b,y\n1,1e999,0\n3,4,1\n", DataError, "row 2, column 'b': expected a finite number, got '1e999'"),
    ("t.csv", "a,y\n" + "1,0\n2,1\n-inf,0\n" * 20, DataError, "row 4, column 'a': expected a finite number, got '-inf'"),
    ("t.csv", "a,b,y\n1,1e39,0\n3,4,1\n", DataError, "row 2, column 'b': .*float32.*got 1e39. Change the unit"),
    ("t.csv", "a,b,y\n1,1_000,0\n3,4,1\n", DataError, "row 2, column 'b': expected a number.*got '1_000'"),
    ("t.csv", "a,b,y\n1,2,\n3,4,1\n", DataError, "row 2, column 'y': expected a number, got an empty cell"),
    ("t.csv", "a,b,y\n1,2,q\n3,4,q\n", DataError, "column 'y': expected at least two classes, got only 'q'. There is nothing to learn from one: take another column with target="),
    ("t.csv", 'a,b,y\n1,"2,0\n3,4,1\n', DataError, "row 2: unexpected end of data. Look for a quote"),
    ("t.csv", 'a,b,y\n1,"2"2,0\n', DataError, "row 2: .*expected after.*Look for a quote"),
    ("t.csv", "a,b,y\r1,2,0\r3,4,1\r", DataError, "row 1: a carriage return without a line feed. Save the file with"),
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
    ("a.npz", archive(a=npy(np.eye(2)), b=npy(np.eye(2))), ConfigError, "named x or X, got 'a', 'b'.*inputs='a', target='b'"),
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
    (TRAIN, b"\0\1" + header(8, 3)[2:], DataError, "begins with 00 01 08 01, not with"),
    (TRAIN, header(0x0A, 1), DataError, "begins with 00 00 0a 01, not with"),
    (TRAIN, b"\x1f\x8b\x08\0", DataError, "begins with 1f 8b 08 00"),
    (TRAIN, struct.pack(">BBBB", 0, 0, 8, 200), DataError, "1 to 8 dimensions"),
    (TRAIN, header(8, 2, 2)[:-2], DataError, "the header is cut off"),
    (TRAIN, header(8, -1, 4), DataError, r"sizes \(-1, 4\): each must be above 0"),
    (TRAIN, header(8, 0, 4), DataError, r"sizes \(0, 4\)"),
    (TRAIN, header(0x0E, 2**31 - 1, 2**31 - 1, 2**31 - 1), DataError, r"declares \d+ bytes, the file has 16"),
    (TRAIN, lambda idx: idx(IMAGES)[:-1], DataError, "the file ends after 59 of 60 bytes"),
    (TRAIN, lambda idx: idx(IMAGES) + b"x", DataError, "more bytes than the 60 declared"),
    (TRAIN, lambda idx: idx(LABELS), DataError, r"expected images, got an array of shape \(\d+,\), as labels have. Name the images file"),
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
