"""Files from strangers: each gives an object or an error of ours that says where and what to do; none crashes, hangs, or takes memory it does not hold.

Thousands of inputs for each loader, and a fuzzer led by coverage, are in ``benchmarks/trust/hostile.py``; here are the corpus and some mutations.
"""

import json
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hostile import LOADERS, Loader, outcome
from support.mutations import mutated
from support.process import run_python

from nnx.errors import DataError

FINE = ("read", "refused")
HERE = Path(__file__).parent.parent


@pytest.mark.parametrize("name", LOADERS)
def test_whole_files_are_read(name, tmp_path):
    first, *more = (outcome(LOADERS[name], seed, tmp_path) for seed in LOADERS[name].seeds())
    assert first == "read"
    assert set(more) <= (
        {"read"} if name != "description of a model" else set(FINE)
    )  # of layers other than the arrays'


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
@pytest.mark.parametrize("name", LOADERS)
@given(draw=st.randoms(use_true_random=False))
def test_a_mutated_file_is_read_or_refused(name, draw):
    loader = LOADERS[name]
    with tempfile.TemporaryDirectory() as folder:
        assert outcome(loader, mutated(draw.choice(loader.seeds()), draw), Path(folder)) in FINE


LIMITED = """
import json, sys, tempfile
from pathlib import Path
sys.path.append(sys.argv[1] if len(sys.argv) > 1 else TESTS)
from support.hostile import LOADERS
from support.trials import limited, trials
for loader in LOADERS.values():
    loader.seeds()
limited(600 << 20)
with tempfile.TemporaryDirectory() as folder:
    print(json.dumps([trials(loader, 0.0, 0, Path(folder)) for loader in LOADERS.values()]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and figures of memory are Linux's")
def test_what_declares_more_than_it_holds_takes_no_memory(tmp_path):
    """The corpus, in a process that may take 600 MiB; no file makes it grow by more than 200."""
    found = json.loads(run_python(LIMITED.replace("TESTS", repr(str(HERE))), tmp_path))
    assert {one["loader"]: one["wrong"] for one in found if one["wrong"]} == {}
    assert {one["loader"]: one["grew"] for one in found if one["grew"] > 200 << 20} == {}
    assert {one["loader"] for one in found} == set(LOADERS)
    assert sum(one["refused"] for one in found) > 40


def _reader(action):
    return Loader("planted", "p.bin", action, lambda: [b"whole"])


def _raises(error):
    def read(path):
        raise error

    return read


def _hangs(path):
    while True:
        pass


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (_raises(KeyError("x")), "KeyError"),
        (_raises(MemoryError()), "MemoryError"),
        (_raises(DataError("wrong", where="p.bin")), "says too little"),
        (_raises(DataError(expected="x", where="p.bin", fix="Go.")), "says too little"),
        (_raises(DataError("x" * 9000, where="p.bin", fix="y" * 9000)), "refused"),
        (_hangs, "more than 0.2 s"),
    ],
)
def test_what_a_loader_must_not_do_is_seen(action, said, tmp_path, monkeypatch):
    monkeypatch.setattr("support.hostile.SECONDS", 0.2)
    assert said in outcome(_reader(action), b"whole", tmp_path)
