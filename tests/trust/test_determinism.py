"""Same seed, same machine: same bits. With --deterministic, whatever the machine's settings."""

import hashlib
import os
import platform
import sys
import warnings

import pytest
from support.determinism import FLAGS, OTHER, command, elsewhere, trained

from nnx import backends
from nnx.backends import deterministic
from nnx.cli import config, main
from nnx.cli import deterministic as flag
from nnx.train.files.checkpoint import CHECKPOINTS
from nnx.train.files.fingerprint import differences, fingerprint

STARTED_WITH = os.environ.get("OPENBLAS_NUM_THREADS")


def test_two_processes_train_to_the_same_bits(backend):
    assert elsewhere(backend.spec) == trained(backend.spec)


def test_the_command_trains_to_the_same_bits_in_another_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *FLAGS, "--out", "here"]) == 0
    here = hashlib.sha256((tmp_path / "here" / "model.safetensors").read_bytes()).hexdigest()
    assert command(tmp_path, "train", *FLAGS, "--out", "run")[1] == here


@pytest.mark.long
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="kernels of another processor: other names")
def test_deterministic_gives_the_same_bits_on_two_settings_of_the_machine(tmp_path):
    flags = (*FLAGS, "--deterministic", "--out", "run")
    fixed = [command(tmp_path / f"d{n}", "train", *flags, settings=one) for n, one in enumerate(OTHER)]
    assert fixed[0][1] == fixed[1][1]
    without = command(tmp_path, "train", *FLAGS, "--out", "run", settings=OTHER[1])
    assert without[1] != fixed[1][1], "the settings make no difference: the test shows nothing"
    assert fixed[0][0].count("note   deterministic: one thread, BLAS kernel Haswell, no TF32, no atomic sums") == 1
    assert "deterministic = true" in (tmp_path / "d0" / "run" / "config.toml").read_text()


# restarting -----------------------------------------------------------------------------------------------------------
class Restarted(BaseException):
    """Where the process would begin again."""


@pytest.fixture
def restarts(monkeypatch):
    """The calls of os.execve, each of which ends what was going on; the environment as it must not be."""
    calls = []

    def execve(path, arguments, environment):
        calls.append((path, arguments, environment))
        raise Restarted

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(flag, "_process", [True])
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.delenv("NNX_DETERMINISTIC", raising=False)
    monkeypatch.delenv("NNX_RESTARTED", raising=False)
    return calls


@pytest.fixture
def settled(monkeypatch):
    """The environment as it must be."""
    for name, value in deterministic.environment().items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_same_program_is_started_again_with_what_is_missing(restarts, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=there --xla_cpu_multi_thread_eigen=true")
    with pytest.raises(Restarted):
        deterministic.restart()
    [(path, arguments, environment)] = restarts
    assert (path, arguments) == (sys.executable, [sys.executable, *sys.orig_argv[1:]])
    assert environment["NNX_DETERMINISTIC"] == environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["XLA_FLAGS"].startswith("--xla_dump_to=there --xla_cpu_multi_thread_eigen=false ")
    assert set(os.environ) <= set(environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    deterministic.restart()  # all is there
    assert len(restarts) == 1


def test_a_program_that_undoes_it_is_warned_instead_of_started_for_ever(restarts, settled):
    settled.setenv("NNX_RESTARTED", "1")
    settled.setenv("OPENBLAS_NUM_THREADS", "2")
    with pytest.warns(deterministic.DeterminismWarning, match="OPENBLAS_NUM_THREADS is 2, and it is too late"):
        deterministic.restart()
    assert restarts == []


@pytest.mark.parametrize("verb", ["train", "resume", "tune"])
def test_commands_start_again(verb, restarts, tmp_path, monkeypatch):
    if verb == "tune":
        pytest.importorskip("optuna", reason="optuna is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / CHECKPOINTS).mkdir(parents=True)
    kept = config.written(config.Settings(source="digits", deterministic=True), "a run")
    (tmp_path / "run" / "config.toml").write_text(kept)
    with pytest.raises(Restarted):
        main(["resume", "run"] if verb == "resume" else [verb, "digits", "--deterministic"])
    assert len(restarts) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


# too late -------------------------------------------------------------------------------------------------------------
def test_a_library_that_was_loaded_before_is_told_of(settled):
    settled.delenv("OPENBLAS_NUM_THREADS")
    with pytest.warns(
        deterministic.DeterminismWarning,
        match=r"OPENBLAS_NUM_THREADS is not set.* Start Python with OPENBLAS_NUM_THREADS=1 in its environment, or call "
        r"nnx\.backends\.deterministic\.restart\(\) first of all, or use nnx train --deterministic",
    ):
        deterministic.check(*deterministic.BLAS)


def test_what_a_backend_does_not_need_is_not_told_of_and_nothing_where_nobody_asks(settled):
    settled.delenv("CUPY_TF32")
    settled.setattr(deterministic, "_kernels", dict)  # those of this process were chosen before
    settled.setenv("OPENBLAS_CORETYPE", "any")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if STARTED_WITH == "1":  # else BLAS has more threads, and says so
            deterministic.check("XLA_FLAGS")
        settled.delenv("NNX_DETERMINISTIC")
        deterministic.check("CUPY_TF32")


def test_the_fingerprint_knows(settled):
    now = fingerprint(backends.get("numpy"))
    assert now["deterministic"] is True
    settled.delenv("NNX_DETERMINISTIC")
    before = fingerprint(backends.get("numpy"))
    assert differences(before, now)[-1] == "deterministic False → True"
    del before["deterministic"]  # of a checkpoint from before there was the flag
    settled.setenv("NNX_DETERMINISTIC", "0")
    assert differences(before, fingerprint(backends.get("numpy"))) == []
