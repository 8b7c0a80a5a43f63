"""The learning rate while it trains: reduced on a plateau as PyTorch does it, and taken from a file that a person edits."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from support.clouds import bits, blobs

import nnx
from nnx.errors import ConfigError
from nnx.optim import SGD, Adam, ReduceOnPlateau
from nnx.train import Babysit, Callback, Plateau
from nnx.train.callbacks.babysit import parse


def linear():
    return nnx.Sequential(nnx.Linear(4, 3)).initialize(0)


# Reduce on plateau ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "settings", [{"factor": 0.5, "patience": 1}, {"factor": 0.1, "patience": 0, "cooldown": 2}, {"threshold": 0.05}]
)
def test_rates_are_those_of_pytorchs_scheduler_on_the_same_losses(settings):
    torch = pytest.importorskip("torch", reason="needs torch")
    train, val = nnx.data.split(blobs(), (0.5, 0.5), seed=0)
    settings = {"patience": 2} | settings
    run = nnx.fit(
        linear(), train, val, optimizer=SGD(3.0), epochs=40, batch_size=16, callbacks=[ReduceOnPlateau(**settings)]
    )
    theirs = torch.optim.SGD([torch.zeros(1)], lr=3.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs, threshold_mode="rel", min_lr=0.0, eps=0.0, **settings
    )
    rates = []
    for record in run.history:
        rates.append(theirs.param_groups[0]["lr"])
        scheduler.step(record["val_loss"])
    np.testing.assert_allclose(run.curve("learning_rate"), rates, rtol=1e-12)
    assert len(set(rates)) > 3


def test_it_watches_the_loss_without_validation_and_tells():
    said = []
    plateau = Plateau(ReduceOnPlateau(factor=0.5, patience=0, threshold=0.9), tell=said.append)
    run = nnx.fit(linear(), blobs(), optimizer=Adam(0.1), epochs=4, callbacks=[plateau])
    assert run.curve("learning_rate") == [0.1, 0.1, 0.05, 0.025]
    assert plateau.reductions == [(2, 0.1, 0.05), (3, 0.05, 0.025), (4, 0.025, 0.0125)]
    assert said[0] == "epoch 2: loss has stopped improving; learning rate 0.1 → 0.05"


def test_it_multiplies_what_the_schedule_says(backend):
    schedule = nnx.optim.StepDecay(0.1, every=2, factor=0.5)
    optimizer = nnx.optim.chain(nnx.optim.clip_by_global_norm(1.0), Adam(schedule))
    reduce = ReduceOnPlateau(factor=0.5, patience=0, threshold=0.9)
    run = nnx.fit(linear(), blobs(), optimizer=optimizer, epochs=4, callbacks=[reduce], backend=backend)
    assert run.curve("learning_rate") == [0.1, 0.05, 0.025, 0.00625]  # of the next step: the schedule has gone on


def test_it_maximises_what_grows_with_quality():
    plateau = Plateau(ReduceOnPlateau(mode="max", patience=0, threshold=0.0, factor=0.5), monitor="accuracy")
    run = nnx.fit(linear(), blobs(), optimizer=Adam(0.05), epochs=12, callbacks=[plateau])
    values = run.curve("accuracy")
    expected = [k + 1 for k in range(1, 12) if values[k] <= max(values[:k])]
    assert [epoch for epoch, _, _ in plateau.reductions] == expected


def test_plateau_errors():
    with pytest.raises(ConfigError, match=r'Plateau: expected mode="max" for val_accuracy, got mode="min"'):
        Plateau(monitor="val_accuracy")
    with pytest.raises(ConfigError, match=r'expected mode="min" for loss'):
        Plateau(ReduceOnPlateau(mode="max"), monitor="loss")
    with pytest.raises(ConfigError, match="Give fit validation data"):
        nnx.fit(linear(), blobs(), epochs=1, callbacks=[Plateau(monitor="val_loss")])


def test_with_lbfgs_to_finish_it_rests():
    reduce = ReduceOnPlateau(factor=0.5, patience=0, threshold=0.9)
    run = nnx.fit(linear(), blobs(), epochs=2, finish=nnx.optim.LBFGS(), finish_epochs=3, callbacks=[reduce])
    assert len(run.history) == 5


# The rate file ------------------------------------------------------------------------------------------------------------
class Person(Callback):
    """Writes into the file at certain steps, and keeps the rate with which each step was taken."""

    def __init__(self, path, edits):
        self.path, self.edits, self.rates = path, edits, []

    def on_start(self, run):
        self.next = run.learning_rate

    def on_step(self, run):
        self.rates.append(self.next)
        self.next = run.learning_rate
        content = self.edits.get(run.step)
        if content is not None:
            self.path.unlink(missing_ok=True)
            if content:
                self.path.write_text(content)


def babysat(tmp_path, edits, **arguments):
    """A training of 4 epochs of 6 steps; the callback that edits comes before the one that looks."""
    said, path = [], tmp_path / "run" / "rate"
    sitter, person = Babysit(every=0, tell=said.append), Person(path, edits)
    late = Person(path, {})
    settings = {"optimizer": Adam(0.1), "epochs": 4, "batch_size": 15} | arguments
    run = nnx.fit(linear(), blobs(), callbacks=[person, sitter, late], directory=tmp_path / "run", **settings)
    with open(tmp_path / "run" / "rate-changes.csv", newline="") as file:
        changes = list(csv.DictReader(file))
    return run, late.rates, said, changes


@pytest.mark.parametrize(
    "optimizer",
    [
        Adam(0.1),
        SGD(0.1, momentum=0.9),
        nnx.optim.RMSprop(0.1),
        nnx.optim.chain(nnx.optim.clip_by_value(1.0), nnx.optim.AdamW(0.1)),
        nnx.optim.Constrained(nnx.optim.Adagrad(0.1), max_norm=2.0),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_a_number_is_the_rate_from_the_next_step_on(tmp_path, backend, optimizer):
    edits = {8: "# slower\n0.02\n", 20: "schedule\n"}
    run, rates, said, changes = babysat(tmp_path, edits, optimizer=optimizer, backend=backend)
    assert rates == [0.1] * 8 + [0.02] * 12 + [0.1] * 4
    assert run.curve("learning_rate") == [0.1, 0.02, 0.02, 0.1]
    assert changes == [
        {"epoch": "2", "step": "8", "old": "0.1", "new": "0.02"},
        {"epoch": "4", "step": "20", "old": "0.02", "new": "0.1"},
    ]
    path = tmp_path / "run" / "rate"
    assert said[0] == f"epoch 2, step 8: learning rate 0.1 → 0.02, from {path}"
    written = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["learning_rate"] for record in written] == [0.1, 0.02, 0.02, 0.1]


def test_a_step_at_a_rate_from_the_file_is_a_step_at_that_rate(tmp_path):
    """The state goes on: the same bits as an optimizer whose schedule says so."""
    model = linear()
    schedule = nnx.optim.Table(0.1, rates=((8, 0.02),), per="step")
    nnx.fit(model, blobs(), optimizer=Adam(schedule), epochs=4, batch_size=15)
    run, *_ = babysat(tmp_path, {8: "0.02"})
    assert bits(run.model) == bits(model)


def test_it_is_the_rate_itself_whatever_schedule_and_plateau_say(tmp_path):
    schedule = nnx.optim.StepDecay(0.1, every=1, factor=0.5)
    _, rates, _, _ = babysat(tmp_path, {8: "0.03"}, optimizer=Adam(schedule))
    assert rates == [0.1] * 6 + [0.05] * 2 + [0.03] * 16
    sitter = Babysit(tmp_path / "rate", every=0, tell=lambda line: None)
    person = Person(tmp_path / "rate", {15: "0.03"})
    reduce = ReduceOnPlateau(factor=0.5, patience=0, threshold=0.9)
    run = nnx.fit(linear(), blobs(), optimizer=Adam(0.1), epochs=4, batch_size=15, callbacks=[person, sitter, reduce])
    assert run.curve("learning_rate") == [0.1, 0.1, 0.03, 0.015], "a plateau goes on from there"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("fast", "got 'fast'"),
        ("0", "got '0'"),
        ("-1e-3", "got '-1e-3'"),
        ("nan", "got 'nan'"),
        ("inf", "got 'inf'"),
        ("0.01 0.02", "got '0.01 0.02'"),
        ("0.01\n0.02", "got '0.01 0.02'"),
        ("# nothing\n", "got nothing"),
        ("x" * 10_000, "got 'xxxx"),
        ("", "No such file or directory"),
    ],
)
def test_content_that_means_nothing_is_told_once_and_changes_nothing(tmp_path, content, says):
    _, rates, said, changes = babysat(tmp_path, {5: content, 12: "0.5"})
    assert rates == [0.1] * 12 + [0.5] * 12
    assert len(said) == 2
    assert says in said[0]
    assert said[0].endswith("The learning rate stays 0.1")
    assert [change["step"] for change in changes] == ["12"]


def test_bytes_that_are_no_text_are_no_reason_to_end(tmp_path):
    (tmp_path / "rate").write_bytes(b"\xff\xfe\x00\x01")
    said = []
    run = nnx.fit(linear(), blobs(), epochs=2, callbacks=[Babysit(tmp_path / "rate", tell=said.append)])
    assert len(run.history) == 2
    assert len(said) == 1


def test_a_file_that_is_there_before_counts_from_the_first_step(tmp_path):
    (tmp_path / "rate").write_text("0.5\n")
    sitter = Babysit(tmp_path / "rate", tell=lambda line: None)
    run = nnx.fit(linear(), blobs(), optimizer=Adam(0.1), epochs=1, callbacks=[sitter])
    assert run.curve("learning_rate") == [0.5]
    model = linear()
    nnx.fit(model, blobs(), optimizer=Adam(0.5), epochs=1)
    assert bits(run.model) == bits(model)
    assert (tmp_path / "rate").read_text() == "0.5\n"


def test_a_file_still_being_written_is_left_alone(tmp_path, monkeypatch):
    """A number is read when it has stood for a while: half of 0.0001 is 0.0, half of 1e-4 is 1."""
    now = [100.0]
    monkeypatch.setattr("nnx.train.callbacks.babysit.time", SimpleNamespace(monotonic=lambda: now[0]))
    path, said, rates = tmp_path / "rate", [], []
    contents = {2: "1", 3: "1e", 4: "1e-4\n"}

    class Editor(Callback):
        def on_step(self, run):
            if run.step in contents:
                path.write_text(contents[run.step])
            now[0] += 0.3
            rates.append(run.learning_rate)

    sitter = Babysit(path, every=0.5, tell=said.append)
    nnx.fit(linear(), blobs(), optimizer=Adam(0.1), epochs=2, batch_size=15, callbacks=[Editor(), sitter])
    assert set(rates) == {0.1, 1e-4}
    assert len(said) == 1


def test_a_log_that_cannot_be_written_is_no_reason_to_end(tmp_path):
    said, path = [], tmp_path / "rate"

    class Vandal(Callback):
        def on_step(self, run):
            if run.step == 3:
                (tmp_path / "rate-changes.csv").unlink()
                (tmp_path / "rate-changes.csv").mkdir()
                path.write_text("0.5")

    sitter = Babysit(path, every=0, tell=said.append)
    run = nnx.fit(linear(), blobs(), optimizer=Adam(0.1), epochs=2, batch_size=15, callbacks=[Vandal(), sitter])
    assert run.curve("learning_rate") == [0.5, 0.5]
    assert len(said) == 2
    assert "rate-changes.csv cannot be written (Is a directory)" in said[1]


def test_it_looks_at_the_file_seldom(tmp_path):
    looks = []

    class Counting(Babysit):
        def _signature(self):
            looks.append(1)
            return super()._signature()

    nnx.fit(linear(), blobs(), epochs=5, batch_size=9, callbacks=[Counting(tmp_path / "rate", every=60.0)])
    assert len(looks) == 1 + 1 + 5, "at the start, at the first step, and after each epoch; not at each of 50 steps"


def test_babysit_errors(tmp_path):
    with pytest.raises(ConfigError, match="expected a place for the rate file, got a run without a directory"):
        nnx.fit(linear(), blobs(), epochs=1, callbacks=[Babysit()])
    with pytest.raises(ConfigError, match="the rate file cannot be written"):
        nnx.fit(linear(), blobs(), epochs=1, callbacks=[Babysit(tmp_path / "none" / "rate")])
    with pytest.raises(ConfigError, match="expected every ≥ 0 seconds, got -1"):
        Babysit(every=-1)


def test_with_lbfgs_to_finish_the_file_rests(tmp_path):
    edits = {30: "0.5"}
    run, _, said, changes = babysat(tmp_path, edits, finish=nnx.optim.LBFGS(), finish_epochs=8)
    assert len(run.history) == 12
    assert (said, changes) == ([], [])


def test_what_a_file_may_say():
    assert parse("0.001") == 0.001
    assert parse("\n  # remark\n\n 1e-5 \n") == 1e-5
    assert parse("schedule\n") is None
    with pytest.raises(ValueError, match="the word schedule, got 'Schedule'"):
        parse("Schedule")
