"""The folder of benchmarks as a package, and what its tests ask of the contestants."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def load_package():
    """The folder as the package it is, as ``run.py`` loads it: the checkout goes nowhere on the path."""
    spec = spec_from_file_location("benchmarks", ROOT / "benchmarks" / "__init__.py")
    module = sys.modules["benchmarks"] = module_from_spec(spec)
    spec.loader.exec_module(module)


if "benchmarks" not in sys.modules:
    load_package()
from benchmarks import process  # noqa: E402
from benchmarks.contestants import BY_HAND, CONTESTANTS  # noqa: E402
from benchmarks.networks import Network  # noqa: E402

SMALL = Network((8, 16, 5), 12)
HERE = [contestant for contestant in CONTESTANTS if not contestant.missing()]


def ask(field, contestant, question, network, do, **order):
    worker = field.process(contestant)
    job = worker.ask("make", **process.order(question, network, contestant))
    return worker.ask(do, job=job, **order)


def by_hand(question, network, do, field, **order):
    return ask(field, next(one for one in CONTESTANTS if one.label == BY_HAND), question, network, do, **order)
