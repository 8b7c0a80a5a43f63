"""The other verbs, on runs of this module."""

import csv
import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import nnx as library
from nnx.cli.runs import history
from nnx.errors import DataError

ROWS = [(i * 0.5, ("red", "blue", "green")[i % 3], ("cat", "dog")[i % 2]) for i in range(60)]


def table(rows, *header):
    return "\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """pets.csv, prices.csv, and a run on each and on the digits."""
    from nnx.cli import main

    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("pets.csv").write_text(table(ROWS, "size", "colour", "species"))
        Path("prices.csv").write_text(table([(i, i % 7, 3 * i + 100) for i in range(60)], "area", "floor", "price"))
        for source in ("pets.csv", "prices.csv", "digits"):
            flags = ["--task", "regression"] if source == "prices.csv" else []
            assert main(["train", source, "--epochs", "2", "--model", "mlp:8", *flags]) == 0
    return folder


@pytest.fixture(autouse=True)
def there(here, trained, monkeypatch):
    """A copy of it to work in."""
    shutil.copytree(trained, here, dirs_exist_ok=True)
    for config in here.rglob("config.toml"):
        config.write_text(config.read_text().replace(str(trained), str(here)))


def rows_of(file):
    with open(file, newline="") as stream:
        return list(csv.reader(stream))


def test_predictions_have_row_class_and_probabilities(nnx, here, backend_spec):
    (here / "new.csv").write_text(table([(colour, size) for size, colour, _ in ROWS], "colour", "size"))
    done = nnx("predict", "runs/pets-001", "new.csv", "-o", "p.csv", "--backend", backend_spec)
    assert done.code == 0, done.err
    head, *rows = rows_of("p.csv")
    assert head == ["row", "prediction", "p_cat", "p_dog"]
    assert [row[0] for row in rows] == [str(i) for i in range(60)]
    chances = np.asarray([row[2:] for row in rows], dtype=float)
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
    assert [row[1] for row in rows] == [("cat", "dog")[i] for i in chances.argmax(axis=1)]
    model = library.load("runs/pets-001/model.safetensors")
    data = library.data.load("pets.csv")
    logits = library.predict(model, data)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chances, expected, atol=1e-4)


def test_predictions_of_a_real_target(nnx, here):
    assert nnx("predict", "runs/prices-001", "prices.csv", "-o", "p.csv").code == 0
    head, *rows = rows_of("p.csv")
    assert head == ["row", "price"]
    model = library.load("runs/prices-001/model.safetensors")
    expected = library.predict(model, library.data.load("prices.csv", task="regression"))
    np.testing.assert_allclose(np.asarray([row[1] for row in rows], dtype=np.float32), expected[:, 0])


def test_predictions_need_no_targets_and_do_not_look_at_them(nnx, here):
    for run, target in (("runs/pets-001", "species"), ("runs/prices-001", "price")):
        data = run.removeprefix("runs/").removesuffix("-001") + ".csv"
        head, *rows = rows_of(data)
        (here / "new.csv").write_text(table([[*row[:-1], ("", "lynx")[i % 2]] for i, row in enumerate(rows)], *head))
        assert head[-1] == target
        assert nnx("predict", run, "new.csv").out == nnx("predict", run, data).out != ""
    np.savez(here / "d.npz", x=library.data.load("digits").x, y=np.full(1797, 99))
    assert nnx("predict", "runs/digits-001", "d.npz").out == nnx("predict", "runs/digits-001", "digits").out != ""


def test_predictions_to_standard_output_are_csv_alone(nnx):
    done = nnx("predict", "runs/digits-001", "digits")
    assert done.out.splitlines()[0] == "row,prediction," + ",".join(f"p_{i}" for i in range(10))
    assert len(done.out.splitlines()) == 1798
    assert nnx("predict", "runs/digits-001/model.safetensors", "digits", "-o", "-").out == done.out


def test_a_file_of_predictions_is_overwritten_only_by_force(nnx, here):
    (here / "p.csv").write_text("mine")
    assert nnx("predict", "runs/digits-001", "digits", "-o", "p.csv").code == 2
    assert (here / "p.csv").read_text() == "mine"
    assert nnx("predict", "runs/digits-001", "digits", "-o", "p.csv", "--force").code == 0
    assert (here / "p.csv").read_text().startswith("row,prediction")


def test_a_model_that_ends_in_softmax_gives_probabilities_already(nnx, here):
    data = library.data.load("digits")
    model = library.Sequential(library.Linear(64, 10), library.Softmax()).initialize(0)
    library.save(model, here / "m.safetensors", notes={"schema": data.schema.to_dict()})
    assert nnx("predict", "m.safetensors", "digits", "-o", "p.csv").code == 0
    chances = np.asarray([row[2:] for row in rows_of("p.csv")[1:]], dtype=float)
    np.testing.assert_allclose(chances, library.predict(model, data), atol=1e-5)


def test_predictions_that_cannot_be_written_leave_no_file(nnx, here, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nnx.cli.predict.write_whole", full)
    done = nnx("predict", "runs/pets-001", "pets.csv", "-o", "p.csv")
    assert done.code == 2
    assert "the file cannot be written (No space left on device)" in done.err
    assert not (here / "p.csv").exists()


def test_run_and_data_in_each_others_place(nnx):
    done = nnx("predict", "pets.csv", "runs/pets-001")
    assert done.code == 2
    assert "got 'pets.csv', which is data. RUN comes first, and DATA after it.\n" in done.err


def test_evaluate_takes_the_rows_held_out(nnx):
    done = nnx("evaluate", "runs/digits-001")
    last = json.loads(Path("runs/digits-001/metrics.jsonl").read_text().splitlines()[-1])
    assert done.code == 0
    assert "the validation rows of digits (seed 0): 359 rows" in done.out
    assert f"accuracy  {last['val_accuracy']:.4f}" in done.out


def test_evaluate_takes_the_test_rows_where_there_are_some(nnx):
    begun = nnx("train", "digits", "--epochs", 1, "--model", "linear", "--test", 0.1, "--out", "r", "--json")
    end = json.loads(begun.out.splitlines()[-1])
    got = json.loads(nnx("evaluate", "r", "--json").out)
    assert got["accuracy"] == end["test_accuracy"]
    assert got["rows"] == 180


def test_evaluate_says_when_rows_were_trained_on(nnx, here):
    assert "note      these include the rows it was trained on" in nnx("evaluate", "runs/digits-001", "digits").out
    (here / "more.csv").write_text(table(ROWS[:20], "size", "colour", "species"))
    done = nnx("evaluate", "runs/pets-001", "more.csv")
    assert done.code == 0
    assert "note" not in done.out


def test_evaluate_refuses_data_that_changed(nnx, here):
    (here / "pets.csv").write_text(table(ROWS[:50], "size", "colour", "species"))
    done = nnx("evaluate", "runs/pets-001")
    assert done.code == 2
    assert "The data have changed since" in done.err


def test_evaluate_says_where_data_that_are_gone_are_looked_for(nnx, here):
    (here / "pets.csv").rename(here / "moved.csv")
    done = nnx("evaluate", "runs/pets-001")
    assert done.code == 2
    assert "pets.csv: the data that it was trained on are not there any more. Put them back, write where" in done.err
    config = here / "runs" / "pets-001" / "config.toml"
    config.write_text(config.read_text().replace("pets.csv", "moved.csv"))
    assert nnx("evaluate", "runs/pets-001").code == 0


def test_evaluate_refuses_the_same_rows_in_another_order(nnx, here):
    (here / "pets.csv").write_text(table(sorted(ROWS, key=lambda row: row[1]), "size", "colour", "species"))
    done = nnx("evaluate", "runs/pets-001")
    assert done.code == 2
    assert "The data have changed since" in done.err


def test_evaluate_needs_targets(nnx, here):
    (here / "new.csv").write_text(table([row[:2] for row in ROWS], "size", "colour"))
    done = nnx("evaluate", "runs/pets-001", "new.csv")
    assert done.code == 2
    assert "new.csv: there are no targets to compare with, column 'species'. Add them, or take nnx predict" in done.err


def test_a_model_file_alone_can_be_evaluated_but_must_be_given_data(nnx, here):
    shutil.copy("runs/digits-001/model.safetensors", "m.safetensors")
    assert "Name the data" in nnx("evaluate", "m.safetensors").err
    assert nnx("evaluate", "m.safetensors", "digits").code == 0


def test_summary_has_data_training_and_layers(nnx):
    out = nnx("summary", "runs/pets-001").out
    assert "4 features, 2 classes: cat, dog" in out
    assert "mlp:8, adam at 0.003, cosine, batches of 64, seed 0" in out
    assert "ended     after epoch 2: loss" in out
    assert "layers.1  Linear" in out
    assert "trainable parameters" in out
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith(("data", "run")))
    assert "target price" in nnx("summary", "runs/prices-001").out


@pytest.mark.parametrize("line", ['{"loss": 1.0}', "[1]", "{"])
def test_a_damaged_line_of_a_history_is_told_unless_it_is_the_last(line, tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"epoch": 1}\n' + line)
    assert history(tmp_path) == [{"epoch": 1}]
    file.write_text(line + '\n{"epoch": 1}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 1: a damaged line"):
        history(tmp_path)


def test_summary_tells_the_memory_of_a_training(nnx):
    def bytes_of(part, *flags):
        lines = nnx("summary", "runs/pets-001", *flags).out.splitlines()
        return int(
            next(line for line in lines if line.startswith(part)).split()[-1 - 3 * (part == "peak")].replace(",", "")
        )

    out = nnx("summary", "runs/pets-001").out
    assert "memory of a training in batches of 64 rows on numpy" in out
    assert bytes_of("state of adam") == 2 * bytes_of("gradients")
    assert bytes_of("state of sgd", "--optimizer", "sgd") == 0
    assert bytes_of("activations", "--batch-size", "128") > bytes_of("activations")
    assert bytes_of("peak", "--batch-size", "128") > bytes_of("peak")
    assert bytes_of("state of lbfgs", "--optimizer", "lbfgs:history=2") == 5 * bytes_of("gradients")
    assert "128 rows on strict" in nnx("summary", "runs/pets-001", "--batch-size", "128", "--backend", "strict").out


def test_summary_of_a_run_whose_last_line_was_cut_short(nnx, here):
    path = here / "runs" / "pets-001" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 3, "lo')
    assert "after epoch 2" in nnx("summary", "runs/pets-001").out
    path.write_text("nonsense\n" + path.read_text())
    done = nnx("summary", "runs/pets-001")
    assert done.code == 2
    assert "line 1" in done.err


def test_a_model_file_without_a_schema(nnx, here):
    library.save(library.Linear(2, 2).initialize(0), here / "m.safetensors")
    done = nnx("summary", "m.safetensors")
    assert done.code == 2
    assert "expected a model file with the schema of its data" in done.err


def test_backends_fits_a_terminal_and_names_all(nnx):
    done = nnx("backends")
    assert done.code == 0
    assert all(len(line) <= 80 for line in done.out.splitlines())
    for name in library.backends.names():
        assert f"\n{name}" in done.out
    rows = [json.loads(line) for line in nnx("backends", "--json").out.splitlines()]
    assert [row["name"] for row in rows] == list(library.backends.names())
    assert rows[0]["usable"] is True
    assert {"version", "devices", "blas", "threads", "fused"} <= rows[0].keys()


def test_backends_wraps_long_cells_and_gives_reasons():
    from nnx.cli.backends import table as lines

    rows = [
        {"name": "cupy", "usable": True, "version": "14.0", "devices": [f"{i} (NVIDIA H200)" for i in range(8)], "blas": "cuBLAS, CUDA 13.0",
         "threads": None, "fused": "on (cupy.fuse)"},
        {"name": "jax", "usable": False, "reason": 'backend jax: jax is not installed. Run: python -m pip install "nnx-array[jax]"'},
    ]  # fmt: skip
    shown = lines(rows)
    assert all(len(line) <= 80 for line in shown)
    text = " ".join(" ".join(shown).split())
    assert "7 (NVIDIA" in text
    assert 'jax jax is not installed. Run: python -m pip install "nnx-array[jax]"' in text


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict", "summary", "doctor", "lr-find", "backends"])
def test_help_has_examples_and_fits_a_terminal(verb, nnx, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = nnx(verb, "--help")
    assert done.code == 0
    assert f"For example\n  nnx {verb}" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())


def test_the_help_of_train_names_every_setting(nnx):
    from nnx.cli.config import FIELDS, flag

    out = nnx("train", "--help").out
    assert [name for name in FIELDS if name != "source" and flag(name) not in out] == []


def test_version_and_bare_command(nnx):
    assert nnx("--version").out.strip() == library.__version__
    assert "train" in nnx().out
