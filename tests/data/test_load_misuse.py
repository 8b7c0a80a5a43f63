"""``load`` called as it cannot be: sources, options and devices, and files that change while they are read."""

import os

import numpy as np
import pytest
from data.files import GOOD, IMAGES, SMALL, TRAIN

from nnx.data import load
from nnx.errors import ConfigError, DataError, DtypeError, ShapeError


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
        ((X, np.eye(3)), {}, ShapeError, r"got one-hot rows, y of shape \(3, 3\).*argmax"),
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
