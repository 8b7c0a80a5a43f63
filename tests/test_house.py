"""The house has no circle and no arrow that runs back up, and only its ground floor names an array library."""

from pathlib import Path

import pytest
from support import house

ROOT = Path(__file__).parent.parent
FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in ("nnx", "backends")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
MODULES = {house.module_name(path) for path in FILES}


@pytest.mark.parametrize("path", FILES)
def test_every_file_keeps_to_its_floor(path):
    assert house.complaints(path, FILES[path], MODULES) == []


def test_no_circle():
    assert house.circle(house.import_graph(FILES)) == []


def test_the_whole_tree_is_seen():
    assert {"nnx.errors", "nnx.autodiff.tape", "nnx.backends.backend"} <= MODULES


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("nnx/ops/linear.py", "from nnx.layers import Linear", "imports nnx.layers .floor 6. on floor 5"),
        ("nnx/ops/linear.py", "def f():\n    import nnx.train.fit", "linear.py:2: imports nnx.train.fit"),
        ("nnx/ops/linear.py", "if True:\n    from nnx import losses", "imports nnx.losses"),
        ("nnx/data/csv.py", "from nnx import init", r"imports nnx.init .floor 4. on floor 4"),
        ("nnx/autodiff/tape.py", "import nnx", "imports nnx .floor 10."),
        ("backends/numpy.py", "from nnx.random import uniform", "imports nnx.random .floor 3. on floor 2"),
        ("nnx/layers/linear.py", "from ..train import fit", "imports nnx.train"),
        (
            "nnx/ops/pooling.py",
            "try:\n    import torch.nn\nexcept ImportError:\n    pass",
            "names the array library torch",
        ),
        ("nnx/ops/pooling.py", "import array_api_compat.torch as xp", "names a library through array_api_compat.torch"),
        ("nnx/train/files/checkpoint.py", "import pickle", "imports pickle, through which"),
        ("nnx/cli/config.py", "from importlib import import_module", "imports importlib, through which"),
        ("nnx/cli/config.py", "eval('1')", "config.py:1: calls eval"),
        ("nnx/ops/big.py", "x = 1\n" * 401, "401 lines, the ceiling is 400"),
        ("nnx/attic.py", "", "has no floor"),
    ],
)
def test_a_planted_violation_is_seen(path, source, complaint):
    modules = MODULES | {
        house.module_name(path),
        "nnx.layers",
        "nnx.train",
        "nnx.train.fit",
        "nnx.losses",
        "nnx.init",
        "nnx.random",
    }
    with pytest.raises(AssertionError, match=complaint):
        assert house.complaints(path, source, modules) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "nnx/layers/linear.py",
            "import math\nimport numpy as np\nfrom nnx import errors, tree\nfrom nnx.ops import linear",
        ),
        (
            "nnx/layers/linear.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nnx.train import Run\n    import torch",
        ),
        ("nnx/layers/linear.py", "from nnx.layers.module import Module\nfrom . import parameter"),
        ("backends/torch.py", "import importlib\nimport torch\nfrom array_api_compat import torch as xp"),
        ("nnx/__init__.py", "from nnx.train import fit\nfrom importlib.metadata import version"),
    ],
)
def test_what_is_right_is_not_complained_of(path, source):
    assert house.complaints(path, source, MODULES) == []


def test_a_circle_is_seen_through_a_package():
    files = {
        "nnx/layers/a.py": "from nnx.layers import b",
        "nnx/layers/b.py": "from nnx.layers.c import f",
        "nnx/layers/c.py": "import nnx.layers.a\ndef f(): ...",
        "nnx/layers/d.py": "def f():\n    from nnx.layers import a",
    }
    assert house.circle(house.import_graph(files)) == ["nnx.layers.a", "nnx.layers.b", "nnx.layers.c", "nnx.layers.a"]
