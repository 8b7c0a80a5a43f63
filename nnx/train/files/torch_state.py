"""States of PyTorch models, in models of nnx that are named alike; without PyTorch, where they come in a file or as arrays.

A layer's rule (torch_keys.py) says under which keys PyTorch keeps its arrays. The path of a layer is the same in both,
but for ``layers.`` of :class:`nnx.Sequential`, which PyTorch leaves away: ``layers.0.weight`` is ``0.weight``.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnx import backends, layers
from nnx.errors import ConfigError, DataError, StateError
from nnx.layers import Module
from nnx.train.files.torch_keys import PARTS, RULES, Host, Keys
from nnx.train.files.weights import read_arrays

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".tar")


def load_torch(
    state: "Mapping[str, Any] | str | os.PathLike[str]",
    *,
    into: Module,
    names: Mapping[str, str] | None = None,
    prefix: str = "",
    ignore: Iterable[str] = (),
) -> Module:
    """Fill a model with the state of a PyTorch model that is named alike, and return it.

    ``state`` is ``model.state_dict()``, a mapping from its keys to arrays of any library, or the path of a
    ``.safetensors`` file. ``names`` maps paths of modules here to paths there, where they differ; ``prefix`` stands
    before all keys, e.g. "module."; keys that begin with one of ``ignore`` are passed over. What PyTorch has nothing
    for (:class:`nnx.Standardize` and the like) keeps its values. Numbers of 16 bits become float32. The table of keys
    is in docs/neighbours.md.

    A state holds no settings: ``eps``, strides or the activation must be the same by themselves.

    Errors: ``StateError`` naming every key that is missing or left over, ``ShapeError`` for arrays that do not fit; the
    model is then as it was. ``DataError`` for a pickle (.pt), which could run code: it says how to convert it.

    >>> import numpy as np, nnx
    >>> model = load_torch({"0.weight": np.ones((1, 3)), "0.bias": np.zeros(1)}, into=nnx.Sequential(nnx.Linear(3, 1)))
    >>> model(np.ones((1, 3)))
    array([[3.]])
    """
    if not isinstance(into, Module):
        raise ConfigError(
            expected="a model to fill", got=type(into).__name__, where="load_torch", fix="Pass into=model."
        )
    arrays = {key.removeprefix(prefix): array for key, array in _arrays(state).items() if key.startswith(prefix)}
    passed = tuple(ignore)
    taken = {key for key in arrays if passed and key.startswith(passed)}
    found: dict[str, Host] = {}
    for path, module, there in _walk(into, "", "", arrays, dict(names or {}), set()):
        here = f"{path}." if path else ""
        if module._declared and all(f"{here}{name}" in found for name in module._declared):
            continue  # a rule above has had them
        at = f"{path} ({type(module).__name__})" if path else type(module).__name__
        rule = RULES.get(type(module), _by_name)
        found |= {f"{here}{name}": array for name, array in rule(module, Keys(arrays, taken, there), at).items()}
    if left := sorted(set(arrays) - taken):
        raise StateError(
            expected=f"keys that {type(into).__name__} has a place for",
            got=f"also {', '.join(left)}",
            where="load_torch",
            fix="Build the model like the other, or pass ignore=[…] for what is not needed.",
        )
    return into.load(_complete(into, found))


def _walk(
    module: Module, path: str, there: str, arrays: Mapping[str, Host], names: dict[str, str], seen: set[int]
) -> Iterator[tuple[str, Module, str]]:
    """Every module once, with its path here and there."""
    if id(module) in seen:
        return
    seen.add(id(module))
    there = names.get(path, there)
    yield path, module, there
    above = f"{there}." if there else ""
    if isinstance(module, layers.TransformerBlock) and any(key.startswith(f"{above}self_attn.") for key in arrays):
        names = {f"{path}.{ours}" if path else ours: f"{above}{theirs}" for ours, theirs in PARTS.items()} | names
    for name, child in module._children():
        own = name.removeprefix("layers.") if isinstance(module, layers.Sequential) else name
        yield from _walk(child, f"{path}.{name}" if path else name, f"{above}{own}", arrays, names, seen)


def _by_name(layer: Module, keys: Keys, at: str) -> dict[str, Host]:
    """Arrays of any other module, as they are; those of a preparation may be missing."""
    found = {}
    for name, declaration in layer._declared.items():
        if name in keys or declaration.trained:
            found[name] = keys.take(name, len(declaration.shape), at)
    return found


def _arrays(state: Any) -> dict[str, Host]:
    """The state as host arrays."""
    if isinstance(state, (str, os.PathLike)):
        path = Path(state)
        if path.suffix.lower() in PICKLES:
            raise DataError(
                expected="a .safetensors file",
                got=f"a pickle ({path.suffix}), which could run code when it is opened",
                where=str(path),
                fix="Where PyTorch is: safetensors.torch.save_file(model.state_dict(), 'model.safetensors').",
            )
        return {key: _host(array) for key, array in read_arrays(path)[0].items()}
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise ConfigError(
            expected="a state (a mapping from names to arrays) or the path of a .safetensors file",
            got=type(state).__name__,
            where="load_torch",
            fix="Pass model.state_dict().",
        )
    return {key: _host(array) for key, array in state.items()}


def _host(array: Any) -> Host:
    if isinstance(array, (bool, int, float)):
        return np.asarray(array)
    backend = backends.of(array)
    if backends.dtype_name(array.dtype) in ("float16", "bfloat16"):
        array = backend.xp.astype(array, backend.xp.float32)
    return backend.to_numpy(array)


def _complete(model: Module, found: dict[str, Host]) -> dict[str, Any]:
    """All arrays of the model: those found, and its own where there are none; the floating ones of one dtype."""
    for path, (_, holders) in model._slots().items():
        same = [found[name] for name in _names(model, holders) if name in found]
        if not all(np.array_equal(same[0], other) for other in same):
            raise StateError(
                expected=f"one array for {' and '.join(_names(model, holders))}, which are tied here",
                got="several that differ",
                where="load_torch",
                fix="Build the model without the tie.",
            )
        if same:
            found[path] = same[0]
    own = {path: backends.of(array).to_numpy(array) for path, array in model.state().items()}
    wide = any(array.dtype == np.float64 for array in found.values())
    state = {path: found.get(path, array) for path, array in own.items()}
    return {
        path: array.astype(np.float64 if wide else np.float32) if array.dtype.kind == "f" else np.array(array)
        for path, array in state.items()
    }


def _names(model: Module, holders: list[tuple[Module, str]]) -> list[str]:
    """The paths of all places that hold an array."""
    paths = {id(module): path for path, module in model.modules()}
    return [f"{paths[id(module)]}.{name}".removeprefix(".") for module, name in holders]
