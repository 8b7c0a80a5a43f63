"""Importing nnx loads what a model is made of; everything else comes when it is first asked for, whatever came before."""

import ast
import json
import pickle
from inspect import getclosurevars
from pathlib import Path

import pytest
from support.process import run_python

import nnx
from nnx import autodiff, late
from nnx.errors import UnknownAttributeError

AT_ONCE = {"autodiff", "backends", "init", "layers", "ops", "random", "tree", "errors", "typing", "late"}
DOORS = {f"nnx.{name}{file}" for name in ("doctor", "export", "parity", "tune") for file in ("", ".door")}

# What must hold after any import, whichever comes first: that of a submodule puts the module in its package's attribute.
ORDERS = """
import importlib, json, sys
FIRST = ("nnx", "nnx.doctor.verdict", "nnx.parity.report", "nnx.export.onnx_file", "nnx.tune.space", "nnx.train.fit",
         "nnx.train.resume", "nnx.data.split", "nnx.plot.curves", "nnx.optim.adam", "nnx.autodiff.check", "nnx.cli.app")
CALLED = ("backends.deterministic.restart", "models.build", "doctor", "parity", "export", "tune", "fit", "load", "gradcheck",
          "evaluate", "autodiff.gradcheck", "train.fit", "train.resume", "data.split", "data.load", "plot.curves", "optim.Adam", "losses.get", "metrics.accuracy")
wrong = []
for first in FIRST:
    for name in [name for name in sys.modules if name.partition(".")[0] == "nnx"]:
        del sys.modules[name]
    importlib.import_module(first)
    import nnx
    for name in CALLED:
        found = nnx
        for part in name.split("."):
            found = getattr(found, part)
        if not callable(found):
            wrong.append([first, name])
print(json.dumps(wrong))
"""


def test_importing_nnx_loads_what_a_model_is_made_of(tmp_path):
    code = "import nnx, json, sys; print(json.dumps([name for name in sys.modules if name.startswith('nnx.')]))"
    loaded = set(json.loads(run_python(code, tmp_path)))
    assert "nnx.layers.linear" in loaded
    assert {name for name in loaded if name.split(".")[1] not in AT_ONCE} == DOORS
    assert "nnx.autodiff.check" not in loaded


def test_a_function_is_never_hidden_by_the_file_of_its_name(tmp_path):
    assert json.loads(run_python(ORDERS, tmp_path)) == []


def test_every_name_is_there_and_listed(tmp_path):
    run_python("from nnx import *; fit, data, plot, gradcheck, estimators.NNClassifier, __version__", tmp_path)
    run_python("import nnx; assert {*nnx.__all__, 'train'} <= {*dir(nnx)}; nnx.train.Checkpoints", tmp_path)


@pytest.mark.parametrize("package", ["nnx", "nnx.autodiff"])
def test_type_checkers_are_told_of_the_same_names(package):
    """What is imported for them is what the table gives."""
    place = Path(nnx.__file__).parent.joinpath(*package.split(".")[1:], "__init__.py")
    tree = ast.parse(place.read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    told = {
        alias.name: f"nnx.{alias.name}" if node.module == "nnx" else str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == getclosurevars((nnx if package == "nnx" else autodiff).__getattr__).nonlocals["homes"]


def test_what_is_loaded_late_is_pickled():
    assert pickle.loads(pickle.dumps(nnx.fit)) is nnx.train.fit


def test_a_table_gives_modules_and_what_is_in_them():
    load, names = late.names("nnx.ops", {"sqrt": "math"})
    assert load("sqrt")(4.0) == 2.0
    assert "sqrt" in names()
    del nnx.ops.sqrt
    with pytest.raises(UnknownAttributeError, match=r"nnx.ops: no attribute 'relo'. Did you mean nnx.ops.relu\?"):
        load("relo")
