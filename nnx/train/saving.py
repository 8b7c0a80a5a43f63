"""Model files: the arrays by path, and a description that builds the model again without running any code.

A description is plain JSON: for each layer its name in ``nnx.layers.LAYERS`` and the arguments it was made with. A file
can ask for nothing else, so opening one from a stranger runs none of theirs.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from nnx import backends, init
from nnx.errors import DataError, NnxError, StateError
from nnx.layers import LAYERS, Module
from nnx.train.weights import read_arrays, write_arrays

FORMAT = "1"
_LAYERS = {layer.__name__: layer for layer in LAYERS}


def save(model: Module, path: str | os.PathLike[str], *, notes: Mapping[str, Any] | None = None) -> None:
    """Write a model to one safetensors file, from whatever backend it is on.

    Models of your own classes are saved too; they are loaded by ``nnx.load(path, into=YourModel(...))``. ``notes`` is
    anything JSON can hold, e.g. class names; :func:`read_notes` gives it back.
    """
    arrays = {name: backends.of(array).to_numpy(array) for name, array in model.state().items()}
    metadata = {
        "format": f"nnx {FORMAT}",
        "model": json.dumps(describe(model)),
        "notes": json.dumps(dict(notes or {})),
    }
    write_arrays(path, arrays, metadata)


def load(path: str | os.PathLike[str], *, into: Module | None = None) -> Module:
    """The model in a file, on the CPU in NumPy arrays; ``.to("cupy")`` moves it. ``into``: a model to fill instead.

    Errors: ``DataError`` for a damaged file, ``StateError`` if the arrays do not fit the model.
    """
    arrays, metadata = read_arrays(path)
    if into is not None:
        return into.load(arrays)
    model = build(_json(metadata, "model", path), str(path))
    return model.load(arrays)


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
def describe(value: Any) -> Any:
    """A module and the arguments it was made with, as JSON.

    >>> import nnx
    >>> describe(nnx.Dropout(0.2))
    {'layer': 'Dropout', 'args': [0.2], 'kwargs': {}}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if isinstance(value, Module):
        args, kwargs = value._arguments
        known = _LAYERS.get(type(value).__name__) is type(value)
        if not known:
            return {"layer": type(value).__name__, "args": None, "kwargs": None}
        return {
            "layer": type(value).__name__,
            "args": describe(args),
            "kwargs": {k: describe(v) for k, v in kwargs.items()},
        }
    if isinstance(value, init.Initializer) and is_dataclass(value):
        return {"init": type(value).__name__, **asdict(value)}
    return {"unknown": type(value).__name__}


def build(described: Any, where: str = "model") -> Any:
    """The inverse of :func:`describe`, from a closed list of names."""
    if described is None or isinstance(described, (bool, int, float, str)):
        return described
    if isinstance(described, list):
        return [build(item, where) for item in described]
    if isinstance(described, dict) and described.get("init") in init.REGISTRY:
        fields = {name: value for name, value in described.items() if name != "init"}
        return _make(init.REGISTRY[described["init"]], [], fields, where)
    if isinstance(described, dict) and described.get("layer") in _LAYERS and described.get("args") is not None:
        kwargs = {name: build(value, where) for name, value in described["kwargs"].items()}
        return _make(_LAYERS[described["layer"]], build(described["args"], where), kwargs, where)
    name = described.get("layer", described.get("unknown")) if isinstance(described, dict) else described
    raise StateError(
        expected="a model made of nnx's own layers",
        got=f"{name}",
        where=where,
        fix="Build the model yourself and use nnx.load(path, into=model).",
    )


def _make(kind: Any, args: Any, kwargs: dict[str, Any], where: str) -> Any:
    try:
        return kind(*args, **kwargs)
    except (TypeError, NnxError) as error:
        raise DataError(expected=f"arguments of {kind.__name__}", got=str(error), where=where) from None
