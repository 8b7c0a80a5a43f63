"""Numbers that float32 cannot tell apart are told of when they are loaded."""

import numpy as np
import pytest

import nnx

STEPS = np.arange(50.0)


def notes(x, y=STEPS % 3, **options):
    return [note for note in nnx.data.load((x, y), **options).notes if "float32" in note]


@pytest.mark.parametrize(
    "column", [STEPS, 1e6 + STEPS, 1e9 + 1e4 * STEPS, np.full(50, 1e9), 1e30 * STEPS, -1e-30 * STEPS]
)
def test_what_float32_tells_apart_is_no_matter(column):
    assert notes(column[:, None]) == []


@pytest.mark.parametrize(("column", "step"), [(1.7e9 + STEPS, "128"), (-2e7 - STEPS, "2")])
def test_a_column_is_named_with_its_steps_and_span(column, step):
    (note,) = notes(np.stack([STEPS, column], axis=1))
    assert note == f"float32 holds 'x, column 1' only in steps of {step}, and it spans 49: subtract a constant"


def test_real_targets_too():
    (note,) = notes(STEPS[:, None], 3e8 + STEPS, task="regression")
    assert note.startswith("float32 holds 'y' only in steps of 32,")


def test_of_several_the_coarsest_is_measured():
    (note,) = notes(np.stack([1e9 + STEPS, 1e8 + STEPS, STEPS], axis=1))
    assert "'x, column 0', 'x, column 1' only in steps of 64, and one spans 49" in note


@pytest.mark.parametrize("kind", ["csv", "frame"])
def test_a_table_names_its_columns_even_those_that_become_constant(kind, tmp_path):
    rows = [(1_700_000_000 + i, i % 7 + 0.5, "red" if i % 2 else "blue", 5e8 + i / 2) for i in range(40)]
    path = tmp_path / "log.csv"
    path.write_text("time,value,colour,answer\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows))
    source = path if kind == "csv" else pytest.importorskip("pandas", reason="pandas is not installed").read_csv(path)
    (note,) = [note for note in nnx.data.load(source).notes if "float32" in note]
    assert note.startswith("float32 holds 'time', 'answer' only in steps of 128, and one spans 39")


def test_rows_for_a_model_are_not_told_of_again():
    data = nnx.data.load((1.7e9 + STEPS[:, None], STEPS % 3))
    assert notes(1.7e9 + STEPS[:, None], schema=data.schema) == []


def test_images_are_left_alone():
    assert notes(1.7e9 + STEPS.reshape(50, 1, 1, 1) * np.ones((1, 2, 2, 1))) == []
