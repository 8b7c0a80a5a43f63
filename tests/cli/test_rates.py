"""L-BFGS, plateaus, the rate file and the range test at the command line."""

import csv
import json
import re
import signal
import sys
import time

import numpy as np
import pytest
from cli.test_process import on_a_terminal, screen, start, wait_for
from support.clouds import bits
from support.runs import records

import nnx as library

QUICK = ("--model", "mlp:16", "--check", "off")


# L-BFGS -------------------------------------------------------------------------------------------------------------------
def test_lbfgs_takes_over_from_adam_and_the_history_goes_on(nnx, here):
    done = nnx("train", "digits", *QUICK, "--epochs", 3, "--finish", "lbfgs:history=5", "--finish-epochs", 12)
    assert done.code == 0, done.err
    both = records(here / "runs" / "digits-001")
    assert [record["epoch"] for record in both] == list(range(1, 16))
    assert len({frozenset(record) for record in both}) == 1
    assert nnx("train", "digits", *QUICK, "--epochs", 15).code == 0
    adam = records(here / "runs" / "digits-002")
    train, _ = library.data.split(library.data.load("digits"), (0.8, 0.2), seed=0)
    losses = [
        library.evaluate(library.load(here / "runs" / f"digits-00{n}" / "model.safetensors"), train)["loss"]
        for n in (1, 2)
    ]
    assert losses[0] < 0.5 * losses[1]
    assert both[-1]["loss"] == pytest.approx(losses[0], rel=1e-4)
    assert adam[2]["loss"] != both[2]["loss"], "the schedule runs over the epochs of Adam"
    assert "note   lbfgs: a step takes all rows; no dropout, fixed batch-norm statistics" in done.out


def test_it_is_read_from_toml_and_written_so_that_it_can_be_run_again(nnx, here):
    (here / "own.toml").write_text(
        'source = "digits"\nmodel = "linear"\nepochs = 2\nfinish = "lbfgs:history=4"\nfinish-epochs = 3\nl2 = 1e-3\n'
    )
    assert nnx("train", "--config", "own.toml").code == 0
    first = here / "runs" / "digits-001"
    assert 'finish = "lbfgs:history=4"\nfinish-epochs = 3\n' in (first / "config.toml").read_text()
    assert nnx("train", "--config", first / "config.toml").code == 0
    second = here / "runs" / "digits-002"
    assert bits(library.load(first / "model.safetensors")) == bits(library.load(second / "model.safetensors"))
    assert len(records(first)) == 5


def test_lbfgs_alone_reaches_the_penalised_minimum_and_says_that_it_ended(nnx, here):
    optimize = pytest.importorskip("scipy.optimize", reason="needs scipy")
    special = pytest.importorskip("scipy.special", reason="needs scipy")
    done = nnx("train", "digits", "--model", "linear", "--optimizer", "lbfgs", "--l2", 0.01, "--epochs", 300)
    assert "training  linear, lbfgs, all rows in a step, seed 0\n" in nnx("summary", "runs/digits-001").out
    assert done.code == 0, done.err
    assert "ended     converged: every entry of the gradient is within 1e-05" in done.out
    run = here / "runs" / "digits-001"
    assert len(records(run)) < 300

    train, _ = library.data.split(library.data.load("digits"), (0.8, 0.2), seed=0)
    spread = train.x.std(axis=0)
    x, hot = (train.x - train.x.mean(axis=0)) / np.where(spread == 0, 1, spread), np.eye(10)[train.y]

    def objective(v):
        w, b = v[:640].reshape(64, 10), v[640:]
        z = x @ w + b
        off = (special.softmax(z, axis=1) - hot) / len(x)
        loss = np.mean(special.logsumexp(z, axis=1) - np.sum(z * hot, axis=1)) + 0.005 * np.sum(w * w)
        return loss, np.concatenate([(x.T @ off + 0.01 * w).ravel(), off.sum(axis=0)])

    outside = optimize.minimize(
        objective, np.zeros(650), jac=True, method="L-BFGS-B", options={"gtol": 1e-9, "ftol": 0}
    )
    state = library.load(run / "model.safetensors").state()
    weight, bias = state["layers.1.weight"], state["layers.1.bias"]
    reached = objective(np.concatenate([weight.ravel(), bias]).astype(np.float64))[0]
    assert reached == pytest.approx(outside.fun, abs=1e-6)


def test_the_doctor_looks_before_lbfgs_too(nnx):
    done = nnx("train", "digits", "--model", "mlp:16", "--optimizer", "lbfgs", "--epochs", 2, "--json")
    assert done.code == 0, done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["event"] for event in events] == ["start", "epoch", "epoch", "end"]


# Plateau ------------------------------------------------------------------------------------------------------------------
def test_a_plateau_lowers_the_rate_and_is_told(nnx, here):
    done = nnx(
        "train",
        "digits",
        *QUICK,
        "--epochs",
        6,
        "--schedule",
        "plateau:factor=0.5,patience=0,threshold=0.5",
        "--lr",
        0.01,
    )
    assert done.code == 0, done.err
    run = records(here / "runs" / "digits-001")
    plateau, rates = library.optim.ReduceOnPlateau(factor=0.5, patience=0, threshold=0.5), []
    state = plateau.init()
    for record in run:
        rates.append(0.01 * state["factor"])
        state = plateau.observe(record["val_loss"], state)
    assert [record["learning_rate"] for record in run] == pytest.approx(rates)
    assert len(set(rates)) > 2
    assert re.search(
        r"^rate   epoch \d: val loss has stopped improving; learning rate 0.01 → 0.005", done.out, re.MULTILINE
    )


def test_a_change_of_the_rate_is_an_event(nnx):
    plateau = "plateau:factor=0.5,patience=0,threshold=0.9"
    done = nnx("train", "digits", *QUICK, "--epochs", 3, "--schedule", plateau, "--json")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["event"] for event in events] == ["start", "epoch", "epoch", "rate", "epoch", "rate", "end"]
    assert events[3]["says"] == "epoch 2: val loss has stopped improving; learning rate 0.003 → 0.0015"


def test_a_plateau_may_have_a_warm_up_and_is_read_from_toml(nnx, here):
    (here / "own.toml").write_text('source = "digits"\nschedule = "plateau:warmup=2,patience=9"\nlr = 0.01\n')
    assert nnx("train", "--config", "own.toml", *QUICK, "--epochs", 3).code == 0
    rates = [record["learning_rate"] for record in records(here / "runs" / "digits-001")]
    assert rates == pytest.approx([0.005, 0.01, 0.01])


# The rate file --------------------------------------------------------------------------------------------------------------
def changed(run):
    with open(run / "rate-changes.csv", newline="") as file:
        return [(float(row["old"]), float(row["new"])) for row in csv.DictReader(file)]


@pytest.mark.parametrize("optimizer", [pytest.param("adam", marks=pytest.mark.long), "sgd:momentum=0.9"])
def test_the_rate_file_is_edited_while_it_trains(optimizer, tmp_path):
    """A real process, and a person who edits its file: a number, a slip, a number through a renamed file, and back."""
    process = start(
        tmp_path, "train", "digits", *QUICK, "--epochs", 100_000, "--schedule", "constant", "--out", "run", "--babysit",
        "--optimizer", optimizer, "--lr", 0.003,
    )  # fmt: skip
    run = tmp_path / "run"
    file, metrics = run / "rate", run / "metrics.jsonl"
    wait_for(metrics, '"epoch": 2')
    assert '"learning_rate": 0.003' in metrics.read_text()
    file.write_text("0.0007\n")
    wait_for(metrics, '"learning_rate": 0.0007')
    file.write_text("0.0oo7\n")
    time.sleep(0.5)
    (run / "beside").write_text("# much slower\n1e-5\n")
    (run / "beside").rename(file)
    wait_for(metrics, '"learning_rate": 1e-05')
    file.write_text("schedule\n")
    wait_for(run / "rate-changes.csv", "1e-05,0.003")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert changed(run) == [(0.003, 0.0007), (0.0007, 1e-5), (1e-5, 0.003)]
    assert "rate   edit run/rate to change the learning rate" in out
    told = [line for line in out.splitlines() if line.startswith("rate ") and " edit " not in line]
    assert len(told) == 4
    assert re.fullmatch(r"rate   epoch \d+, step \d+: learning rate 0.003 → 0.0007, from run/rate", told[0])
    assert told[1] == (
        "rate   run/rate: expected a learning rate > 0, or the word schedule, got '0.0oo7'. The learning rate stays 0.0007"
    )
    rates = [record["learning_rate"] for record in records(run)]
    kept = [rate for rate, before in zip(rates, [None, *rates]) if rate != before]
    assert kept in ([0.003, 0.0007, 1e-5, 0.003], [0.003, 0.0007, 1e-5])
    assert "rate, rate-changes.csv" in out


def test_a_terminal_keeps_the_line_of_a_change(tmp_path):
    text = on_a_terminal(
        tmp_path, "train", "digits", *QUICK, "--epochs", 6, "--schedule", "plateau:patience=0,threshold=0.9"
    )
    lines = screen(text)
    assert all(len(line) <= 80 for line in lines), [line for line in lines if len(line) > 80]
    assert any(line.startswith("rate   epoch 2: val loss has stopped improving; learning rate 0.003") for line in lines)
    assert [line.split()[0] for line in lines if "/6 " in line] == [f"{n}/6" for n in range(1, 7)]


def test_a_file_with_a_rate_is_no_place_for_another_run(nnx, here):
    (here / "run").mkdir()
    (here / "run" / "rate").write_text("1\n")
    done = nnx("train", "digits", *QUICK, "--babysit", "--out", "run")
    assert done.code == 2
    assert "run/rate" in done.err
    assert (here / "run" / "rate").read_text() == "1\n"


# The range test ---------------------------------------------------------------------------------------------------------------
def test_lr_find_gives_a_table_a_picture_and_its_numbers(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    lines = screen(on_a_terminal(tmp_path, "lr-find", "digits", "--model", "mlp:16"))
    assert all(len(line) <= 80 for line in lines)
    said = {line.split()[0]: line for line in lines if line}
    rate = float(re.search(r"suggested +(\S+),", said["suggested"])[1])
    assert 1e-4 < rate < 0.1
    assert said["next"].endswith(f"nnx train digits --lr {rate:g}, with the same flags")
    assert (tmp_path / "lr-find" / "digits-001.png").read_bytes().startswith(b"\x89PNG")
    with open(tmp_path / "lr-find" / "digits-001.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["learning_rate"]) == 1e-7
    assert not (tmp_path / "runs").exists()


def test_lr_find_is_the_function(nnx, here):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra plot)")
    done = nnx("lr-find", "digits", "--model", "mlp:16", "--optimizer", "sgd:momentum=0.9", "--json", "-o", "found.svg")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    train, _ = library.data.split(library.data.load("digits"), (0.8, 0.2), seed=0)
    model = library.models.build("mlp:16", (64,), 10, dropout=0.2, batch_norm=True, standardize=True).initialize(0)
    found = library.lr_find(model, train, optimizer=library.optim.SGD(1.0, momentum=0.9))
    assert answer["suggested"] == found.suggested
    assert answer["losses"] == list(found.losses)
    assert answer["files"] == ["found.svg", "found.csv"]
    assert "<svg" in (here / "found.svg").read_text()
    assert nnx("lr-find", "digits", "--model", "linear", "-o", "found.svg", "--force").code == 0
    assert nnx("lr-find", "digits", "--model", "linear").code == 0
    assert nnx("lr-find", "digits", "--model", "linear").code == 0
    assert sorted(file.name for file in (here / "lr-find").iterdir()) == [
        "digits-001.csv", "digits-001.png", "digits-002.csv", "digits-002.png",
    ]  # fmt: skip


def test_without_matplotlib_there_is_a_note_and_the_numbers(nnx, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = nnx("lr-find", "digits", "--model", "linear")
    assert done.code == 0, done.err
    assert "note         no picture. Run: python -m pip install" in done.out
    assert [file.name for file in (here / "lr-find").iterdir()] == ["digits-001.csv"]
