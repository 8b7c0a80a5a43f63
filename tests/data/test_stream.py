"""Rows that stay in their file: the same numbers as in memory, and nothing read that was not asked for."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnx
from nnx.data import limits, load, split
from nnx.data.stream import ArrayRows, Streamed, in_blocks
from nnx.errors import ConfigError, DataError, ShapeError

X = np.random.default_rng(0).normal(size=(60, 2, 3)).astype("float32")
Y = np.arange(60) % 3


@pytest.fixture
def file(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    return tmp_path / "x.npy"


KEYS = st.one_of(
    st.integers(-60, 59),
    st.slices(60),
    st.lists(st.integers(-60, 59), max_size=20).map(lambda rows: np.asarray(rows, dtype=np.int64)),
    st.tuples(st.slices(60), st.just(...)),
    st.tuples(st.integers(0, 59), st.integers(0, 1)),
    st.tuples(st.lists(st.integers(0, 59), min_size=1, max_size=9), st.slices(2), st.integers(0, 2)),
)


@settings(deadline=None)
@given(KEYS)
def test_it_is_indexed_like_an_array(tmp_path_factory, key):
    path = tmp_path_factory.getbasetemp() / "indexed.npy"
    if not path.exists():
        np.save(path, X)
    x = load(path, schema=load((X, Y)).schema, stream=True).x
    assert isinstance(x, Streamed)
    np.testing.assert_array_equal(x[key], X[key])


def test_rows_are_taken_and_shaped_without_reading(file, monkeypatch):
    data = load(file, stream=True)
    monkeypatch.setattr(Streamed, "_read", lambda *a: pytest.fail("something was read"))
    train, val = split(data, (0.8, 0.2), seed=1)
    flat = train.x.reshape(-1, 6).astype("float64")
    assert (flat.shape, flat.dtype, len(flat), flat.ndim, flat.nbytes) == ((48, 6), "float64", 48, 2, 48 * 6 * 8)
    monkeypatch.undo()
    kept = split(load((X, Y)), (0.8, 0.2), seed=1)
    for ours, theirs in zip((train, val), kept):
        np.testing.assert_array_equal(np.asarray(ours.x), theirs.x)
        np.testing.assert_array_equal(ours.y, theirs.y)
    np.testing.assert_array_equal(flat[:], kept[0].x.reshape(-1, 6))
    np.testing.assert_array_equal(np.stack(list(val.x)), kept[1].x)


@pytest.mark.parametrize("kind", ["npy", "npz", "idx", "pair", "memory map"])
def test_every_kind_gives_the_same_bits_as_in_memory(kind, tmp_path, write):
    y = Y.astype("u1")
    if kind == "idx":
        write("a-labels-idx1-ubyte", y)
        source = write("a-images-idx3-ubyte", (X * 20).astype("i2"))
    elif kind == "npz":
        source = write("a.npz", x=X, y=y)
    else:
        source = write("x.npy", b"")
        np.save(source, X)
        np.save(tmp_path / "y.npy", y)
        source = {"npy": source, "pair": (X, y), "memory map": (np.load(source, mmap_mode="r"), y)}[kind]
    trained = []
    for stream in (True, False):
        data = load(source, stream=stream)
        assert isinstance(data.x, Streamed) == stream
        train, val = split(data, (0.75, 0.25), seed=0)
        model = nnx.Sequential(nnx.Flatten(), nnx.Standardize(6), nnx.Linear(6, 3))
        run = nnx.fit(model, train, val, epochs=2, batch_size=16, seed=3)
        trained.append((model.state(), [{k: v for k, v in one.items() if "second" not in k} for one in run.history]))
        assert nnx.predict(model, val).shape == (15, 3)
    (ours, said), (theirs, known) = trained
    assert said == known
    for path, array in theirs.items():
        np.testing.assert_array_equal(ours[path], array, path)


def test_images_are_shaped_when_they_are_read(write):
    write("a-labels-idx1-ubyte", Y.astype("u1"))
    images = load(
        write("a-images-idx3-ubyte", np.arange(60 * 6).reshape(60, 2, 3).astype("i4")), stream=True
    ).as_images()
    assert images.x.shape == (60, 2, 3, 1)
    np.testing.assert_array_equal(images.x[7, 1, 2], [7 * 6 + 5])


@pytest.mark.parametrize("layer", [nnx.Standardize, nnx.MinMaxScale, nnx.PCA, nnx.Unstandardize])
def test_preparation_in_many_parts_is_that_in_one(layer, monkeypatch):
    x = np.random.default_rng(1).normal(size=(500, 6)) * [1, 2, 3, 1e3, 0, 1] + [0, 1e4, 0, 0, 5, 0]
    whole = layer(6).fit(x).state()
    monkeypatch.setattr("nnx.data.stream.BLOCK", 97)
    assert len(list(in_blocks(x))) > 20
    for source in (x, Streamed(ArrayRows(x))):
        for path, array in layer(6).fit(source).state().items():
            if path == "directions":  # of a pair of equal variances any rotation would do; signs are fixed
                array, whole[path] = np.abs(array), np.abs(whole[path])
            np.testing.assert_allclose(array, whole[path], rtol=1e-5, atol=1e-5, err_msg=path)


def test_what_is_not_finite_is_found_in_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr("nnx.data.stream.BLOCK", 64)
    x = X.copy()
    x[41, 1, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(DataError, match=r"x\.npy, x at row 41, position \(1, 2\): expected finite inputs, got nan"):
        load(tmp_path / "x.npy", stream=True)
    with pytest.raises(DataError, match="nan in row 41, column 2"):
        nnx.Standardize(3).fit(Streamed(ArrayRows(x)))


def test_what_does_not_fit_streams_by_itself_and_is_never_read_whole(file, monkeypatch):
    monkeypatch.setattr(limits, "available_bytes", lambda: 1000)
    data = load(file)
    assert isinstance(data.x, Streamed)
    monkeypatch.setattr("nnx.data.stream._UNASKED", 0)
    with pytest.raises(DataError, match=r"Streamed\(60 rows.*half of the free memory, 500 B, got 1.4 KiB"):
        np.asarray(data.x)
    assert isinstance(load((X, Y)).take(np.arange(50)).x, Streamed)  # a copy would not fit
    with pytest.raises(DataError, match="half of the free memory"):
        load(file, stream=False)


def test_large_whole_numbers_are_noted(tmp_path):
    np.save(tmp_path / "x.npy", np.asarray([[2**24 + 1], [0]]))
    np.save(tmp_path / "y.npy", np.asarray([0, 1]))
    data = load(tmp_path / "x.npy", stream=True)
    assert (data.x.dtype, "above 2^24" in data.notes[0]) == (np.float32, True)


def test_a_file_that_becomes_shorter_is_said_and_ends_nothing(file):
    data = load(file, stream=True)
    with open(file, "r+b") as cut:
        cut.truncate(200)
    with pytest.raises(DataError, match=r"x\.npy: the file changed while it was read. Load it again"):
        data.x[50:]


def test_it_is_copied_and_sent_to_other_processes(file):
    x = load(file, stream=True).x.take(np.asarray([3, 1]))
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        np.testing.assert_array_equal(np.asarray(other), X[[3, 1]])


def test_the_doctor_looks_at_some_rows(monkeypatch, file):
    from nnx.doctor.rows import rows_of

    monkeypatch.setitem(rows_of.__globals__, "_FEWEST", 10)
    monkeypatch.setitem(rows_of.__globals__, "_BYTES", 0)
    rows = rows_of(load(file, stream=True), "train")
    assert (rows.x.shape, type(rows.x), rows.y.tolist()) == (
        (10, 2, 3),
        np.ndarray,
        Y[[0, 6, 13, 19, 26, 32, 39, 45, 52, 59]].tolist(),
    )


# targets of NPY files, and what is refused ----------------------------------------------------------------------------
@pytest.mark.parametrize("names", [("x.npy", "y.npy"), ("X_train.npy", "y_train.npy"), ("train-x.npy", "train-y.npy")])
def test_targets_stand_beside_under_the_same_name(names, tmp_path):
    for name, array in zip(names, (X, Y)):
        np.save(tmp_path / name, array)
    data = load(tmp_path / names[0])
    assert (data.y.tolist(), data.name) == (Y.tolist(), names[0])


def test_targets_by_name(tmp_path):
    np.save(tmp_path / "inputs.npy", X)
    np.save(tmp_path / "labels.npy", Y)
    assert load(tmp_path / "inputs.npy", "labels.npy").y.tolist() == Y.tolist()
    assert load(tmp_path / "inputs.npy", str(tmp_path / "labels.npy")).outputs == 3
    with pytest.raises(ConfigError, match=r"no file 'label\.npy'. Did you mean 'labels\.npy'"):
        load(tmp_path / "inputs.npy", "label.npy")
    with pytest.raises(DataError, match=r"inputs\.npy: no targets beside the inputs. Name their file"):
        load(tmp_path / "inputs.npy")
    assert load(tmp_path / "inputs.npy", schema=load((X, Y)).schema).y is None


def test_what_does_not_stream_says_so(tmp_path, write):
    np.save(tmp_path / "x.npy", np.asfortranarray(X))
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(DataError, match=r"C order.*got columns one after another.*ascontiguousarray"):
        load(tmp_path / "x.npy", stream=True)
    np.testing.assert_array_equal(load(tmp_path / "x.npy").x, X)
    with pytest.raises(ConfigError, match="a table takes no stream="):
        load(write("t.csv", "a,y\n1,0\n2,1\n"), stream=True)
    with pytest.raises(ShapeError, match="Rows stay rows"):
        Streamed(ArrayRows(X)).reshape(30, 12)
