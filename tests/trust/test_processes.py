"""Real trainings in processes of their own, killed for good or asked to end, and resumed from the command line."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from support.process import until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
TRAIN = ["train", "digits", "--epochs", "16", "--checkpoint-every", "20", "--check", "off", "--model", "mlp:24"]


def nnx(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "nnx", *arguments], cwd=folder, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"MPLBACKEND": "Agg"},
    )  # fmt: skip


def ended(process, code):
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, out + err
    return out


def digest(folder, name):
    return hashlib.sha256((folder / name / "model.safetensors").read_bytes()).hexdigest()


def gone_on(folder, name):
    """Whether a process has taken the run up again: it holds the lock, or is through."""
    return (folder / name / "run.lock").exists() and len(list(folder.glob(f"{name}/checkpoints/step-*"))) > 1


def begun(folder, name, process):
    until(lambda: list(folder.glob(f"{name}/checkpoints/step-*")), "a checkpoint", process)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a training that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("runs")
    ended(nnx(folder, *TRAIN, "--out", "whole"), 0)
    return folder


def test_kill_9_at_any_moment(folder):
    draw = random.Random(5)
    process = nnx(folder, *TRAIN, "--out", "killed")
    begun(folder, "killed", process)
    for _ in range(3):
        time.sleep(draw.uniform(0.0, 0.15))
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        process = nnx(folder, "resume", "killed")
        until(lambda p=process: gone_on(folder, "killed") or p.poll() is not None, "going on")
    out = ended(process, 0)
    assert "trained   mlp:24 on digits for 16 epochs" in out
    assert digest(folder, "killed") == digest(folder, "whole")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(folder, number, code):
    name = f"asked-{code}"
    process = nnx(folder, *TRAIN, "--out", name)
    begun(folder, name, process)
    process.send_signal(number)
    out = ended(process, code)
    assert f"next      nnx resume {name}" in out
    ended(nnx(folder, "resume", name), 0)
    assert digest(folder, name) == digest(folder, "whole")
