"""docs/agreement.md is made of the tests' own measurements: every line has a chapter, the worst stand first."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from cases.layers import LAYERS
from cases.ops import ROWS
from cases.optimizers import OPTIMIZERS

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def agreement():
    spec = spec_from_file_location("benchmarks_agreement", ROOT / "benchmarks" / "agreement.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_measurement_has_a_chapter(agreement):
    for row in ROWS:
        chapter, name = agreement.chapter_of(f"{row.name} value")
        assert chapter in agreement.ORDER[:-3]
        assert name in (row.name, row.name.removeprefix("hooks."))
    assert agreement.chapter_of("matmul order 2") == ("Linear algebra", "matmul")
    assert agreement.chapter_of("agree: Linear gradient") == ("Layers", "Linear")
    assert agreement.chapter_of("agree: one step of adam") == ("One step of an optimizer", "adam")
    assert agreement.chapter_of("agree: network loss") == ("Training", "network loss")


def worst(op, backend, value, tolerance, dtype="float32"):
    used = value / tolerance if tolerance else 0.0
    return {"op": op, "backend": backend, "dtype": dtype, "value": value, "tolerance": tolerance, "used": used}


def test_a_page_of_a_record(agreement):
    record = {
        "nnx": "0", "python": "3", "platform": "Linux-x", "versions": {"numpy": "2"},
        "backends": {"torch": {"spec": "torch:cpu", "passed": 1234}, "numpy": {"spec": "numpy", "passed": 3}, "jax": {"spec": "jax"}},
        "worst": [
            worst("exp value", "torch:cpu", 2**-22, 2**-20), worst("exp order 1", "torch:cpu", 1e-7, 1e-6),
            worst("exp value", "numpy", 0.0, 2**-20), worst("log value", "torch:cpu", 2**-21, 2**-20),
            worst("agree: Tanh", "torch:cpu", 3.0, 4.0), worst("agree: Flatten", "torch:cpu", 0.0, 0.0),
        ],
    }  # fmt: skip
    text = agreement.page(record)
    assert "Cases that passed: 3 on numpy, 1,234 on torch:cpu." in text
    assert "| Tanh | value | float32 | torch:cpu | 0.75 | 3.00 ulp |" in text
    lines = text[text.index("## Element by element") :].splitlines()
    assert lines[2] == "| | dtype | numpy | torch:cpu | value, ulp | worst in |"
    assert lines[4:6] == [
        "| log | float32 |  | 0.50 | 4.00 | value, torch:cpu |",
        "| exp | float32 | 0 | 0.25 | 2.00 | value, torch:cpu |",
    ]
    assert "| Flatten | float32 |  | 0 | exact |  |" in text


def test_the_page_has_every_operation_layer_and_optimizer():
    text = (ROOT / "docs" / "agreement.md").read_text(encoding="utf-8")
    names = {match[1] for match in re.finditer(r"^\| ([\w. -]+) \| \w+\d+ \|", text, re.MULTILINE)}
    assert {row.name.removeprefix("hooks.") for row in ROWS} - names == set()
    assert {row.covers.__name__ for row in LAYERS.values()} - names == set()
    assert set(OPTIMIZERS) - names == set()
