"""Tables: what other programs write is read as it was meant; training and prediction data are encoded alike."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnx.data import Schema, load
from nnx.data.csv import detect, rows
from nnx.errors import DataError

PEOPLE = "age,colour,height,bought\n31,red,1.75,yes\n45,blue,1.60,no\n22,red,1.8e0,yes\n"


def test_numbers_texts_and_classes(write):
    data = load(write("people.csv", PEOPLE))
    np.testing.assert_array_equal(data.x, np.asarray([[31, 0, 1, 1.75], [45, 1, 0, 1.6], [22, 0, 1, 1.8]], "float32"))
    assert data.feature_names == ("age", "colour=blue", "colour=red", "height")
    assert (data.x.dtype, data.y.dtype, data.y.tolist()) == (np.float32, np.int64, [1, 0, 1])
    assert (data.classes, data.task, data.target_name, data.name) == (
        ("no", "yes"),
        "classification",
        "bought",
        "people.csv",
    )
    assert data.notes == (
        "target: the last column, 'bought'",
        "task classification: 'bought' holds texts",
        "one feature for each text of 'colour' (2)",
    )


@pytest.mark.parametrize("target", ["height", 2, -2, "2"])
def test_the_target_by_name_or_place(write, target):
    data = load(write("people.csv", PEOPLE), target)
    assert (data.target_name, data.task, data.y.shape, data.y.dtype) == ("height", "regression", (3, 1), np.float32)
    assert data.notes[0] == "task regression: 'height' holds real numbers"


def test_a_column_named_like_a_number_goes_before_the_place(write):
    assert load(write("a.csv", "1,0,x\n5.5,1,0.5\n6.5,2,1.5\n"), "0").target_name == "0"


def test_whole_numbers_are_classes_when_few(write):
    few = load(write("few.csv", "x,y\n" + "".join(f"{i},{i % 3 + 9}\n" for i in range(30))))
    assert (few.task, few.classes) == ("classification", ("9", "10", "11"))
    assert few.notes[-1].endswith("3 distinct whole numbers; pass task='regression' if they are amounts")
    path = write("many.csv", "x,y\n" + "".join(f"{i},{i}\n" for i in range(30)))
    assert load(path).task == "regression"
    assert "more than 20 distinct" in load(path).notes[-1]
    assert load(path, task="classification").outputs == 30
    assert load(write("few.csv", "x,y\n1,0\n2,1\n"), task="regression").y.tolist() == [[0.0], [1.0]]


def test_whole_numbers_that_hardly_come_twice_are_amounts(write):
    women = load(write("women.csv", "height,weight\n" + "".join(f"{58 + i},{115 + i * 3}\n" for i in range(15))))
    says = "task regression: 'weight' holds 15 distinct whole numbers in 15 rows; pass task='classification' if they are classes"
    assert women.notes[-1] == says
    thrice = "x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(6))
    assert (load(write("six.csv", thrice)).outputs, load(write("five.csv", thrice[:-4])).task) == (3, "regression")
    assert load(write("two.csv", "x,y\n1,7\n2,8\n3,8\n")).classes == ("7", "8")


def test_names_of_the_rows_are_no_classes_and_no_categories(write):
    path = write("cars.csv", "mpg,name\n" + "".join(f"{i},car {i}\n" for i in range(11)))
    for task in ("auto", "classification"):
        with pytest.raises(
            DataError, match=r"11 different values in 11 rows.*name the rows: take another column with target=\.$"
        ):
            load(path, task=task)
    with pytest.raises(DataError, match=r"got 'car 0'. Correct the cell, or take another column with target=\.$"):
        load(path, task="regression")
    with pytest.raises(DataError, match=r"11 different values in 11 rows.*leave it out with drop=\['name'\]\.$"):
        load(path, "mpg")


def test_a_target_of_numbers_and_names_is_classes_if_it_is_said(write):
    path = write("rain.csv", "x,rain\n" + "".join(f"{i},{'T' if i % 5 == 0 else i % 30}\n" for i in range(60)))
    with pytest.raises(
        DataError, match=r"row 2, column 'rain': .*got 'T'. Correct the cell, or pass task='classification' if"
    ):
        load(path)
    assert load(path, task="classification").outputs == load(path, categorical=["rain"]).outputs == 25


def test_a_target_of_dates_is_asked_for(write):
    path = write("cars.csv", "x,day\n1,2020-01-03\n2,2020-01-04\n")
    with pytest.raises(
        DataError, match=r"column 'day': .*; or take another column with target=\. .* task='classification'"
    ):
        load(path)
    assert load(path, task="classification").classes == ("2020-01-03", "2020-01-04")


def test_all_columns_with_missing_values_are_named_at_once(write):
    path = write("a.csv", "a,b,c,y\n1,u,2,\n,,3,1\n2,,NA,0.5\n")
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value).endswith(
        "row 3, column 'a': expected a number, got an empty cell. Fill it in or remove the row. "
        "Values are missing in 'b', 'c', 'y', too."
    )
    with pytest.raises(
        DataError, match=r"'b': expected a value, got an empty cell, and 2 such .* or leave the column out with drop="
    ):
        load(path, "c", drop=["a", "y"])
    with pytest.raises(DataError, match=r"and 2 such in all. Fill them in or remove the rows\.$"):
        load(write("b.csv", "a,b\n1,\n2,\n3,u\n"))


def test_a_text_that_may_mean_a_missing_value_is_told(write):
    text = "a,b,y\n" + "NA,1,u\nv,2,?\nw,3,u\n" * 4
    assert load(write("a.csv", text)).notes[-1] == "'?', 'NA': a text as any other in 'a', 'y'"


def test_one_number_is_one_class_however_it_is_written(write):
    assert load(write("a.csv", "x,y\n1,01\n2,1\n3,+2\n4,2\n")).classes == ("1", "2")
    path = write("b.csv", "x,y\n1,0.0\n2,1.0\n3,1\n4,0\n")
    assert load(path).notes[-1].endswith("'y' holds real numbers; pass task='classification' if they are classes")
    data = load(path, task="classification")
    assert (data.classes, data.y.tolist()) == (("0", "1"), [0, 1, 1, 0])
    assert load(write("c.csv", "x,y\n1,1.0\n2,0\n"), schema=data.schema).y.tolist() == [1, 0]
    with pytest.raises(DataError, match=r"row 2, target: expected a class that the model knows, got '1.5'"):
        load(write("d.csv", "x,y\n1,1.5\n2,0\n"), schema=data.schema)


def test_dates_that_are_names_can_be_asked_for(write):
    path = write("a.csv", "day,y\n2020-01-03,0.5\n2020-01-04,1.5\n")
    assert load(path, categorical=["day"]).feature_names == ("day=2020-01-03", "day=2020-01-04")


def test_many_columns_of_texts_are_named_briefly(write):
    names = [f"c{i}" for i in range(12)]
    text = "\n".join(",".join(row) for row in ([*names, "y"], [*"uvuvuvuvuvuv", "0"], [*"vuvuvuvuvuvu", "1"]))
    note = load(write("a.csv", text)).notes[-1]
    assert note.startswith("one feature for each text of 'c0' (2), ")
    assert note.endswith("'c9' (2), … (12 columns)")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz"])
def test_dialects(write, delimiter, newline, bom, name):
    text = "\n" + PEOPLE.replace("red", '"dark, ""red""; x"').replace("\n22", "\n\n22")
    lines = [delimiter.join(cells) for cells in csv.reader(text.splitlines()) if cells]
    quoted = [line.replace('dark, "red"; x', '"dark, ""red""; x"') for line in lines]
    data = load(write(name, bom + (newline.join(quoted) + newline * 2).encode()))
    assert data.feature_names == ("age", "colour=blue", 'colour=dark, "red"; x', "height")
    assert len(data) == 3


def test_a_decimal_comma_does_not_make_the_comma_a_delimiter(write):
    assert detect(write("a.csv", "1,5;2,5;0\n1;2,5;3\n")) == ";"
    with pytest.raises(DataError, match=r"row 2, column 'a'.*decimal point, got '1,5'. Use decimal points"):
        load(write("b.csv", "a;b\n1,5;0\n2,5;1\n"))


def test_a_delimiter_can_be_given(write):
    path = write("a.csv", "a;b,c\n1;2,0\n3;4,1\n")
    assert load(path, delimiter=",").feature_names == ("a;b=1;2", "a;b=3;4")


def test_a_quoted_cell_may_stand_behind_a_space(write):
    data = load(write("d.csv", 'x, kind\n1, "a, b"\n2, c\n3, "a, b"\n4, c\n'))
    assert data.classes == ("a, b", "c")


def test_a_quoted_cell_may_hold_line_breaks_and_rows_are_counted_as_a_spreadsheet_does(write):
    text = 'a,b,c\n1,"two\nlines",0\n2,x,1\n,x,1\n'
    with pytest.raises(DataError, match=r"row 4 \(line 5\), column 'a': expected a number, got an empty cell"):
        load(write("a.csv", text))
    assert [row.number for row in rows(write("b.csv", "a,b\n\n1,2\n"))] == [1, 3]


def test_without_header(write):
    path = write("a.csv", "1.5,u,0\n2.5,v,1\n")
    data = load(path, header=False)
    assert (data.feature_names, data.target_name) == (("column_0", "column_1=u", "column_1=v"), "column_2")
    shorter = load(write("b.csv", "3.5,v\n"), schema=data.schema)
    assert (shorter.x.tolist(), shorter.y) == ([[3.5, 0.0, 1.0]], None)
    assert load(path, schema=data.schema).y.tolist() == [0, 1]
    first = load(write("c.csv", "0,1.5\n1,2.5\n"), 0, header=False)
    assert load(write("d.csv", "7.5\n"), schema=first.schema).x.tolist() == [[7.5]]


def test_a_model_of_arrays_wants_names_above_a_table_of_numbers(write):
    schema = load(([[0.0, 1.0], [2.0, 3.0]], [0, 1])).schema
    with pytest.raises(DataError, match=r"got numbers: '1', '2'\. Write the names of the columns into a row above\."):
        load(write("a.csv", "1,2\n3,4\n"), schema=schema)  # `nnx predict` and `nnx evaluate` have no --no-header
    with pytest.raises(DataError, match=r"as in training, got 'u'\. Correct the cell\.$"):  # nor --categorical
        load(write("b.csv", "a,b\nu,2\n"), schema=schema)
    with pytest.raises(DataError, match=r"a header and no rows\. Add rows\.$"):
        load(write("c.csv", "a,b\n"), schema=schema)
    assert load(write("d.csv", "a,b\n1,2\n3,4\n"), schema=schema).x.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_names_that_are_numbers(write):
    assert load(write("a.csv", "0,1,2\n1,2,0\n3,4,1\n"), header=True).feature_names == ("0", "1")


def test_drop_and_categorical(write):
    path = write("a.csv", "id,zip,x,y\n" + "".join(f"n{i},{i % 2 + 10},{i},{i % 2}\n" for i in range(200)))
    data = load(path, drop=["id"], categorical=["zip"])
    assert data.feature_names == ("zip=10", "zip=11", "x")
    with pytest.raises(DataError, match=r"column 'id'.*200 different values in 200 rows.*drop=\['id'\]"):
        load(path)


def test_mixed_columns_are_categories_when_few_and_errors_when_many(write):
    doors = load(
        write("cars.csv", "doors,y\n" + "".join(f"{d},{i % 2}\n" for i, d in enumerate(["2", "4", "5more"] * 10)))
    )
    assert doors.feature_names == ("doors=2", "doors=4", "doors=5more")
    assert "column 'doors' holds numbers and texts: taken as categories" in doors.notes
    with pytest.raises(DataError, match=r"row 3, column 'age': expected a number.*got 'abc'.*categorical=\['age'\]"):
        load(write("typo.csv", "age,y\n21,0\nabc,1\n44,0\n"))


def test_more_rows_than_one_block(write):
    n = 5000
    text = "a,b,y\n" + "".join(f"{i / 7!r},{'uvw'[i % 3]},{i * 0.5}\n" for i in range(n))
    data = load(write("long.csv", text))
    np.testing.assert_array_equal(data.x[:, 0], (np.arange(n) / 7).astype(np.float32))
    np.testing.assert_array_equal(data.x[:, 1:].argmax(axis=1), np.arange(n) % 3)
    np.testing.assert_array_equal(data.y[:, 0], np.arange(n) * 0.5)
    with pytest.raises(DataError, match=r"row 4001, column 'b'.*an empty cell"):
        load(write("hole.csv", text.replace("\n571.2857142857143,u,", "\n571.2857142857143,,")))


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=8).filter(
    lambda t: t.strip() == t and t not in ("nan", "NaN") and not t[0].isnumeric()
)


@settings(deadline=None)
@given(st.lists(CELLS, min_size=2, max_size=20), st.sampled_from(",;\t"))
def test_any_text_survives_the_round_trip(tmp_path_factory, texts, delimiter):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerow(["text", "value"])
        writer.writerows([text, i] for i, text in enumerate(texts))
    assert [row.cells for row in rows(path, delimiter)][1:] == [[text, str(i)] for i, text in enumerate(texts)]


def test_a_first_column_without_a_name_holds_names_of_the_rows(write):
    rows = "".join(f"r{i},{i},{i % 2}\n" for i in range(12))  # as pandas and R write them
    data = load(write("a.csv", ",x,y\n" + rows))
    assert (data.feature_names, data.classes) == (("x",), ("0", "1"))
    assert "the first column has no name: taken for names of the rows and left out" in data.notes
    again = load(write("b.csv", ",y,x\nr,1,7\n"), schema=data.schema)
    assert (again.x.tolist(), again.y.tolist(), again.notes) == ([[7.0]], [1], ())
    arrays = load(([[0.0], [1.0]], [0, 1])).schema
    assert load(write("c.csv", ",x\nr,7\n"), schema=arrays).x.tolist() == [[7.0]]


@pytest.fixture
def schema(write):
    stored = json.dumps(load(write("people.csv", PEOPLE)).schema.to_dict())
    return Schema.from_dict(json.loads(stored))


def test_prediction_data_is_encoded_like_the_training_data(write, schema):
    data = load(write("new.csv", "name,height,age,colour\nann,1.7,30,blue\n"), schema=schema)
    np.testing.assert_array_equal(data.x, np.asarray([[30, 1, 0, 1.7]], "float32"))
    assert (data.y, data.classes, data.schema) == (None, ("no", "yes"), schema)
    assert data.notes == ("left out, as the model does not know them: 'name'",)


def test_prediction_data_may_hold_the_target_or_leave_it_blank(write, schema):
    one = load(write("one.csv", "bought,age,colour,height\nyes,1,red,2\n"), schema=schema)
    assert (one.y.tolist(), one.outputs) == ([1], 2)
    blank = load(write("blank.csv", "bought,age,colour,height\n,1,red,2\n"), schema=schema)
    assert (blank.y, blank.notes) == (None, ())


@pytest.mark.parametrize(
    "text, message",
    [
        ("age,colour,height\n1,green,2\n", r"row 2, column 'colour': .*got 'green'. Known: 'blue', 'red'"),
        ("age,colour,height\n1,blu,2\n", "Did you mean 'blue'"),
        (
            "age,height\n1,2\n",
            "no column 'colour', which the model was trained on. Add it; the table has 'age', 'height'",
        ),
        ("bight\n2\n", "no column 'age', 'colour', 'height', which .*Add them; the table has 'bight'"),
        (
            "age,colour,height,bought\n1,red,2,\n1,red,2,no\n",
            "row 2, target: .*got an empty cell. Fill it in or remove",
        ),
        ("age,color,height\n1,red,2\n", "no column 'colour', which the model was trained on. Did you mean 'color'"),
        ("age,colour,height\nold,red,2\n", "row 2, column 'age': expected a number, as in training, got 'old'"),
        ("age,colour,height\n,red,2\n", "row 2, column 'age': .*got an empty cell"),
        ("age,colour,height\n1,,2\n", "row 2, column 'colour': .*got an empty cell. Fill it in or remove the row"),
        (
            "age,colour,height,bought\n1,red,2,maybe\n",
            "row 2, target: expected a class that the model knows, got 'maybe'",
        ),
    ],
)
def test_prediction_data_that_does_not_fit_is_refused(write, schema, text, message):
    with pytest.raises(DataError, match=message):
        load(write("new.csv", text), schema=schema)


def test_a_regression_schema(write):
    schema = load(write("people.csv", PEOPLE), "height").schema
    with pytest.raises(
        DataError, match="row 2, column 'height': expected a number as target of regression, got 'tall'"
    ):
        load(write("b.csv", "age,colour,height,bought\n1,red,tall,no\n"), schema=schema)
    assert load(write("c.csv", "age,colour,bought\n1,red,no\n"), schema=schema).y is None


def test_a_table_for_a_model_of_arrays(write):
    schema = load((np.zeros((4, 2)), [0, 1, 0, 1])).schema
    assert load(write("a.csv", "p,q\n1,2\n"), schema=schema).x.tolist() == [[1.0, 2.0]]
    images = load("digits").as_images().schema
    row = ",".join(str(i) for i in range(64))
    data = load(write("b.csv", f"{','.join(f'p{i}' for i in range(64))},digit\n{row},3\n"), schema=images)
    assert (data.x.shape, data.y.tolist()) == ((1, 8, 8, 1), [3])
