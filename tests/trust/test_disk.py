"""A save is done or not done, whatever the disk does in the middle of it; a damaged checkpoint is never taken for a whole one."""

import os

import pytest
from support.trust import (
    CALLS,
    FAULTS,
    Case,
    Cut,
    CutAt,
    a_checkpoint,
    cuts,
    data,
    failing,
    flips,
    keeper_at,
    noticed,
    pair_of_checkpoints,
    same,
    saves,
    sha,
    survived,
    trained,
)

import nnx
from nnx.errors import ConfigError, DataError
from nnx.train.files import durable
from nnx.train.files.checkpoint import listed, newest, read_checkpoint
from nnx.train.files.lock import LOCK, locked


def number_of_calls(place):
    for step in (1, 2):
        saves(place, step)
    return saves(place, 3)[1]


@pytest.mark.parametrize("fault", FAULTS)
def test_any_call_of_a_save_may_fail(fault, tmp_path):
    if fault.startswith("killed") and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    calls = number_of_calls(tmp_path / "counted")
    assert {"open", "write", "fsync", "close", "mkdir", "rename", "statvfs"} <= set(calls) <= set(CALLS)
    wrong = {(n, calls[n]): survived(tmp_path / "tried", n, fault) for n in range(len(calls))}
    assert {at: what for at, what in wrong.items() if what} == {}


def test_a_save_that_fails_takes_its_half_away(tmp_path, monkeypatch):
    def full(path, data, write=durable.write_file):
        write(path, data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "write_file", full)
    with pytest.raises(OSError, match="No space left"):
        durable.write_directory(tmp_path / "whole", {"part": b"12"})
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_is_not_renamed_would_be_seen(tmp_path, monkeypatch):
    def hasty(target, files):
        target.mkdir()
        for name, content in files.items():
            durable.write_file(target / name, content)

    monkeypatch.setattr(durable, "write_directory", hasty)
    calls = number_of_calls(tmp_path / "counted")
    assert any(survived(tmp_path / "tried", n, "ENOSPC") for n in range(len(calls)))


def test_everything_is_synced_before_it_gets_its_name(tmp_path, monkeypatch):
    """What no test on a running system shows: after a power cut only what was synced is there."""
    keeper, events = keeper_at(tmp_path)[0], []
    real_open, real_sync, real_rename = os.open, os.fsync, os.rename
    names = {}

    def opened(path, *args, **kwargs):
        descriptor = real_open(path, *args, **kwargs)
        names[descriptor] = os.path.basename(path)
        return descriptor

    def synced(descriptor):
        events.append(f"sync {names[descriptor]}")
        real_sync(descriptor)

    def renamed(a, b):
        events.append(f"rename to {os.path.basename(b)}")
        real_rename(a, b)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    assert keeper.save(lambda: a_checkpoint(1))
    assert events[:4] == [
        f"sync {name}" for name in ("weights.safetensors", "state.safetensors", "state.json", "MANIFEST.json")
    ]
    assert events[4].startswith("sync .tmp-")
    assert events[5:] == ["rename to step-00000001-epoch-00001.nnx", "sync checkpoints"]


def test_too_little_space_is_said_before_anything_is_written(tmp_path, monkeypatch):
    keeper, told = keeper_at(tmp_path)
    assert keeper.save(lambda: a_checkpoint(1))
    with failing(-1, "EIO") as calls:
        monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 100}))
        assert not keeper.save(lambda: a_checkpoint(2))
    assert "write" not in calls
    assert told == [
        f"NO CHECKPOINT could be written in {tmp_path / 'checkpoints'} ({told[0].split('(')[1].split(')')[0]}): the last is {keeper.saved}"
    ]
    assert " bytes are needed, 100 are free" in told[0]


def test_where_no_steps_are_named_the_clock_says_when(tmp_path):
    keeper, _ = keeper_at(tmp_path)
    keeper.every = None
    assert not keeper.due(1, epoch_ended=True)
    keeper.seconds = 0.0
    assert keeper.due(1, epoch_ended=False)


def test_training_goes_on_with_a_disk_that_is_full(tmp_path, monkeypatch, capsys):
    def full(target, files):
        raise OSError(28, "No space left on device")

    case = Case(nnx.optim.Adam(0.02))
    monkeypatch.setattr(durable, "write_directory", full)
    run = trained(case, "numpy", directory=tmp_path, checkpoint_every="epoch")
    assert sha(run.model) == sha(trained(case, "numpy").model)
    said = f"NO CHECKPOINT could be written in {tmp_path / 'checkpoints'} (No space left on device): there is none yet"
    assert capsys.readouterr().err.count(said) == 5


# damage ---------------------------------------------------------------------------------------------------------------
def test_every_cut_is_noticed(tmp_path):
    done, seen = cuts(pair_of_checkpoints(tmp_path / "c"), stride=3)
    assert done > 300
    assert seen == done


def test_every_flip_is_noticed(tmp_path):
    done, seen = flips(pair_of_checkpoints(tmp_path / "c"), stride=5, bits=(0, 5))
    assert done > 300
    assert seen == done


def test_a_reader_that_does_not_look_would_be_seen(tmp_path, monkeypatch):
    path = pair_of_checkpoints(tmp_path / "c")
    monkeypatch.setattr("nnx.train.files.checkpoint._verified", lambda path, about: path.read_bytes())
    done, seen = flips(path, stride=5, bits=(0,))
    assert seen < done


def test_the_one_before_is_used_with_one_loud_line(tmp_path):
    path = pair_of_checkpoints(tmp_path / "c")
    file = path / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    lines = []
    found, damaged = newest(tmp_path / "c", lines.append)
    assert same(found, a_checkpoint(1))
    assert damaged == [path]
    assert len(lines) == 1
    assert "DAMAGED CHECKPOINT, the one before it is used" in lines[0]
    assert (
        "weights.safetensors: expected a file as it was written, got other bytes than were written (SHA-256)"
        in lines[0]
    )
    (path.parent / "step-00000001-epoch-00001.nnx" / "state.json").unlink()
    with pytest.raises(DataError, match="expected a whole checkpoint, got 2 damaged"):
        newest(tmp_path / "c", lines.append)


def test_resume_from_the_one_before_ends_with_the_same_bits(tmp_path, capsys):
    case = Case(nnx.optim.Adam(0.02), "both")
    with pytest.raises(Cut):
        trained(case, "numpy", [CutAt(11)], directory=tmp_path, checkpoint_every=2)
    last = sorted((tmp_path / "checkpoints").iterdir())[-1]
    (last / "state.safetensors").write_bytes(b"")
    resumed = nnx.resume(tmp_path, *data())
    assert sha(resumed.model) == sha(trained(case, "numpy").model)
    assert capsys.readouterr().err.count("DAMAGED CHECKPOINT") == 1


def test_a_damaged_one_that_was_taken_away_does_not_count_among_the_last(tmp_path):
    keeper, _ = keeper_at(tmp_path)
    for step in (1, 2):
        assert keeper.save(lambda step=step: a_checkpoint(step))
    keeper.forget([keeper.saved])
    assert keeper.save(lambda: a_checkpoint(3))
    assert [path.name[:13] for path in listed(tmp_path / "checkpoints")] == ["step-00000001", "step-00000003"]


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "state.json", "MANIFEST.json"])
def test_a_link_is_not_followed(name, tmp_path):
    path = pair_of_checkpoints(tmp_path / "c")
    os.rename(path / name, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path / name)
    assert noticed(path)


def test_a_manifest_that_was_edited_with_care_is_no_way_to_other_files(tmp_path):
    path = pair_of_checkpoints(tmp_path / "c")
    text = (path / "MANIFEST.json").read_text().replace("state.json", "../state.json")
    (path / "MANIFEST.json").write_text(text)
    with pytest.raises(DataError, match="differs from what was written"):
        read_checkpoint(path)


# the lock -------------------------------------------------------------------------------------------------------------
def test_a_holder_that_has_not_signed_yet_is_waited_for(tmp_path, monkeypatch):
    fcntl, path = pytest.importorskip("fcntl"), tmp_path / "run.lock"
    with open(path, "w+", buffering=1) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        monkeypatch.setattr("time.sleep", lambda seconds: held.write("process 7 on here\n"))
        with pytest.raises(ConfigError, match="in use by process 7 on here"), locked(tmp_path):
            pytest.fail("the lock was given twice")
        held.truncate(0)
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        with pytest.raises(ConfigError, match="in use by another process"), locked(tmp_path):
            pytest.fail("the lock was given twice")


def test_of_two_trainers_in_one_directory_one_is_refused(tmp_path):
    pytest.importorskip("fcntl")
    with locked(tmp_path):
        with (
            pytest.raises(ConfigError, match=rf"in use by process {os.getpid()} on .*Wait until it ends"),
            locked(tmp_path),
        ):
            pytest.fail("the lock was given twice")
        with pytest.raises(ConfigError, match="in use by process"):
            trained(Case(nnx.optim.Adam(0.02)), "numpy", directory=tmp_path)
    assert not (tmp_path / LOCK).exists()
    trained(Case(nnx.optim.Adam(0.02)), "numpy", directory=tmp_path)


def test_what_a_killed_trainer_leaves_is_no_lock(tmp_path):
    (tmp_path / LOCK).write_text("process 1 on elsewhere\n")
    with locked(tmp_path):
        pass
