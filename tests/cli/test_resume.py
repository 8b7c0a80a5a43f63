"""nnx resume --lr: another learning rate from here on, which the run's files keep; and without it the same bits as ever."""

import csv
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from nnx.cli.new_rate import with_rate
from nnx.train.callbacks.base import MetricsFile

EPOCHS, CUT = 4, 2
TRAIN = [
    "train",
    "t.csv",
    "--model",
    "mlp:4",
    "--epochs",
    EPOCHS,
    "--batch-size",
    16,
    "--checkpoint-every",
    1,
    "--check",
    "off",
]


class Cut(BaseException):
    """The process dies here."""


@pytest.fixture
def cut(nnx, here, monkeypatch):
    """``cut(*flags)``: a run that was killed after two epochs; ``cut.again(...)``: a command that is killed after so many epochs more."""
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'yes' if a * b > 0 else 'no'}" for a, b in rng.normal(size=(60, 2))]
    (here / "t.csv").write_text("a,b,same\n" + "\n".join(rows) + "\n")

    monkeypatch.setattr("nnx.cli.resume.curves", lambda *given: "")  # a picture takes longer than these trainings

    def killed(after, *command):
        written = MetricsFile.on_epoch

        def on_epoch(self, run, record):
            written(self, run, record)
            if record["epoch"] == after:
                raise Cut

        with monkeypatch.context() as patch:
            patch.setattr(MetricsFile, "on_epoch", on_epoch)
            with pytest.raises(Cut):
                nnx(*command)

    def begun(*flags):
        killed(CUT, *TRAIN, "--out", "run", *flags)
        return Path("run")

    begun.again = killed
    return begun


def rates(run):
    return [json.loads(line)["learning_rate"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights(run):
    return (run / "model.safetensors").read_bytes()


def step_of(run):
    return max(int(path.name.split("-")[1]) for path in (run / "checkpoints").iterdir())


@pytest.mark.parametrize("schedule", ["cosine", "step:every=2,factor=0.1"])
def test_the_schedule_goes_on_as_if_it_had_begun_there(schedule, cut, nnx):
    run = cut("--schedule", schedule, "--lr", 0.01)
    shutil.copytree(run, "whole")
    assert nnx("resume", "whole").code == 0
    done = nnx("resume", run, "--lr", 0.05)
    assert done.code == 0, done.err
    assert "lr     0.01 → 0.05, where its schedule begins" in done.out
    before, after = rates(Path("whole")), rates(run)
    assert len(after) == EPOCHS
    assert after[: CUT - 1] == before[: CUT - 1]
    np.testing.assert_allclose(after[CUT:], [5 * rate for rate in before[CUT:]], rtol=1e-12, atol=1e-15)
    assert weights(run) != weights(Path("whole"))


def test_it_is_written_down_and_a_second_resume_goes_on_with_it(cut, nnx):
    run = cut("--lr", 0.01)
    step = step_of(run)
    shutil.copytree(run, "once")
    assert nnx("resume", "once", "--lr", 0.05).code == 0
    cut.again(CUT + 1, "resume", run, "--lr", 0.05)
    text = (run / "config.toml").read_text()
    assert tomllib.loads(text)["lr"] == 0.05
    assert f"# Until step {step} (epoch {CUT}) lr was 0.01: nnx resume --lr 0.05\nlr = 0.05\n" in text
    with open(run / "rate-changes.csv", newline="") as file:
        head, line = csv.reader(file)
    assert head == ["epoch", "step", "old", "new"]
    assert line[:2] == [str(CUT), str(step)]
    assert float(line[3]) == pytest.approx(5 * float(line[2]), rel=1e-12)
    assert nnx("resume", run).code == 0
    assert weights(run) == weights(Path("once"))
    assert (run / "config.toml").read_text() == text
    assert "adam at 0.05" in nnx("summary", run).out


def test_it_holds_from_the_moment_it_is_written_down(cut, nnx):
    """Killed before a checkpoint at the new rate, it goes on with that rate all the same."""
    run = cut("--lr", 0.01)
    shutil.copytree(run / "checkpoints", "kept")
    shutil.copytree(run, "once")
    assert nnx("resume", "once", "--lr", 0.05).code == 0
    cut.again(CUT + 1, "resume", run, "--lr", 0.05)
    shutil.rmtree(run / "checkpoints")
    shutil.copytree("kept", run / "checkpoints")
    assert nnx("resume", run).code == 0
    assert weights(run) == weights(Path("once"))


def test_the_rate_that_it_has_changes_nothing(cut, nnx):
    run = cut("--lr", 0.01)
    shutil.copytree(run, "usual")
    assert nnx("resume", "usual").code == nnx("resume", run, "--lr", 0.01).code == 0
    assert weights(run) == weights(Path("usual"))
    assert (run / "config.toml").read_bytes() == (Path("usual") / "config.toml").read_bytes()
    assert not (run / "rate-changes.csv").exists()


def test_what_a_plateau_has_taken_stays_taken(cut, nnx):
    run = cut("--lr", 0.01, "--schedule", "plateau:factor=0.5,patience=0,threshold=0.9")
    assert nnx("resume", run, "--lr", 0.04).code == 0
    assert rates(run)[-1] == pytest.approx(0.04 / 4)


def test_where_it_would_have_no_effect_it_says_so(cut, nnx):
    def refused(run, *command):
        before = (run / "config.toml").read_bytes()
        done = nnx(*command)
        assert done.code == 2
        assert (run / "config.toml").read_bytes() == before
        return done.err

    run = cut("--lr", 0.01, "--babysit")
    (run / "rate").write_text("0.001\n")
    cut.again(CUT + 1, "resume", run)
    said = refused(run, "resume", run, "--lr", 0.02)
    assert "--lr: expected one learning rate, got 0.001 in the rate file" in said
    assert "or the word schedule, into run/rate." in said
    (run / "rate").write_text("schedule\n")
    assert nnx("resume", run).code == 0
    said = refused(run, "resume", run, "--lr", 0.02)
    assert (
        f"--lr: expected epochs that are left, for a learning rate, got a training that has ended after {EPOCHS}"
        in said
    )


def test_lbfgs_has_no_rate_to_set(cut, nnx):
    cut.again(EPOCHS + 1, *TRAIN, "--out", "two", "--finish", "lbfgs")
    done = nnx("resume", "two", "--lr", 0.02)
    assert done.code == 2
    assert (
        "--lr: expected an optimizer with a learning rate, got L-BFGS, which has taken over. Leave it away" in done.err
    )
    Path("one").mkdir()
    (Path("one") / "config.toml").write_text('source = "t.csv"\noptimizer = "lbfgs"\n')
    done = nnx("resume", "one", "--lr", 0.02)
    assert done.code == 2
    assert "--lr: expected no such setting for lbfgs" in done.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed = 1\n", "# x\nlr = 0.5\nseed = 1\n"),
        ('"lr" = 3e-3  # mine\nseed = 1\n', "# x\nlr = 0.5\nseed = 1\n"),
        ("seed = 1\n[space]\nlr = { low = 1 }\n", "# x\nlr = 0.5\nseed = 1\n[space]\nlr = { low = 1 }\n"),
    ],
)
def test_only_the_rate_of_the_run_is_rewritten(text, expected):
    assert with_rate(text, 0.5, "# x") == expected
