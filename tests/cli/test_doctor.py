"""``nnx doctor`` and ``nnx train --check``: what is found, as text and as JSON, and the exit code 3."""

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def prices(here):
    """A table of prices; a column gives the price away."""
    draw = np.random.default_rng(0)
    rooms, area = draw.integers(1, 7, 200), draw.uniform(20, 200, 200)
    price = 1000 * rooms + 30 * area
    lines = [f"{r},{a:.1f},{p:.0f},{p:.0f}" for r, a, p in zip(rooms, area, price)]
    (here / "prices.csv").write_text("\n".join(["rooms,area,asked,price", *lines]) + "\n")
    return "prices.csv"


def test_digits_are_healthy(nnx):
    done = nnx("doctor", "digits", "--check", "quick")
    assert (done.code, done.err) == (0, "")
    assert "0 fail, 0 warn" in done.out.replace("\n", " ")
    assert all(len(line) <= 80 for line in done.out.splitlines())


def test_a_failure_ends_with_code_3(nnx, prices):
    done = nnx("doctor", prices, "--target", "price", "--check", "quick")
    assert done.code == 3
    assert "FAIL  D7" in done.out
    assert "(asked)" in done.out
    assert "directory of a run" not in nnx("doctor", prices, "--target", "costs").err


def test_as_json(nnx, prices):
    done = nnx("doctor", prices, "--target", "price", "--drop", "asked", "--lr", "5", "--check", "quick", "--json")
    report = json.loads(done.out)
    assert done.code == 0
    assert {verdict["id"]: verdict["severity"] for verdict in report["verdicts"]}["I10"] == "warn"


def test_a_full_look_trains_copies(nnx, prices):
    done = nnx("doctor", prices, "--target", "price", "--drop", "asked", "--model", "mlp:8", "--no-batch-norm")
    assert " T1 " in done.out
    assert not Path("runs").exists()


def test_a_run_is_judged_by_its_history_too(nnx, here):
    assert nnx("train", "digits", "--epochs", "10", "--model", "mlp:8", "--check", "off").code == 0
    path = here / "runs/digits-001/metrics.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for epoch, record in enumerate(records):
        record |= {"val_loss": 1.0 + 0.1 * abs(epoch - 2), "loss": 1.0 / (1 + epoch)}
    path.write_text("\n".join(map(json.dumps, records)) + "\n")
    done = nnx("doctor", "runs/digits-001", "--check", "quick")
    assert "R1" in done.out
    assert "epoch 3" in done.out
    assert "do    Stop there with --early-stopping 5" in done.out
    kept = nnx("doctor", "runs/digits-001", "--check", "quick", "--early-stopping", "9")
    assert "R1 the best epoch is kept" in kept.out
    path.write_text("\n".join(map(json.dumps, records)) + '\n{"epoch": 11, "lo')
    assert "epoch 3" in nnx("doctor", "runs/digits-001", "--check", "quick").out
    path.write_text(json.dumps(records[0] | {"loss": None}) + "\n")
    done = nnx("doctor", "runs/digits-001", "--check", "quick")
    assert done.code == 3
    assert "seen  no finite training loss" in done.out
    path.write_text("no JSON\n")
    assert "metrics.jsonl, line 1: a damaged line" in nnx("doctor", "runs/digits-001", "--check", "quick").err


def test_train_looks_first_and_goes_on(nnx, here):
    quiet = nnx("train", "digits", "--epochs", "1", "--model", "mlp:8")
    assert quiet.code == 0
    assert "check  " not in quiet.out
    warned = nnx("train", "digits", "--epochs", "1", "--model", "mlp:8", "--lr", "0.5")
    assert warned.code == 0
    assert "check  warn I10 at optimizer" in warned.out
    off = nnx("train", "digits", "--epochs", "1", "--model", "mlp:8", "--lr", "0.5", "--check", "off")
    assert "check  " not in off.out
    lines = nnx("train", "digits", "--epochs", "1", "--model", "mlp:8", "--lr", "0.5", "--json").out.splitlines()
    assert [verdict["id"] for verdict in json.loads(lines[0])["check"]] == ["I10"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("doctor",), "there is no data"),
        (("doctor", "nowhere.csv"), "nowhere.csv"),
        (("doctor", "runs/typo"), "expected the directory of a run, or 'digits'"),
        (("doctor", "."), "expected the directory of a run, or a folder with"),
        (("doctor", "digits", "--batch-size", "1"), "Use --batch-size 32."),
        (("doctor", "digits", "--drop", "a"), "nnx: --drop: digits takes no --drop"),
        (("doctor", "digits", "--check", "slow"), "expected check quick or full, got 'slow'"),
        (("train", "digits", "--check", "slow"), "expected quick, full or off, got 'slow'"),
    ],
)
def test_mistakes(nnx, flags, sentence):
    done = nnx(*flags)
    assert done.code == 2
    assert sentence in done.err


def test_batches_of_one_row_leave_no_run_behind(nnx):
    done = nnx("train", "digits", "--batch-size", "1", "--epochs", "1")
    assert (done.code, Path("runs").exists()) == (2, False)
    assert "Use --batch-size 32." in done.err


def test_what_training_says_fits_eighty_columns(nnx, prices):
    said = nnx("train", prices, "--epochs", "1", "--no-record").out.splitlines()
    assert any(line.startswith("check  fail D7") for line in said)
    assert any(line.startswith("check    ") for line in said)
    assert max(map(len, (line for line in said if line.startswith("check")))) <= 80
