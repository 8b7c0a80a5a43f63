"""``nnx plot``: every picture of a run, and what is said when one cannot be drawn."""

import csv
import shutil
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")

PICTURES = (
    "curves", "activations", "gradients", "ratios", "surface", "trajectory", "boundary", "confusion", "weights",
)  # fmt: skip
QUICK = {"surface": ("--points", 5, "--rows", 50), "trajectory": ("--points", 5), "boundary": ("--points", 20)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run on digits, for copying."""
    from nnx.cli import main

    place = tmp_path_factory.mktemp("plot") / "digits"
    assert main(["train", "digits", "--epochs", "3", "--model", "mlp:16", "--check", "off", "--out", str(place)]) == 0
    return place


@pytest.fixture
def run(here, trained):
    """The run in a directory of its own."""
    return shutil.copytree(trained, here / "runs" / "digits-001")


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_of_a_run_and_its_numbers(nnx, run, picture):
    done = nnx("plot", "runs/digits-001", picture, "--csv", *QUICK.get(picture, ()))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"picture   runs/digits-001/{picture}.png\nnumbers   runs/digits-001/{picture}.csv\n")
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert (run / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    with open(run / f"{picture}.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 3
    again = nnx("plot", "runs/digits-001", picture, "--csv", *QUICK.get(picture, ()))
    assert again.out == done.out, "in the run's own directory it may be drawn again"


def test_the_numbers_are_those_of_the_run(nnx, run):
    nnx("plot", run, "confusion", "--csv")
    with open(run / "confusion.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["rows"]) for row in rows) == 359
    right = sum(int(row["rows"]) for row in rows if row["true"] == row["predicted"])
    evaluated = nnx("evaluate", run, "--json").out
    assert f'"accuracy": {right / 359:.6f}'[:18] in evaluated
    nnx("plot", run, "surface", "--csv", "--points", 3, "--rows", 10_000)
    with open(run / "surface.csv", newline="") as file:
        centre = list(csv.DictReader(file))[4]
    assert (float(centre["x"]), float(centre["y"])) == (0, 0)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--early-stopping", 2), marks=pytest.mark.long),
        ("--optimizer", "lbfgs", "--test", 0.2),
    ],
)
def test_any_training_can_be_drawn(nnx, here, options):
    assert nnx("train", "digits", "--epochs", 3, "--model", "linear", "--check", "off", *options).code == 0
    for picture in PICTURES:
        assert nnx("plot", "runs/digits-001", picture, *QUICK.get(picture, ())).code == 0


def test_a_table_with_names_and_a_real_target(nnx, tables):
    assert nnx("train", "wine.csv", "--epochs", 2, "--activation", "tanh", "--check", "off").code == 0
    assert nnx("train", "diabetes.csv", "--epochs", 2, "--check", "off").code == 0
    done = nnx("plot", "runs/wine-001", "activations")
    assert "saturated" in done.out
    assert nnx("plot", "runs/wine-001", "confusion", "wine.csv", "-o", "all.svg").out.startswith("picture   all.svg")
    assert nnx("plot", "runs/diabetes-001", "boundary", "--points", 20).code == 0
    done = nnx("plot", "runs/diabetes-001", "confusion")
    assert (done.code, "rows with classes, got regression data" in done.err) == (2, True)


def test_on_another_backend(nnx, run):
    here = nnx("plot", run, "surface", "--points", 3, "--csv", "-o", "a.png")
    there = nnx("plot", run, "surface", "--points", 3, "--csv", "-o", "b.png", "--backend", "strict")
    assert (here.code, there.code) == (0, 0)
    a, b = (np.loadtxt(name, delimiter=",", skiprows=1) for name in ("a.csv", "b.csv"))
    np.testing.assert_allclose(a, b, rtol=1e-4)


def test_while_it_trains_its_curves_can_be_drawn(nnx, run):
    (run / "model.safetensors").unlink()
    assert nnx("plot", run, "curves").code == 0
    assert nnx("plot", run, "ratios").code == 0
    assert "expected a run with its model.safetensors" in nnx("plot", run, "surface").err


def test_nothing_is_recorded_that_was_not_asked_for(nnx, here):
    nnx("train", "digits", "--epochs", 1, "--model", "linear", "--check", "off", "--no-record")
    names = {path.name for path in (here / "runs" / "digits-001").iterdir()}
    assert names == {"config.toml", "metrics.jsonl", "model.safetensors", "curves.png"}
    for picture, file, maker in (
        ("ratios", "statistics.jsonl", "Statistics"),
        ("trajectory", "snapshots.safetensors", "Snapshots"),
    ):
        said = nnx("plot", "runs/digits-001", picture).err
        assert f"the run has no {file}. Train again: nnx train --config runs/digits-001/config.toml --record" in said
        assert f"callbacks=[nnx.train.{maker}(" in said


def test_a_model_too_large_says_that_no_copies_are_kept(nnx, here, monkeypatch):
    monkeypatch.setattr("nnx.train.callbacks.snapshots.Snapshots.__init__.__kwdefaults__", {"megabytes": 1e-3})
    done = nnx("train", "digits", "--epochs", 1, "--model", "linear", "--check", "off")
    assert "no copies of the weights: three would take" in done.out


MISTAKES = [
    ("surfaec", "Did you mean 'surface'?"),
    ("paint", "expected curves, activations, gradients, ratios, surface, trajectory, boundary, confusion or weights"),
    ("surface --rows 0", "--rows: expected a whole number ≥ 1, got 0"),
    ("surface --rows 2.5", "--rows: expected a whole number, got '2.5'"),
    ("surface --points 1", "--points: expected a whole number ≥ 2"),
    ("surface --dimensions 3", "--dimensions: expected 1 or 2, got 3"),
    ("surface --extent nan", "--extent: expected a number > 0, got nan"),
    ("surface --dimensions 1 --solid", "a line is not solid"),
    ("confusion --points 3", "confusion takes no --points. It takes none of these"),
    ("gradients --points 3", "It takes --rows, --seed"),
    ("ratios digits", "DATA: ratios is drawn from the run alone"),
    ("curves -o there.csv", "a name that ends in .png, .svg or .pdf"),
    ("curves -o nowhere/c.png", "there is no folder nowhere"),
    ("curves -o mine.png", "mine.png is there already. Choose another name, or pass --force"),
    ("curves -o other.png --csv", "other.csv is there already"),
    ("surface --backend nunpy", "Did you mean 'numpy'"),
    ("confusion nofile.csv", "does not exist"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES)
def test_a_mistake_is_told_in_a_line(nnx, run, here, words, says):
    for name in ("mine.png", "other.csv"):
        (here / name).write_text("mine")
    done = nnx("plot", "runs/digits-001", *words.split())
    assert done.code == 2
    assert says in done.err
    assert done.err.count("\n") == 1
    assert (here / "mine.png").read_text() == (here / "other.csv").read_text() == "mine"


def test_a_run_that_is_not_one(nnx, run, here):
    assert "which does not exist. The last run is runs/digits-001" in nnx("plot", "nowhere", "curves").err
    (here / "empty").mkdir()
    assert "a directory without one" in nnx("plot", "empty", "curves").err
    shutil.copy(run / "model.safetensors", here / "lone.safetensors")
    assert "a model file alone does not tell its data" in nnx("plot", "lone.safetensors", "surface").err
    assert "a model file alone has no course" in nnx("plot", "lone.safetensors", "ratios").err
    done = nnx("plot", "lone.safetensors", "confusion", "digits")
    assert done.out.startswith("picture   confusion.png\n")
    assert "confusion.png is there already" in nnx("plot", "lone.safetensors", "confusion", "digits").err
    assert nnx("plot", "lone.safetensors", "confusion", "digits", "--force").code == 0
    assert nnx("plot", run / "model.safetensors", "trajectory", "--points", 3).code == 0, "a model file within its run"


def test_without_matplotlib(nnx, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = nnx("plot", run, "curves")
    assert (done.code, done.out) == (2, "")
    assert 'matplotlib is not installed. Run: python -m pip install "nnx-array[plot]"' in done.err
