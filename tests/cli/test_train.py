"""``nnx train`` from end to end: real data in, a run directory out, that can be run again and used elsewhere."""

import gzip
import json
import struct
import sys
import tomllib

import numpy as np
import pytest
from support.runs import records

import nnx as library
from nnx.errors import ConfigError
from nnx.train.files.weights import read_arrays

QUICK = ("--epochs", 3, "--model", "mlp:16")


def weights(run):
    return read_arrays(run / "model.safetensors")[0]


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for path in a:
        assert a[path].tobytes() == b[path].tobytes(), path


def test_digits_reach_97_percent_on_rows_that_were_held_out(nnx, here):
    done = nnx("train", "digits", "--backend", "numpy")
    assert done.code == 0, done.err
    run = here / "runs" / "digits-001"
    last = records(run)[-1]
    assert last["val_accuracy"] >= 0.97
    assert f"held out  accuracy {last['val_accuracy']:.4f} on 359 rows, none of them trained on (seed 0)" in done.out
    whole = library.data.load("digits")
    train, val = library.data.split(whole, (0.8, 0.2), seed=0)
    assert not {row.tobytes() for row in val.x} & {row.tobytes() for row in train.x}, "the parts share no row"
    model = library.load(run / "model.safetensors")
    assert library.evaluate(model, val)["accuracy"] == pytest.approx(last["val_accuracy"])
    np.testing.assert_allclose(model.state()["layers.0.mean"], train.x.mean(axis=0), rtol=1e-6)


def test_the_seed_is_that_of_the_split_too(nnx, here):
    assert nnx("train", "digits", *QUICK, "--seed", 5, "--test", 0.1, "--out", "run").code == 0
    train, val, _ = library.data.split(library.data.load("digits"), (0.7, 0.2, 0.1), seed=5)
    model = library.load(here / "run" / "model.safetensors")
    np.testing.assert_allclose(model.state()["layers.0.mean"], train.x.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert library.evaluate(model, val)["loss"] == pytest.approx(records(here / "run")[-1]["val_loss"])


@pytest.mark.parametrize(("name", "least"), [("iris", 0.85), ("wine", 0.9)])
def test_a_table_with_class_names(name, least, nnx, tables):
    done = nnx("train", f"{name}.csv", "--target", "answer")
    assert done.code == 0, done.err
    assert records(tables / "runs" / f"{name}-001")[-1]["val_accuracy"] >= least


def test_a_table_with_a_real_target_learns_in_its_own_unit(nnx, tables):
    done = nnx("train", "diabetes.csv", "--target", "answer", "--dropout", "0.3")
    assert done.code == 0, done.err
    last = records(tables / "runs" / "diabetes-001")[-1]
    assert last["val_r2"] > 0.3
    assert 20 < last["val_mae"] < 60, "in the unit of the target"
    assert 0.3 < last["val_loss"] < 0.7, "the squared error of standardised targets: 1 is that of their mean"
    assert "held out  R² 0.4" in done.out or "held out  R² 0.3" in done.out


def test_notes_are_broken_at_80_columns(nnx, here):
    rows = "".join(f"{1_700_000_000 + i},{i % 7},{i % 2}\n" for i in range(40))
    (here / "log.csv").write_text("time of the measurement,value,label\n" + rows)
    lines = nnx("train", "log.csv", "--epochs", 1, "--check", "off").out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("note   float32 holds"))
    assert lines[first + 1].endswith(" subtract a constant")
    assert all(len(line) <= 80 for line in lines[: first + 2])


def test_few_rows_are_few_steps_and_it_is_said(nnx, here):
    (here / "few.csv").write_text("x,y\n" + "".join(f"{i},{i * i / 3}\n" for i in range(30)))
    note = "note   30 steps of training are few: --epochs 300 learns more from so few rows"
    assert note in nnx("train", "few.csv", "--check", "off").out.splitlines()
    for flags in (QUICK, ("--optimizer", "lbfgs"), ("--batch-size", 4)):
        assert "steps of training" not in nnx("train", "few.csv", "--check", "off", *flags).out


def test_a_share_that_holds_too_few_rows_out_is_answered_with_one_that_does(nnx, here):
    (here / "five.csv").write_text("x,y\n1,1.5\n2,2.5\n3,3.5\n4,5.5\n5,6.5\n")
    done = nnx("train", "five.csv", "--epochs", 1)
    assert done.code == 2
    assert "--val: expected two rows or more in each part, got 5 in all, 0.8 to train, 0.2 to val. " in done.err
    assert "Hold out another share, such as --val 0.4, or" in done.err
    assert nnx("train", "five.csv", "--epochs", 1, "--val", 0.4).code == 0
    (here / "three.csv").write_text("x,y\n1,1.5\n2,2.5\n3,3.5\n")
    assert nnx("train", "three.csv").err.endswith("got 3 in all, 0.8 to train, 0.2 to val. Give more rows.\n")


def test_columns_are_named_as_the_shell_takes_them(nnx, here):
    rows = "".join(f"n{i},m{i},{i % 7},{i % 2}\n" for i in range(60))
    (here / "odd.csv").write_text("-id,Name.,x,y\n" + rows)
    assert nnx("train", "odd.csv", *QUICK).err.rstrip().endswith("leave it out with --drop=-id.")
    assert nnx("train", "odd.csv", *QUICK, "--drop=-id").err.rstrip().endswith("leave it out with --drop 'Name.'.")
    assert nnx("train", "odd.csv", *QUICK, "--drop=-id", "--drop", "Name.").code == 0


def test_npz_and_idx_files(nnx, here):
    whole = library.data.load("digits")
    np.savez(here / "d.npz", x=whole.x, y=whole.y)
    images = whole.x.reshape(-1, 8, 8).astype(np.uint8)
    for name, array in (
        ("train-images-idx3-ubyte.gz", images),
        ("train-labels-idx1-ubyte.gz", whole.y.astype(np.uint8)),
    ):
        head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        (here / name).write_bytes(gzip.compress(head + array.tobytes()))
    assert nnx("train", "d.npz", *QUICK, "--out", "a").code == 0
    assert nnx("train", "train-images-idx3-ubyte.gz", *QUICK, "--out", "b").code == 0
    assert nnx("train", "digits", *QUICK, "--out", "c").code == 0
    assert_same_bits(weights(here / "a"), weights(here / "c"))
    assert_same_bits(weights(here / "b"), weights(here / "c"))


def test_images_are_flattened(nnx, here):
    whole = library.data.load("digits")
    np.savez(here / "d.npz", x=whole.x.reshape(-1, 8, 8), y=whole.y)
    assert nnx("train", "d.npz", *QUICK, "--out", "a").code == 0
    assert nnx("predict", "a", "d.npz", "-o", "p.csv").code == 0
    assert len((here / "p.csv").read_text().splitlines()) == 1798


def test_a_run_again_from_its_config_gives_the_same_bits(nnx, tables, monkeypatch):
    flags = ("--optimizer", "sgd:momentum=0.9", "--schedule", "one_cycle:warmup=1", "--l2", "1e-3", "--l1", "1e-4", "--drop", "malic_acid",
             "--clip-norm", 1, "--activation", "tanh", "--early-stopping", 2, "--seed", 7, "--test", 0.1)  # fmt: skip
    assert nnx("train", "wine.csv", *QUICK, *flags).code == 0
    first = tables / "runs" / "wine-001"
    elsewhere = tables / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    done = nnx("train", "--config", first / "config.toml")
    assert done.code == 0, done.err
    second = elsewhere / "runs" / "wine-001"
    assert_same_bits(weights(first), weights(second))
    same = [{k: v for k, v in r.items() if "second" not in k} for r in records(first)]
    assert same == [{k: v for k, v in r.items() if "second" not in k} for r in records(second)]
    assert (first / "config.toml").read_text() == (second / "config.toml").read_text()


def test_other_settings_give_other_bits(nnx, here):
    """What the test above would not see if a setting never reached the training."""
    quick = ("--epochs", 1, "--model", "mlp:16")
    assert nnx("train", "digits", *quick, "--out", "base").code == 0
    base = weights(here / "base")["layers.1.weight"]
    for i, change in enumerate([("--seed", 1), ("--l2", 0.1), ("--l1", 0.1), ("--clip-norm", 0.01), ("--lr", 0.1), ("--dropout", 0.5),
                                ("--optimizer", "sgd"), ("--schedule", "constant"), ("--batch-size", 32), ("--val", 0.3)]):  # fmt: skip
        assert nnx("train", "digits", *quick, *change, "--out", f"other-{i}").code == 0
        assert weights(here / f"other-{i}")["layers.1.weight"].tobytes() != base.tobytes(), change


def test_the_config_holds_every_setting_and_flags_win(nnx, here):
    (here / "mine.toml").write_text('source = "digits"\nepochs = 9\nmodel = "mlp:8"\nbatch_size = 128\nlr = 1\n')
    done = nnx("train", "--config", "mine.toml", "--epochs", 2, "--lr", "0.01")
    assert done.code == 0, done.err
    kept = tomllib.loads((here / "runs" / "digits-001" / "config.toml").read_text())
    assert kept["epochs"] == 2
    assert kept["model"] == "mlp:8"
    assert kept["batch-size"] == 128
    assert kept["lr"] == 0.01
    assert len(records(here / "runs" / "digits-001")) == 2


def test_runs_are_numbered_and_never_written_over(nnx, here):
    (here / "runs" / "digits-007").mkdir(parents=True)
    assert nnx("train", "digits", *QUICK).code == 0
    assert (here / "runs" / "digits-008" / "model.safetensors").exists()
    assert list((here / "runs" / "digits-007").iterdir()) == []
    before = {path: path.read_bytes() for path in (here / "runs" / "digits-008").iterdir()}
    done = nnx("train", "digits", *QUICK, "--out", "runs/digits-008")
    assert done.code == 2
    assert {path: path.read_bytes() for path in (here / "runs" / "digits-008").iterdir()} == before


def test_of_two_that_find_a_directory_empty_one_gets_it(here, monkeypatch):
    from nnx.cli import runs

    monkeypatch.setattr(runs, "FILES", ())  # both have looked, neither has written
    runs.create("a", "run", "first")
    with pytest.raises(ConfigError, match="expected a directory without a run in it"):
        runs.create("a", "run", "second")
    assert (here / "run" / "config.toml").read_text() == "first"


def test_out_may_be_a_directory_with_other_things_in_it(nnx, here):
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").write_text("keep me")
    assert nnx("train", "digits", *QUICK, "--out", "mine").code == 0
    assert (here / "mine" / "notes.txt").read_text() == "keep me"


def test_json_is_one_object_a_line_and_nothing_else(nnx):
    done = nnx("train", "digits", *QUICK, "--json", "--test", 0.1)
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["event"] for event in events] == ["start", "epoch", "epoch", "epoch", "end"]
    assert events[0]["rows"] == {"train": 1258, "val": 359, "test": 180}
    assert events[0]["settings"]["model"] == "mlp:16"
    assert set(events[-1]) >= {"val_accuracy", "test_accuracy", "seconds", "directory", "best_epoch", "kept_epoch"}
    assert done.err == ""


def test_json_has_null_for_what_is_no_number(nnx):
    done = nnx("train", "digits", "--lr", "1e30", "--optimizer", "sgd", "--json")
    assert done.code == 4
    events = [
        json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        for line in done.out.splitlines()
    ]
    assert events[-1]["loss"] is None


def test_plain_lines_are_the_first_and_the_last_of_a_short_training(nnx):
    done = nnx("train", "digits", "--model", "linear", "--epochs", 5)
    shown = [line for line in done.out.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in shown] == ["1/5", "5/5"]
    assert all(len(line) <= 120 for line in shown)
    assert "\x1b" not in done.out


def test_plain_lines_come_every_ten_seconds(nnx, monkeypatch):
    from nnx.cli import display

    clock = iter(range(0, 10_000_000, 3))
    monkeypatch.setattr(display.time, "monotonic", lambda: float(next(clock)))
    done = nnx("train", "digits", "--model", "linear", "--epochs", 12)
    shown = [int(line.split()[1].split("/")[0]) for line in done.out.splitlines() if line.startswith("epoch ")]
    assert shown[0] == 1
    assert shown[-1] == 12
    assert 3 < len(shown) < 12


def test_early_stopping_ends_and_says_what_was_kept(nnx, here):
    done = nnx(
        "train",
        "digits",
        "--early-stopping",
        1,
        "--epochs",
        60,
        "--lr",
        "0.02",
        "--schedule",
        "constant",
        "--model",
        "mlp:32",
    )
    history = records(here / "runs" / "digits-001")
    assert len(history) < 60
    best = min(history, key=lambda record: record["val_loss"])
    assert f"kept      the weights of epoch {best['epoch']}, the lowest validation loss" in done.out
    assert "which chose the epoch" in done.out
    model = library.load(here / "runs" / "digits-001" / "model.safetensors")
    _, val = library.data.split(library.data.load("digits"), (0.8, 0.2), seed=0)
    assert library.evaluate(model, val)["loss"] == pytest.approx(best["val_loss"], rel=1e-5)


def test_without_validation_nothing_is_called_held_out(nnx):
    done = nnx("train", "digits", *QUICK, "--val", 0)
    assert done.code == 0
    assert "held out" not in done.out
    assert "none to validate" in done.out


def test_regression_without_validation(nnx, tables):
    done = nnx("train", "diabetes.csv", *QUICK, "--val", 0)
    assert done.code == 0, done.err


def test_curves_are_drawn_or_it_is_said_how(nnx, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = nnx("train", "digits", *QUICK)
    assert done.code == 0
    assert 'no curves.png. Run: python -m pip install "nnx-array[plot]"' in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines() if "curves" in line)
    assert not (here / "runs" / "digits-001" / "curves.png").exists()


def test_training_on_a_backend_and_evaluating_on_another(nnx, backend_spec, here):
    done = nnx("train", "digits", *QUICK, "--backend", backend_spec, "--check", "off")
    assert done.code == 0, done.err
    there = nnx("evaluate", "runs/digits-001", "--backend", backend_spec)
    home = nnx("evaluate", "runs/digits-001", "--json")
    assert there.code == home.code == 0, there.err + home.err
    last = records(here / "runs" / "digits-001")[-1]
    assert json.loads(home.out)["loss"] == pytest.approx(last["val_loss"], rel=1e-4)
    assert f"accuracy  {last['val_accuracy']:.4f}" in there.out


def test_the_same_curve_on_every_backend(nnx, backend_spec, here):
    assert nnx("train", "digits", *QUICK, "--backend", backend_spec, "--check", "off", "--out", "there").code == 0
    assert nnx("train", "digits", *QUICK, "--out", "home").code == 0
    for a, b in zip(records(here / "there"), records(here / "home"), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)
        assert a["val_accuracy"] == pytest.approx(b["val_accuracy"], abs=0.01)
