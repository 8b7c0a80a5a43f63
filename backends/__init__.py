"""All that nnx knows about particular array libraries.

``get("cupy:0")``, ``of(array)``, ``over(namespace)``: a Backend. ``names()``: registered. ``available()``: usable here.
``deterministic.restart()``: the same bits whatever the machine's settings.
"""

from nnx.backends import deterministic
from nnx.backends.backend import Backend, Deviation, dtype_name
from nnx.backends.selector import available, get, names, of, over, status

__all__ = ["Backend", "Deviation", "available", "deterministic", "dtype_name", "get", "names", "of", "over", "status"]
