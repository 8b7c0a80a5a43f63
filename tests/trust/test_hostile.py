"""Files from strangers: each gives an object or an error of ours that says where and what to do; none crashes, hangs, or takes memory it does not hold.

Thousands of inputs for each loader, and a fuzzer led by coverage, are in ``benchmarks/trust/hostile.py``; here are the corpus and some mutations.
"""

import ast
import json
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hostile import Loader, judged, outcome
from support.loaders import LOADERS
from support.mutations import mutated
from support.process import run_python
from support.strangers import whole_checkpoint

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


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
@pytest.mark.parametrize("name", LOADERS)
@given(draw=st.randoms(use_true_random=False))
def test_a_mutated_file_is_read_or_refused(name, draw):
    loader = LOADERS[name]
    with tempfile.TemporaryDirectory() as folder:
        assert outcome(loader, mutated(draw.choice(loader.seeds()), draw), Path(folder)) in FINE


WATCHED = """
import json, sys, tempfile
from pathlib import Path
sys.path.append(TESTS)
from support import hostile, loaders
from support.trials import limited, trials
events, watching, judged = [], "", hostile.judged
FORBIDDEN = ("pickle.", "marshal.", "exec", "compile", "code.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn",
             "os.spawn", "socket.", "ctypes.", "import", "urllib.", "webbrowser.", "ftplib.", "http.")
def hook(event, args):
    if watching and event.startswith(FORBIDDEN) and event != "socket.gethostname":  # a lock says on what machine it is held
        events.append(f"{watching}: {event} {args}"[:200])
def watched(loader, path):
    global watching
    watching = loader.name
    try:
        return judged(loader, path)
    finally:
        watching = ""
with tempfile.TemporaryDirectory() as folder:
    for loader in loaders.LOADERS.values():
        for seed in loader.seeds():  # what is imported for whole files is imported now
            judged(loader, loader.write(seed, Path(folder)))
    sys.addaudithook(hook)
    hostile.judged = watched
    limited(600 << 20)
    found = [trials(loader, 600.0, 0, Path(folder), most=30) for loader in loaders.LOADERS.values()]
    watching = "planted"
    import pickle, pickletools
    pickle.loads(pickle.dumps(Path))
    eval("1")
    watching = ""
print(json.dumps({"found": found, "events": events}))
"""


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    """The corpus and some mutations of every loader, in a process that may take 600 MiB and is watched."""
    if not sys.platform.startswith("linux"):
        pytest.skip("limits and figures of memory are Linux's")
    return json.loads(run_python(WATCHED.replace("TESTS", repr(str(HERE))), tmp_path_factory.mktemp("looked"), 300))


COUNTED = [
    ("epoch",),
    ("phase",),
    ("elapsed",),
    ("step",),
    ("optimizer", "step"),
    *(("way", key) for key in ("done", "rows", "sums")),
]


@pytest.mark.parametrize("place", COUNTED, ids=".".join)
def test_what_a_checkpoint_has_counted_is_looked_at_before_it_goes_on(place, tmp_path):
    loader = LOADERS["state of a checkpoint"]
    for value in ("x", None, -1, [], ["x", "x"], {"d": {}}):
        state = json.loads(json.dumps(whole_checkpoint().state))
        table = state["training"]["d"]
        for key in place[:-1]:
            table = table[key]["d"]
        table[place[-1]] = value
        said = judged(loader, loader.write(json.dumps(state).encode(), tmp_path))
        assert said == "refused" or (place, value) == (("elapsed",), -1), f"{value!r}: {said}"


def test_what_declares_more_than_it_holds_takes_no_memory(looked_at):
    """No file makes the process grow by more than 200 MiB."""
    found = looked_at["found"]
    assert {one["loader"]: one["wrong"] for one in found if one["wrong"]} == {}
    assert {one["loader"]: one["grew"] for one in found if one["grew"] > 200 << 20} == {}
    assert {one["loader"] for one in found} == set(LOADERS)
    assert sum(one["refused"] for one in found) > 400


def test_no_load_runs_code_imports_by_name_or_leaves_the_process(looked_at):
    assert {event.partition(":")[0] for event in looked_at["events"]} == {"planted"}
    assert {event.split()[1] for event in looked_at["events"]} >= {"pickle.find_class", "compile", "exec", "import"}


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


# no code from files ---------------------------------------------------------------------------------------------------
# What could run code, where it stands in nnx, and why it may. Imports of pickle and its like: tests/test_house.py.
RUNS_CODE = {
    "pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml", "joblib", "runpy", "allow_pickle", "import_module", "__import__",
    "eval", "exec", "popen", "Popen", "literal_eval", "find_class",
}  # fmt: skip
ALLOWED = {
    ("backends/recorded/program.py", "exec"): "a recording's calls, written by nnx from names of its own",
    ("backends/fast/compiled.py", "exec"): "a loop over as many arguments as a rule has, from names of its own",
    ("backends/recorded/loops.py", "exec"): "a run of recorded calls as one loop, from names of its own",
    ("backends/selector.py", "import_module"): "a backend of the closed list in that file, never what a file names",
    ("nnx/late.py", "import_module"): "a module of nnx from a package's own table of names",
    ("nnx/autodiff/standard.py", "literal_eval"): "defaults in the signatures of the standard, which nnx wrote itself",
    ("nnx/cli/misuse.py", "literal_eval"): "one quoted name in a message of nnx; it reads values and calls nothing",
}


def _suspects(source):
    """The names in a source that could run code, but for texts and comments."""
    for node in ast.walk(ast.parse(source)):
        names = (getattr(node, field, None) for field in ("id", "attr", "arg", "name", "module"))
        yield from (name for name in names if isinstance(name, str) and name.partition(".")[0] in RUNS_CODE)
        if isinstance(node, ast.Attribute) and (getattr(node.value, "id", ""), node.attr) == ("os", "system"):
            yield "os.system"


def test_nothing_in_nnx_could_run_code_from_a_file():
    root = HERE.parent
    files = [*root.glob("nnx/**/*.py"), *root.glob("backends/**/*.py")]
    found = {(f.relative_to(root).as_posix(), name) for f in files for name in _suspects(f.read_text(encoding="utf-8"))}
    assert len(files) > 100
    assert {one for one in found if not one[0].startswith("nnx/backends/")} == set(ALLOWED)


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from pickle import loads", "np.load(f, allow_pickle=True)", "eval(x)", "importlib.import_module(x)", "os.system(x)"],
)  # fmt: skip
def test_a_planted_way_to_run_code_is_seen(source):
    assert list(_suspects(source))
