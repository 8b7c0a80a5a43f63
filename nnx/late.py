"""Names that a package loads when they are first asked for (PEP 562): importing it costs what a program uses.

Beware of the name of a file in the package, such as ``split`` of ``nnx/data/split.py``: whoever imports that file puts the
module in the name's place, so such names are imported at once.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from nnx.errors import unknown


def names(
    package: str, homes: Mapping[str, str], parts: tuple[str, ...] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package: the module that has each of the names, or is it.

    Errors: ``UnknownAttributeError`` for any other name, with the nearest, also in these ``parts`` of the package.
    """
    known = sys.modules[package].__dict__

    def load(name: str) -> Any:
        if name not in homes:
            within = [f"{p}.{one}" for p in parts if name[0] != "_" for one in import_module(f"{package}.{p}").__all__]
            raise unknown(package, name, [*known.get("__all__", homes), *within])
        module = import_module(homes[name])
        known[name] = module if homes[name] == f"{package}.{name}" else getattr(module, name)
        return known[name]

    return load, lambda: sorted({*known, *homes})
