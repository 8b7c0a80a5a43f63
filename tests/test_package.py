"""What is installed: complete, of one version, and quiet when imported."""

import inspect
import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from support.process import run_python

import nnx

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Everything that an audit hook sees while nnx is imported, after NumPy and array-api-compat, which are not ours to judge.
WATCH = """
import json, sys, threading
import numpy, array_api_compat, array_api_compat.numpy
WATCHED = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "_thread.start_new_thread",
           "os.mkdir", "os.remove", "os.rename", "os.putenv", "shutil.", "tempfile.", "pickle.find_class", "ctypes.dlopen")
events = []
def hook(event, args):
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        events.append(f"open {args[0]} {args[1]}")
    elif event.startswith(WATCHED):
        events.append(f"{event} {args}"[:200])
before = set(sys.modules)
sys.dont_write_bytecode = True
sys.addaudithook(hook)
IMPORT
loaded = sorted({name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))
print(json.dumps({"events": events, "threads": threading.active_count(), "loaded": loaded}))
"""


def watch(statement, folder):
    return json.loads(run_python(WATCH.replace("IMPORT", statement), folder))


def test_importing_nnx_loads_numpy_and_array_api_compat_and_does_nothing(tmp_path):
    assert watch("import nnx", tmp_path) == {"events": [], "threads": 1, "loaded": ["nnx"]}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        ("open('left', 'w')", "open left w"),
        ("import socket; socket.socket()", "socket.__new__"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("import os; os.mkdir('left')", "os.mkdir"),
        ("import ctypes; ctypes.CDLL(None)", "ctypes.dlopen"),
    ],
)
def test_what_an_import_must_not_do_is_seen(statement, seen, tmp_path):
    assert any(event.startswith(seen) for event in watch(statement, tmp_path)["events"])


def test_a_thread_started_by_an_import_is_seen(tmp_path):
    assert watch("threading.Thread(target=threading.Event().wait, daemon=True).start()", tmp_path)["threads"] == 2


def test_a_heavy_import_is_seen(tmp_path):
    assert watch("import hypothesis" if have("hypothesis") else "import pytest", tmp_path)["loaded"] != ["nnx"]


def have(distribution):
    try:
        return bool(version(distribution))
    except ModuleNotFoundError:
        return False


def test_the_version_stands_in_one_place():
    assert version("nnx-array") == nnx.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", nnx.__version__)
    assert "version" not in PROJECT["project"]
    assert PROJECT["project"]["dynamic"] == ["version"]


def packages_of_the_tree():
    """Every folder with Python files in it, by the name it has when installed."""
    folders = {path.parent.relative_to(ROOT) for top in ("nnx", "backends") for path in (ROOT / top).rglob("*.py")}
    return {".".join((["nnx"] if folder.parts[0] == "backends" else []) + list(folder.parts)) for folder in folders}


def test_every_package_is_named_in_pyproject():
    assert packages_of_the_tree() == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_package_can_be_imported_by_its_name():
    for name in packages_of_the_tree():
        folder = ROOT.joinpath(*(name.removeprefix("nnx.") if name.startswith("nnx.backends") else name).split("."))
        assert (folder / "__init__.py").exists(), f"{folder} has no __init__.py"


def test_the_extras_are_those_of_the_backends_and_features():
    extras = PROJECT["project"]["optional-dependencies"]
    assert {"cuda12", "cuda13", "torch", "jax", "fast", "plot", "tune", "sklearn", "test"} <= set(extras)


def test_help_says_what_a_thing_takes():
    """Of all that is public, no class or function names ``*args``, or the namespace that it finds itself."""
    for module in (nnx, nnx.ops, nnx.losses, nnx.metrics, nnx.init, nnx.data):
        for name in getattr(module, "__all__", dir(module)):
            thing = getattr(module, name)
            if name[0] != "_" and callable(thing) and str(getattr(thing, "__module__", "")).startswith("nnx"):
                taken = str(inspect.signature(thing))
                assert "*args" not in taken, name
                assert "(xp" not in taken or name == "one_hot", name
                assert not getattr(thing, "__name__", name).startswith("_"), name
