"""Which backend: by name, by array, or by namespace. No array library is imported before it is asked for."""

import difflib
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from nnx.backends.backend import Backend
from nnx.errors import BackendUnavailable, ConfigError, MixedArraysError
from nnx.typing import Array, Namespace


class _Library(NamedTuple):
    """What must be known of a library before it is imported."""

    package: str  # what is imported, and the top-level package that its array types come from
    namespaces: tuple[str, ...]
    install: str


_LIBRARIES = {
    "numpy": _Library("numpy", ("array_api_compat.numpy", "numpy"), "nnx-array"),
    "cupy": _Library("cupy", ("array_api_compat.cupy", "cupy"), "nnx-array[cuda12]"),
    "torch": _Library("torch", ("array_api_compat.torch", "torch"), "nnx-array[torch]"),
    "jax": _Library("jax", ("jax.numpy",), "nnx-array[jax]"),
    "strict": _Library("array_api_strict", ("array_api_strict",), "array-api-strict"),
}
_PACKAGES = {library.package: name for name, library in _LIBRARIES.items()} | {"jaxlib": "jax"}
_NAMESPACES = {namespace: name for name, library in _LIBRARIES.items() for namespace in library.namespaces}

_by_spec: dict[str, Backend] = {}
_by_type: dict[type, Callable[[Any], Backend]] = {}
_by_namespace: dict[str, Backend] = {}


def names() -> tuple[str, ...]:
    """The registered backends, installed or not; imports nothing.

    >>> names()
    ('numpy', 'cupy', 'torch', 'jax', 'strict')
    """
    return tuple(_LIBRARIES)


def get(spec: str | Backend = "numpy") -> Backend:
    """The backend of ``"name"`` or ``"name:device"``; a Backend is returned as it is.

    ConfigError: no such backend. BackendUnavailable: not installed, no driver, or no such device, and what would help.

    >>> get("numpy")
    <Backend numpy>
    """
    if isinstance(spec, Backend):
        return spec
    if spec not in _by_spec:
        name, _, device = str(spec).partition(":")
        _by_spec[spec] = _module(name).open(device)
    return _by_spec[spec]


def of(array: Array) -> Backend:
    """The backend that an array lives on.

    >>> import numpy as np
    >>> of(np.zeros(3))
    <Backend numpy>
    """
    try:
        return _by_type[type(array)](array)
    except KeyError:
        _by_type[type(array)] = _finder(array)
        return _by_type[type(array)](array)


def over(xp: Namespace) -> Backend:
    """The backend of a namespace, on the library's default device; any other standard namespace gets all defaults.

    >>> import array_api_compat.numpy as xp
    >>> over(xp)
    <Backend numpy>
    """
    try:
        return _by_namespace[xp.__name__]
    except KeyError:
        name = _NAMESPACES.get(xp.__name__)
        told = getattr(xp, "__nnx_backend__", None)  # a recording namespace says itself whose it is
        _by_namespace[xp.__name__] = get(name) if name else told or _generic(xp)
        return _by_namespace[xp.__name__]


def available() -> tuple[str, ...]:
    """The backends that are usable here; imports every library that is installed."""
    return tuple(row["name"] for row in status() if row["usable"])


def status() -> list[dict[str, Any]]:
    """One row for each registered backend: its ``info``, or why it is not usable and what would help."""
    rows = []
    for name in names():
        try:
            rows.append({"name": name, "usable": True, "reason": "", **get(name).info()})
        except BackendUnavailable as error:
            rows.append({"name": name, "usable": False, "reason": str(error)})
    return rows


def _module(name: str) -> ModuleType:
    if name not in _LIBRARIES:
        near = difflib.get_close_matches(name, names(), n=1)
        raise ConfigError(
            expected=f"one of the backends {', '.join(names())}",
            got=repr(name),
            where="backend",
            fix=f"Did you mean {near[0]!r}?" if near else "Name one of these, perhaps with a device: torch:cpu.",
        )
    library = _LIBRARIES[name]
    try:
        return importlib.import_module(f"nnx.backends.{name}")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == library.package
        raise BackendUnavailable(
            f"{library.package} is not installed" if missing else f"{library.package} cannot be imported ({error})",
            where=f"backend {name}",
            fix=f'Run: python -m pip install "{library.install}"',
        ) from error


def _finder(array: Any) -> Callable[[Any], Backend]:
    """How arrays of this type tell their backend; a traced array lives where the array inside it does."""
    if getattr(type(array), "__nnx_tensor__", False):
        return lambda x: of(x._array)
    for kind in type(array).__mro__:
        name = _PACKAGES.get(kind.__module__.partition(".")[0])
        if name and kind is not object:
            found: Callable[[Any], Backend] = _module(name).of
            return found
    if hasattr(type(array), "__array_namespace__"):
        return lambda x: over(x.__array_namespace__())
    raise MixedArraysError(
        expected="an array of " + ", ".join(names()),
        got=f"a {type(array).__qualname__}",
        where="nnx.backends.of",
        fix="Use nnx.backends.get(name).asarray(x).",
    )


def _generic(xp: Namespace) -> Backend:
    """A backend of a namespace that nnx does not know: every hook is the portable default."""
    return Backend(
        name=xp.__name__,
        spec=xp.__name__,
        xp=xp,
        device=None,
        owns=lambda x: hasattr(x, "__array_namespace__") and x.__array_namespace__() is xp,
        resides=lambda x: True,
        send=xp.asarray,
        move=lambda x: x,
        fetch=np.asarray,
    )
