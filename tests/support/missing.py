"""A test module that imports a library which is not there is skipped, counted and named, as by ``pytest.importorskip``."""

import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest

OPTIONAL = ("array_api_strict", "hypothesis", "mpmath", "scipy", "sklearn", "torch", "jax")


class SkipWhatIsMissing(MetaPathFinder):
    """The last finder of ``sys.meta_path``: it is asked for what no other found. Only imports written in a test count,
    for a library may try another and do without."""

    def __init__(self, tests: Path) -> None:
        self.tests = str(tests)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname in OPTIONAL and self.importer().startswith(self.tests):
            pytest.skip(f"{fullname} is not installed", allow_module_level=True)

    def importer(self) -> str:
        """The file whose import statement is being carried out."""
        frame = sys._getframe(2)
        while frame.f_back and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        return frame.f_code.co_filename
