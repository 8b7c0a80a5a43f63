"""A disk that is full while a training writes its log: it goes on, what is there stays whole, and what waited is written later."""

import errno
import json
import os
from pathlib import Path

import pytest
from support.crowd import at_once
from support.trust import Case, data, sha, trained

import nnx
from nnx.cli import runs
from nnx.errors import ConfigError, NnxError
from nnx.train.callbacks.base import MetricsFile
from nnx.train.callbacks.statistics import Statistics
from nnx.train.files.log import Log

CASE = Case(nnx.optim.Adam(0.02))


class Disk:
    """Takes so many bytes in all, then none; ``room`` may be given more."""

    def __init__(self, monkeypatch, room, error=errno.ENOSPC):
        self.room, self.error, self.write = room, error, os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, descriptor, given):
        part = bytes(given)[: self.room]
        if given and not part:
            raise OSError(self.error, os.strerror(self.error))
        self.room -= len(part)
        return self.write(descriptor, part)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
def test_at_every_byte_lines_are_whole_or_wait(error, monkeypatch, tmp_path):
    lines = [json.dumps({"epoch": epoch}) for epoch in range(3)]
    whole = "".join(line + "\n" for line in lines)
    for room in range(len(whole) + 1):
        told, path = [], tmp_path / f"{room}.jsonl"
        log = Log(path, told.append)
        with monkeypatch.context() as m:
            disk = Disk(m, room, error)
            for line in lines:
                log.append(line)
                assert whole.startswith(path.read_text())
                assert path.read_text()[-1:] in ("", "\n")
            full = path.read_text() != whole
            assert len(told) == full
            disk.room = 10**6
            log.close()
        assert path.read_text() == whole
        assert not full or "CANNOT BE WRITTEN" in told[0]


def test_what_is_written_in_place_would_be_seen(monkeypatch, tmp_path):
    path = tmp_path / "log"
    log = Log(path, lambda line: None)
    monkeypatch.setattr(os, "ftruncate", lambda *args: None)
    Disk(monkeypatch, 10)
    log.append("0123456")
    log.append("89")
    assert path.read_text() == "0123456\n89"


def test_a_training_goes_on_with_the_same_bits_and_says_so_once(monkeypatch, tmp_path):
    whole = trained(CASE, "numpy")
    told = []
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    run = trained(CASE, "numpy", [MetricsFile(tmp_path, tell=told.append)])
    assert sha(run.model) == sha(whole.model)
    assert [line.partition(" (")[0] for line in told] == [
        f"{tmp_path / 'metrics.jsonl'} CANNOT BE WRITTEN", f"{tmp_path / 'metrics.jsonl'} LACKS its last 5 lines: the disk refuses them",
    ]  # fmt: skip


def test_lines_that_waited_are_there_in_the_end(monkeypatch, tmp_path, capsys):
    class Full(nnx.train.Callback):
        def on_epoch(self, run, record):
            if record["epoch"] in (2, 4):
                disk.room = 0 if record["epoch"] == 2 else 10**9

    disk = Disk(monkeypatch, 10**9)
    statistics = Statistics(data()[0])
    run = trained(CASE, "numpy", [Full(), statistics], directory=tmp_path)
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert metrics == json.loads(json.dumps(run.history))
    assert nnx.train.read_statistics(tmp_path / "statistics.jsonl") == statistics.records
    told = capsys.readouterr().err
    assert told.count("metrics.jsonl CANNOT BE WRITTEN (No space left on device): training goes on") == 1
    assert told.count("metrics.jsonl is written again, and lacks nothing") == 1
    assert told.count("statistics.jsonl CANNOT BE WRITTEN") == 1


def test_a_disk_without_a_byte_is_told_before_the_first_step(monkeypatch, tmp_path):
    Disk(monkeypatch, 0)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 0}))
    with pytest.raises(ConfigError, match=r"the disk is full: for the model [\d,]+ bytes are needed, 0 are free"):
        trained(CASE, "numpy", directory=tmp_path)


def test_no_room_for_the_model_is_said_before_the_first_step(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 100}))
    with pytest.raises(
        ConfigError, match=r"the disk is full: for the model [\d,]+ bytes are needed, 100 are free.*Free some space"
    ):
        trained(CASE, "numpy", directory=tmp_path)


def test_a_model_that_cannot_be_written_in_the_end_says_where_it_goes_on(monkeypatch, tmp_path):
    def full(path, arrays, metadata):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nnx.train.files.saving.write_arrays", full)
    with pytest.raises(
        NnxError,
        match=r"model.safetensors: the model cannot be written \(No space left on device\). Free .*go on with nnx.resume",
    ):
        trained(CASE, "numpy", directory=tmp_path, checkpoint_every="epoch")
    monkeypatch.undo()
    assert sha(nnx.resume(tmp_path, *data()).model) == sha(trained(CASE, "numpy").model)


def test_a_directory_that_cannot_hold_its_settings_is_taken_back(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def refuse(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr("nnx.cli.runs.open", refuse, raising=False)
        with pytest.raises(ConfigError, match="No space left on device"):
            runs.create("digits", None, "text")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_of_many_at_once_each_gets_a_directory_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def create(number):
        directory = runs.create("digits", None, f"{number}")
        return f"{directory}"

    made = at_once(8, create)
    assert sorted(made) == [f"runs/digits-{number:03d}" for number in range(1, 9)]
    assert [(Path(name) / "config.toml").read_text() for name in made] == [str(number) for number in range(8)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_some_that_never_begin_do_not_take_the_place_of_others(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def create(number):
        for _ in range(20):
            directory = runs.create("digits", None, f"{number}")
            if number % 2:
                runs.discard(directory)
        return f"{directory}"

    made = at_once(6, create)
    assert not [said for said in made if not said.startswith("runs/digits-")]
    assert len(list(Path("runs").iterdir())) == 60
