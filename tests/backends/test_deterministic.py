"""NNX_DETERMINISTIC=1 on PyTorch: its own settings, which hold for all of it."""

import pytest
from support.process import run_python

from nnx.backends import deterministic

torch = pytest.importorskip("torch")


def test_torch_is_told_where_somebody_asks(tmp_path):
    code = (
        "import os, warnings; warnings.simplefilter('error'); import nnx, torch\n"
        "os.environ['NNX_DETERMINISTIC'] = '0'; nnx.backends.get('torch'); print(torch.are_deterministic_algorithms_enabled())\n"
        "os.environ['NNX_DETERMINISTIC'] = '1'; nnx.backends.get('torch:cpu'); print(torch.are_deterministic_algorithms_enabled())"
    )
    assert run_python(code, tmp_path, **deterministic.environment()) == "False\nTrue\n"
