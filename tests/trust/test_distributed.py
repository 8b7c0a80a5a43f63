"""Training shared by processes: the same bits for any number of them, and no way to lose a checkpoint or to wait for ever.

Real processes under ``mpiexec``, several on a core. What they train, see ``tests/support/distributed.py``.
"""

import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("mpi4py")
from support import distributed
from support.distributed import found, mpiexec

import nnx
from nnx.train.files.checkpoint import CHECKPOINTS, newest

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="signals of another kind"),
    pytest.mark.skipif(not shutil.which(distributed.beside_python()), reason="needs mpiexec beside mpi4py"),
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The trainings in this process, with the same shards."""
    place = tmp_path_factory.mktemp("alone")
    return {name: distributed.told(case(place)) for name, case in distributed.cases().items()}, place


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A run of which one of two processes was killed."""
    place = tmp_path_factory.mktemp("cut")
    done = mpiexec(2, "killed", place)
    assert done.returncode != 0
    assert not list(place.glob("*.json"))  # nobody went on
    return place / "run"


@pytest.mark.parametrize("processes", [2, 4])
def test_the_same_bits(alone, cut, processes, tmp_path):
    """Of every training; a signal to one ends all, what one may not do none does; and a run that was killed goes on here."""
    shutil.copytree(cut, tmp_path / "run")
    done = mpiexec(processes, "trainings", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    whole, place = alone
    uncut = distributed.told(distributed.course(None, nnx.losses.cross_entropy))
    for rank, answers in enumerate(found(tmp_path, processes)):
        for name, told in whole.items():
            assert answers[name] == told, (rank, name)
        assert answers["resumed"] == uncut
        assert (answers["asked to end"]["stopped"], answers["asked to end"]["step"]) == (
            "interrupted",
            {2: 4, 4: 7}[processes],
        )
        own = "ConfigError: fit: expected a directory without a run in it" if rank == 0 else "Elsewhere: process 0 of"
        assert answers["refused"].startswith(own)
        assert (
            "expected the same model, data and settings in every process, got other in process 1"
            in answers["other data"]
        )
        assert "expected the same weights in every process" in answers["meddled"]
    written = [sorted(entry.name for entry in (there / "kept").iterdir()) for there in (place, tmp_path)]
    assert written[0] == written[1]
    model = "kept/model.safetensors"
    assert (tmp_path / model).read_bytes() == (place / model).read_bytes()


def test_the_checkpoint_of_a_killed_run_is_whole(cut, tmp_path):
    last, damaged = newest(cut / CHECKPOINTS, pytest.fail)
    assert (last.step, damaged) == (6, [])
    shutil.copytree(cut, tmp_path / "run")
    alone = distributed.resumed(tmp_path)
    assert distributed.told(alone) == distributed.told(distributed.course(None, nnx.losses.cross_entropy))


def test_an_error_of_one_ends_all_with_one_message(tmp_path):
    done = mpiexec(2, "mistaken", tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("nnx: process 1 of 2 has failed:") == 1
    assert done.stderr.count("ZeroDivisionError: a mistake of one") == 1


def test_the_command_line_says_it_once(tmp_path):
    command = [
        distributed.beside_python(),
        "-n",
        "2",
        sys.executable,
        "-P",
        "-m",
        "nnx",
        "train",
        "digits",
        "--distributed",
    ]
    done = subprocess.run(
        [*command, "--batch-size", "12"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=distributed.quiet(),
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("nnx: fit: expected batch_size ≥ 16, 2 rows for each of 8 shards, got 12.")
    assert done.stderr.count("batch_size ≥ 16") == 1, done.stderr
    assert not list(tmp_path.iterdir())
