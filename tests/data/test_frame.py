"""DataFrames and Parquet files: what a CSV file of the same table would give, from each library alike."""

import datetime
import decimal

import numpy as np
import pytest

from nnx.data import from_frame, load
from nnx.errors import BackendUnavailable, ConfigError, DataError, DtypeError

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

TABLE = {
    "age": [31, 45, 22, 19], "colour": ["red", "blue", "red", "blue"], "height": [1.75, 1.6, 1.8, 1.7],
    "member": [True, False, False, True], "bought": ["yes", "no", "yes", "no"],
}  # fmt: skip


def in_parquet(table, folder):
    parquet.write_table(pyarrow.table(table), folder / "t.parquet")
    return folder / "t.parquet"


MAKERS = {
    "pandas": lambda table, folder: pandas.DataFrame(table),
    "pandas by arrow": lambda table, folder: pandas.DataFrame(table).convert_dtypes(dtype_backend="pyarrow"),
    "pandas with NA": lambda table, folder: pandas.DataFrame(table).convert_dtypes(),
    "pandas of objects": lambda table, folder: pandas.DataFrame(table, dtype=object),
    "polars": lambda table, folder: polars.DataFrame(table),
    "pyarrow": lambda table, folder: pyarrow.table(table),
    "Parquet": in_parquet,
}


@pytest.fixture(params=MAKERS)
def made(request, tmp_path):
    return lambda table: MAKERS[request.param](table, tmp_path)


def test_it_is_what_the_csv_file_is(made, tmp_path):
    pandas.DataFrame(TABLE).to_csv(tmp_path / "t.csv", index=False)
    theirs = load(tmp_path / "t.csv")
    ours = load(made(TABLE))
    np.testing.assert_array_equal(ours.x, theirs.x)
    np.testing.assert_array_equal(ours.y, theirs.y)
    assert (ours.x.dtype, ours.schema, ours.notes) == (np.float32, theirs.schema, theirs.notes)
    assert (ours.feature_names, ours.classes) == (theirs.feature_names, theirs.classes)
    other = load(made({**{k: v[:2] for k, v in reversed(TABLE.items())}, "more": [1, 2]}), schema=theirs.schema)
    np.testing.assert_array_equal(other.x, theirs.x[:2])
    assert other.y.tolist() == [1, 0]
    assert load(made({k: v for k, v in TABLE.items() if k != "bought"}), schema=theirs.schema).y is None


@pytest.mark.parametrize("target", ["height", "age", "member", "bought", 2, -3])
@pytest.mark.parametrize("task", ["auto", "regression"])
def test_the_target_by_name_or_place(made, target, task, tmp_path):
    pandas.DataFrame(TABLE).to_csv(tmp_path / "t.csv", index=False)
    if task == "regression" and target in ("member", "bought"):
        with pytest.raises(DataError, match=f"column '{target}': expected a number as target of regression"):
            load(made(TABLE), target, task)
        return
    ours, theirs = (load(source, target, task) for source in (made(TABLE), tmp_path / "t.csv"))
    np.testing.assert_array_equal(ours.y, theirs.y)
    assert (ours.y.dtype, ours.classes, ours.task, ours.notes) == (
        theirs.y.dtype,
        theirs.classes,
        theirs.task,
        theirs.notes,
    )


def test_texts_of_digits_are_texts_and_numbers_are_names_if_asked(made):
    data = load(
        made({"zip": ["01", "1", "01", "2"], "year": [10, 20, 10, 30], "y": [0.5, 1.5, 2.5, 3.5]}), categorical=["year"]
    )
    assert data.feature_names == ("zip=01", "zip=1", "zip=2", "year=10", "year=20", "year=30")
    np.testing.assert_array_equal(data.x.argmax(axis=1), [0, 1, 0, 2])
    assert (
        load(made({"n": [1, 2, 3, 4], "y": [0.5, 1.5, 2.5, 3.5]}), drop=[], categorical=["n"]).feature_names[0] == "n=1"
    )
    assert load(made({"id": [1, 2], "x": [1, 2], "y": [0, 1]}), drop=["id"]).feature_names == ("x",)


MISSING = [
    ({"a": [1.0, None, 3.0], "y": [0, 1, 0]}, "row 1, column 'a': expected a number, got an empty cell"),
    ({"a": [1, None, 3], "y": [0, 1, 0]}, "row 1, column 'a': expected a number, got an empty cell"),
    ({"a": ["u", "v", None], "y": [0, 1, 0]}, "row 2, column 'a': expected a value, got an empty cell"),
    ({"a": ["u", None, None], "y": [0, 1, 0]}, "row 1, column 'a': .*an empty cell, and 2 such in all"),
    ({"a": [True, None, False], "y": [0, 1, 0]}, "row 1, column 'a': expected a value, got an empty cell"),
    ({"a": [1.0, float("nan"), 3.0], "y": [0, 1, 0]}, "row 1, column 'a': expected a number, got an empty cell"),
    ({"a": [1.0, 2.0, float("inf")], "y": [0, 1, 0]}, "row 2, column 'a': expected a finite number, got 'inf'"),
    ({"a": [1.0, 2.0, 1e39], "y": [0, 1, 0]}, "row 2, column 'a': expected a number that float32 holds"),
    ({"a": [1, 2, 3], "y": ["u", None, "v"]}, "row 1, column 'y': expected a value, got an empty cell"),
    ({"a": [1, 2, 3], "y": [0.5, None, 1.0]}, "row 1, column 'y': expected a number, got an empty cell"),
    ({"a": [1, 2, 3], "y": ["u", "u", "u"]}, "column 'y': expected at least two classes, got only 'u'"),
    (
        {"a": [f"n{i}" for i in range(200)], "y": [0, 1] * 100},
        r"column 'a'.*200 different values in 200 rows.*drop=\['a'\]",
    ),
]


@pytest.mark.parametrize("table, message", MISSING)
def test_what_is_missing_is_named_with_its_row(made, table, message):
    with pytest.raises(DataError, match=message) as caught:
        load(made(table))
    assert caught.value.fix


DAYS = [datetime.date(2020, 1, day) for day in (1, 2)]


@pytest.mark.parametrize(
    "values",
    [DAYS, [datetime.datetime(2020, 1, 1), None], [datetime.timedelta(1), datetime.timedelta(2)], [[1], [2]], [b"u", b"v"], [{"a": 1}, {"a": 2}]],
)  # fmt: skip
def test_dates_and_nests_say_what_to_do(values, made):
    with pytest.raises(DtypeError, match=r"column 'when': expected a column of numbers, or of texts.*drop="):
        load(made({"when": values, "x": [1, 2], "y": [0, 1]}))


def test_categories_and_decimals():
    colour = ["u", "v", "u"]
    frames = [
        pandas.DataFrame({"c": pandas.Categorical(colour, categories=["w", "v", "u"]), "n": pandas.Categorical([7, 8, 7]), "y": [0, 1, 0]}),
        polars.DataFrame({"c": colour, "n": ["7", "8", "7"], "y": [0, 1, 0]}, schema_overrides={"c": polars.Categorical, "n": polars.Enum(["8", "7"])}),
        pyarrow.table({"c": pyarrow.array(colour).dictionary_encode(), "n": pyarrow.array([7, 8, 7]).dictionary_encode(), "y": [0, 1, 0]}),
    ]  # fmt: skip
    for frame in frames:
        data = from_frame(frame, name="my table")
        assert (data.feature_names, data.name) == (("c=u", "c=v", "n=7", "n=8"), "my table")
        np.testing.assert_array_equal(data.x, [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
    exact = pandas.DataFrame({"d": [decimal.Decimal("0.25"), None, decimal.Decimal(1)], "y": [0, 1, 0]})
    with pytest.raises(DataError, match="row 1, column 'd': expected a number, got an empty cell"):
        load(exact)
    assert load(exact.iloc[[0, 2]].assign(y=[0, 1])).x.tolist() == [[0.25], [1.0]]


def test_what_a_model_does_not_know(made):
    schema = load(made(TABLE)).schema
    for change, message in [
        ({"colour": ["green"] * 4}, "row 0, column 'colour': .*got 'green'"),
        ({"age": ["old"] * 4}, "row 0, column 'age': expected a number, as in training, got 'old'"),
        ({"bought": ["maybe"] * 4}, "row 0, target: expected a class that the model knows, got 'maybe'"),
    ]:
        with pytest.raises(DataError, match=message):
            load(made({**TABLE, **change}), schema=schema)


@pytest.mark.parametrize(
    "source, options, error, message",
    [
        (lambda: pandas.DataFrame(), {}, DataError, "frame: expected rows and columns"),
        (
            lambda: pandas.DataFrame([[1, 2, 0], [3, 4, 1]], columns=["a", "a", "y"]),
            {},
            DataError,
            "two columns named 'a'",
        ),
        (
            lambda: polars.DataFrame({"a": [1], "y": [2]}).lazy(),
            {},
            ConfigError,
            r"Collect it first: frame\.collect\(\)",
        ),
        (lambda: pandas.DataFrame(TABLE), {"header": True}, ConfigError, "a DataFrame takes no header="),
        (lambda: pandas.DataFrame(TABLE), {"target": "agee"}, ConfigError, "no column 'agee'. Did you mean 'age'"),
        (lambda: pandas.DataFrame({"a": [1, "u"], "y": [0, 1]}), {}, DtypeError, "got int in row 0.*all of them texts"),
        (lambda: pandas.Series([1, 2]), {}, ConfigError, "got Series"),
    ],
)
def test_what_is_no_table_is_refused(source, options, error, message):
    with pytest.raises(error, match=message):
        load(source(), **options)


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    path = in_parquet(TABLE, tmp_path)
    monkeypatch.setattr(pyarrow, "__version__", "14.0.0")
    with pytest.raises(
        BackendUnavailable, match=r"t\.parquet: Parquet needs pyarrow 15 or later, got pyarrow 14. Install it: pip"
    ):
        load(path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(BackendUnavailable, match="got none"):
        load(path)


def test_parquet_that_declares_too_much_is_refused_before_it_is_read(tmp_path):
    rows = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(20_000_000, "i1")), pyarrow.array(["x"]))
    parquet.write_table(pyarrow.table({"a": rows, "y": rows}), tmp_path / "bomb.parquet")
    with pytest.raises(DataError, match=r"bomb\.parquet: expected data that grows at most 500 times"):
        load(tmp_path / "bomb.parquet")


@pytest.mark.parametrize("cut", [0, 3, 100, -1, -50])
def test_a_parquet_file_that_is_cut_is_refused(tmp_path, cut):
    path = in_parquet(TABLE, tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="expected a whole Parquet file"):
        load(path)
