import dataclasses
import json

import numpy as np
import pytest

from nnx.data import Column, Dataset, Encoding, Schema, digits, load
from nnx.data.dataset import first_not_finite
from nnx.errors import DataError, DtypeError, ShapeError

X = np.zeros((3, 2), dtype=np.float32)
Y = np.asarray([0, 1, 1])


def test_a_data_set_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError, match="x"):
        Dataset(X, Y, classes=("a", "b")).x = X


def test_repr_is_one_line_that_says_what_it_is():
    targets = np.zeros((3, 1), dtype=np.float32)
    assert repr(Dataset(X, Y, classes=("a", "b"))) == "Dataset(data: 3 rows of (2,) float32, 2 classes: a, b)"
    assert repr(Dataset(X, targets, "regression")) == "Dataset(data: 3 rows of (2,) float32, 1 target)"
    assert repr(Dataset(X[:1], None, None)) == "Dataset(data: 1 row of (2,) float32, no targets)"


def test_take_keeps_rows_and_targets_together_and_copies():
    data = Dataset(np.arange(6, dtype=np.float64).reshape(3, 2), Y, classes=("a", "b"), feature_names=("p", "q"))
    some = data.take([2, 0])
    np.testing.assert_array_equal(some.x, [[4, 5], [0, 1]])
    np.testing.assert_array_equal(some.y, [1, 0])
    assert some.x.dtype == np.float64
    assert some.feature_names == ("p", "q")
    some.x[...] = -1
    assert data.x.min() == 0


def test_labels_become_int64_and_integer_inputs_stay():
    data = Dataset(X.astype(np.int32), Y.astype(np.uint8), classes=("a", "b"))
    assert (data.x.dtype, data.y.dtype) == (np.int32, np.int64)


@pytest.mark.parametrize("rows", [1, 5, 1 << 20])
def test_the_first_value_that_is_not_finite_is_found_across_blocks(rows):
    values = np.zeros((rows, 3), dtype=np.float32)
    assert first_not_finite(values) is None
    values[-1, 1] = np.inf
    assert first_not_finite(values) == (rows - 1, 1)


def nan_at(row, column):
    x = X.copy()
    x[row, column] = np.nan
    return x


MALFORMED = [
    ({"x": X.tolist(), "y": Y}, DtypeError, r"x as a NumPy array, got list.*load\(\(x, y\)\)"),
    ({"x": X.astype(complex), "y": Y}, DtypeError, "real numbers in x, got complex128.*astype"),
    ({"x": X[:, 0], "y": Y}, ShapeError, r"\(N, features\).*got \(3,\).*x\[:, None\]"),
    ({"x": X[:0], "y": Y[:0]}, DataError, "at least one row"),
    ({"x": nan_at(1, 0), "y": Y}, DataError, "x at row 1, column 0: .*got nan.*training median"),
    ({"x": nan_at(1, 1), "y": Y, "feature_names": ("p", "q")}, DataError, r"row 1, column 1 \(q\)"),
    ({"x": nan_at(2, 1).reshape(3, 2, 1), "y": Y}, DataError, r"row 2, position \(1, 0\)"),
    ({"x": X, "y": Y[:2]}, ShapeError, r"as many targets as rows of x, 3, got y of shape \(2,\).*Pair"),
    ({"x": X, "y": np.asarray(1)}, ShapeError, r"as many targets as rows of x, 3, got y of shape \(\)"),
    ({"x": X, "y": [0, 1, 1]}, DtypeError, "y as a NumPy array, got list"),
    ({"x": X, "y": Y.astype(np.float32)}, DtypeError, "whole-number labels.*float32.*task='regression'"),
    ({"x": X, "y": Y[:, None]}, ShapeError, r"labels of shape \(3,\).*\(3, 1\).*y\[:, 0\]"),
    ({"x": X, "y": np.eye(3, dtype=int)}, ShapeError, r"got y of shape \(3, 3\).*argmax\(axis=1\)"),
    ({"x": X, "y": np.asarray([0, 2, 1])}, DataError, "y at row 1: expected labels 0…1, got 2.*Relabel"),
    ({"x": X, "y": np.asarray([0, -1, 1])}, DataError, "y at row 1: expected labels 0…1, got -1"),
    ({"x": X, "y": Y, "classes": None}, DataError, "the classes have no names.*classes="),
    ({"x": X, "y": Y, "classes": ("a", "a")}, DataError, "different class names"),
    ({"x": X, "y": Y, "task": "ranking"}, DataError, "'classification' or 'regression', got 'ranking'"),
    ({"x": X, "y": Y, "task": None}, DataError, "y is given but not the task"),
    ({"x": X, "y": Y, "feature_names": ("p",)}, ShapeError, "1 features, as many as names"),
    ({"x": X, "y": Y, "image_shape": (2, 2, 1)}, ShapeError, r"images of \(2, 2, 1\), got rows of \(2,\)"),
    ({"x": X, "y": Y, "task": "regression", "classes": None}, DtypeError, "real targets.*int64"),
    (
        {"x": X, "y": X[:, 0], "task": "regression", "classes": None},
        ShapeError,
        r"\(3, k\), got y of shape \(3,\).*\[:, None\]",
    ),
    (
        {"x": X, "y": nan_at(2, 1), "task": "regression", "classes": None},
        DataError,
        "y at row 2, column 1.*finite.*nan",
    ),
    ({"x": X, "y": X, "task": "regression"}, DataError, "no classes for regression"),
]


@pytest.mark.parametrize("arguments, error, message", MALFORMED)
def test_a_malformed_data_set_is_refused_with_the_place_and_the_fix(arguments, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        Dataset(**{"classes": ("a", "b"), **arguments})


@pytest.mark.parametrize(
    "indices, error, message",
    [
        ([0, 3], DataError, "row numbers 0…2, got 0…3"),
        ([-1], DataError, "got -1…-1"),
        ([True, False, True], ShapeError, "1-D array of row numbers, got bool.*flatnonzero"),
        ([[0]], ShapeError, r"of shape \(1, 1\)"),
        ([0.5], ShapeError, "float64"),
        ([], DataError, "at least one row"),
    ],
)
def test_take_refuses_what_names_no_rows(indices, error, message):
    with pytest.raises(error, match=message):
        Dataset(X, Y, classes=("a", "b")).take(indices)


def test_the_digits_are_the_ones_of_scikit_learn():
    sklearn_data = pytest.importorskip("sklearn.datasets").load_digits()
    data = load("digits")
    np.testing.assert_array_equal(data.x, sklearn_data.data)
    np.testing.assert_array_equal(data.y, sklearn_data.target)
    np.testing.assert_array_equal(data.as_images().x[..., 0], sklearn_data.images)
    assert (data.x.dtype, data.y.dtype, data.outputs) == (np.float32, np.int64, 10)


def test_the_digits_need_no_network_and_a_small_file_and_say_whose_they_are():
    import nnx.data.digits  # noqa: F401

    folder = __import__("importlib.resources").resources.files("nnx.data")
    assert len(folder.joinpath("digits.npz").read_bytes()) <= 60_000
    notice = folder.joinpath("DIGITS.md").read_text()
    for word in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0"):
        assert word in notice


def test_as_images_is_only_for_images():
    with pytest.raises(ShapeError, match=r"rows that are images, got rows of shape \(2,\).*Reshape"):
        Dataset(X, Y, classes=("a", "b")).as_images()


def test_a_schema_survives_json():
    columns = (Column("age"), Column("colour", ("blue", "red")))
    schema = Schema("regression", (3,), None, 1, "price", Encoding(columns, header=False, target_index=1))
    for one in (schema, digits().schema, digits().as_images().schema):
        assert Schema.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize(
    "change, message",
    [
        ({"task": "clustering"}, "clustering"),
        ({"task": ["regression"]}, "regression"),
        ({"shape": [-1]}, "-1 is no size"),
        ({"shape": [True]}, "True is no size"),
        ({"shape": "64"}, "'6' is no size"),
        ({"shape": None}, "TypeError"),
        ({"classes": "abc"}, "'abc' is no list of texts"),
        ({"classes": [1, 2]}, "1 is no text"),
        ({"outputs": 1.5}, "1.5 is no size"),
        ({"target_name": 3}, "3 is no text"),
        ({"encoding": {"columns": [{}], "header": True, "target_index": 0}}, "KeyError"),
        ({"encoding": {"columns": [], "header": 1, "target_index": 0}}, "1 is none of"),
        ({"encoding": {"columns": [], "header": True, "target_index": "x"}}, "ValueError"),
        ({"encoding": 7}, "TypeError"),
    ],
)
def test_a_damaged_schema_is_refused(change, message):
    with pytest.raises(DataError, match=f"schema: expected a data schema.*{message}.*train again"):
        Schema.from_dict(digits().schema.to_dict() | change)
