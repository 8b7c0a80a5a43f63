"""Model files: the arrays by path, and a description that builds the model again without running any code.

A description is plain JSON: for each layer its name in ``nnx.layers.LAYERS`` and the arguments it was made with. A file
can ask for nothing else, so opening one from a stranger runs none of theirs.
"""

import json
import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from nnx import backends, init
from nnx.errors import ConfigError, DataError, NnxError, StateError
from nnx.layers import LAYERS, Module
from nnx.train.files.weights import read_arrays, write_arrays
from nnx.train.given import check_model

FORMAT = "1"
_DAMAGED = "The file was edited or damaged: save the model again."
_LAYERS = {layer.__name__: layer for layer in LAYERS}


def save(model: Module, path: str | os.PathLike[str], *, notes: Mapping[str, Any] | None = None) -> None:
    """Write a model to one safetensors file, from whatever backend it is on.

    Models of your own classes are saved too; they are loaded by ``nnx.load(path, into=YourModel(...))``. ``notes`` is
    anything JSON can hold, e.g. class names; :func:`read_notes` gives it back. What is frozen is kept, too.

    Errors: ``ConfigError`` for notes that JSON cannot hold, and for a place that cannot be written. See :func:`load`.
    """
    check_model(model, "save")
    arrays = {name: backends.of(array).to_numpy(array) for name, array in model.state().items()}
    try:
        text = json.dumps(dict(notes or {}))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            expected="notes that JSON can hold",
            got=str(error),
            where="notes",
            fix="Write numbers, text, lists and dictionaries of them.",
        ) from None
    metadata = {
        "format": f"nnx {FORMAT}",
        "model": json.dumps(describe(model)),
        "notes": text,
    }
    if frozen := frozen_parts(model):
        metadata["frozen"] = json.dumps(frozen)
    try:
        write_arrays(path, arrays, metadata)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise ConfigError(
            f"the file cannot be written ({error.strerror})",
            where=str(path),
            fix="Name a file in a folder that is there.",
        ) from None


def load(path: str | os.PathLike[str], *, into: Module | None = None) -> Module:
    """The model in a file, on the CPU in NumPy arrays; ``.to("cupy")`` moves it. What was frozen is so again.

    ``into``: a model to fill instead. Only its arrays are replaced; what is frozen in it stays so.
    Errors: ``DataError`` for a damaged file, ``StateError`` if the arrays do not fit the model.

    >>> import tempfile, nnx
    >>> model = nnx.Sequential(nnx.Linear(4, 8), nnx.ReLU(), nnx.Linear(8, 2)).initialize(seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nnx.save(model, f"{folder}/model.safetensors")
    ...     loaded = nnx.load(f"{folder}/model.safetensors")
    >>> bool((loaded.layers[2].weight == model.layers[2].weight).all())
    True
    """
    arrays, metadata = read_arrays(path)
    if into is not None:
        check_model(into, "load(into=…)")
        return into.load(arrays)
    described = _json(metadata, "model", path)
    try:
        model = build(described, str(path))
        if not isinstance(model, Module):
            raise DataError(expected="the description of a model", got=repr(model)[:60], where=str(path), fix=_DAMAGED)
        _check_arrays(model, arrays, str(path))
        if "frozen" in metadata:  # files without it were written by earlier versions, or have nothing frozen
            freeze_parts(model, _json(metadata, "frozen", path), str(path))
        return model.load(arrays)
    except RecursionError:
        raise DataError(
            expected="a model", got="one that is nested too deeply", where=str(path), fix=_DAMAGED
        ) from None


def _check_arrays(model: Module, arrays: Mapping[str, Any], where: str) -> None:
    """``StateError`` unless the arrays are those that the model declares: seen before it takes memory for any."""
    declared = {path: tuple(declaration.shape) for path, (declaration, _) in model._slots().items()}
    found = {path: tuple(array.shape) for path, array in arrays.items()}
    wrong = sorted(path for path in declared.keys() | found.keys() if declared.get(path) != found.get(path))
    if wrong:
        path = wrong[0]
        raise StateError(
            expected=f"{path} of shape {declared[path]}" if path in declared else f"no array {path}",
            got=f"shape {found[path]}" if path in found else "none",
            where=where,
            fix=_DAMAGED,
        )


def frozen_parts(model: Module) -> dict[str, list[str]]:
    """The parameters that are frozen, by name, of each module that has some, by path.

    >>> import nnx
    >>> frozen_parts(nnx.Sequential(nnx.Linear(2, 3).freeze("bias"), nnx.ReLU()))
    {'layers.0': ['bias']}
    """
    found = {path: sorted(set(module._frozen) & set(_trained(module))) for path, module in model.modules()}
    return {path: names for path, names in found.items() if names}


def freeze_parts(model: Module, described: Any, where: str) -> None:
    """Freeze what :func:`frozen_parts` has named. ``DataError`` for what is no list of parameters that the model has."""
    modules = dict(model.modules())
    for path, names in described.items() if isinstance(described, dict) else [("", None)]:
        known = _trained(modules[path]) if path in modules else []
        if not isinstance(names, list) or not names or any(name not in known for name in names):
            raise DataError(
                expected="frozen parameters that the model has",
                got=f"{path or 'model'}: {names!r}"[:80],
                where=where,
                fix=_DAMAGED,
            )
        modules[path].freeze(*names)


def _trained(module: Module) -> list[str]:
    return [name for name, declaration in module._declared.items() if declaration.trained]


def read_notes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The notes that were saved with a model."""
    notes = _json(read_arrays(path)[1], "notes", path)
    return notes if isinstance(notes, dict) else {}


def _json(metadata: dict[str, str], name: str, path: Any) -> Any:
    try:
        return json.loads(metadata[name])
    except (KeyError, ValueError, RecursionError):
        raise DataError(
            expected="a model file of nnx",
            got=f"a safetensors file without its {name}",
            where=str(path),
            fix="Build the model yourself and use nnx.load(path, into=model).",
        ) from None


# descriptions ---------------------------------------------------------------------------------------------------------
def describe(value: Any, known: dict[int, int] | None = None) -> Any:
    """A module and the arguments it was made with, as JSON. A module that stands in two places is described once.

    >>> import nnx
    >>> describe(nnx.Dropout(0.2))
    {'layer': 'Dropout', 'args': [0.2], 'kwargs': {}}
    """
    known = {} if known is None else known
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, (list, tuple)):
        return [describe(item, known) for item in value]
    if isinstance(value, Module):
        if id(value) in known:
            return {"shared": known[id(value)]}
        args, kwargs = value._arguments
        if _LAYERS.get(type(value).__name__) is not type(value):
            return {"layer": type(value).__name__, "args": None, "kwargs": None}
        made = {"layer": type(value).__name__, "args": describe(args, known)}
        made["kwargs"] = {name: describe(argument, known) for name, argument in kwargs.items()}
        known[id(value)] = len(known)
        return made
    if isinstance(value, init.Initializer) and type(value).__name__ in init.REGISTRY:
        return {"init": type(value).__name__, **vars(value)}
    return {"unknown": type(value).__name__}


def build(described: Any, where: str = "model", known: list[Any] | None = None) -> Any:
    """The inverse of :func:`describe`, from a closed list of names."""
    known = [] if known is None else known
    if described is None or isinstance(described, (bool, int, float, str)):
        return described
    if isinstance(described, list):
        return tuple(build(item, where, known) for item in described)  # as sizes are written
    name = described.get("layer", described.get("init")) if isinstance(described, dict) else None
    if isinstance(name, str) and name in init.REGISTRY and "init" in described:
        fields = {field: value for field, value in described.items() if field != "init"}
        return _make(init.REGISTRY[name], [], fields, where)
    if isinstance(name, str) and name in _LAYERS and isinstance(described.get("args"), list):
        args = build(described["args"], where, known)
        kwargs = described.get("kwargs")
        if not isinstance(kwargs, dict):
            raise DataError(expected=f"named arguments of {name}", got=repr(kwargs)[:60], where=where, fix=_DAMAGED)
        made = _make(_LAYERS[name], args, {key: build(value, where, known) for key, value in kwargs.items()}, where)
        known.append(made)
        return made
    if isinstance(described, dict) and isinstance(described.get("shared"), int):
        if not 0 <= described["shared"] < len(known):
            raise DataError(expected="a layer that stands earlier", got=repr(described)[:60], where=where, fix=_DAMAGED)
        return known[described["shared"]]
    raise StateError(
        expected="a model made of nnx's own layers",
        got=str(name or described)[:60],
        where=where,
        fix="Build the model yourself and use nnx.load(path, into=model).",
    )


def _make(kind: Any, args: Any, kwargs: dict[str, Any], where: str) -> Any:
    try:
        return kind(*args, **kwargs)
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, NnxError) as error:
        raise DataError(
            expected=f"arguments of {kind.__name__}", got=str(error)[:200], where=where, fix=_DAMAGED
        ) from None
