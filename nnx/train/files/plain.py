"""Any state as JSON beside named arrays: what a checkpoint writes, and reads again without running any code.

A state is made of numbers, text, None, lists, tuples, dictionaries with text as keys, and arrays. Dictionaries stand as
``{"d": …}``, tuples as ``{"t": …}``, an array as the name under which it is kept: ``{"a": name}`` on the model's
device, ``{"h": name}`` on the host. Numbers that JSON lacks stand as ``{"f": "inf"}``. Finite floats keep every bit:
Python writes the shortest text that reads as the same number.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnx import backends
from nnx.errors import ConfigError, DataError


def flatten(state: Any, device: backends.Backend, arrays: dict[str, Any], name: str = "state") -> Any:
    """``state`` as JSON; its arrays are added to ``arrays``, on the host, under their paths.

    >>> arrays = {}
    >>> flatten({"best": math.inf, "w": np.zeros(2)}, backends.get("numpy"), arrays)
    {'d': {'best': {'f': 'inf'}, 'w': {'a': 'state.w'}}}
    >>> arrays
    {'state.w': array([0., 0.])}

    Errors: ``ConfigError`` for anything else.
    """
    if state is None or isinstance(state, (bool, int, str)):
        return state
    if isinstance(state, float):
        return float(state) if math.isfinite(state) else {"f": repr(float(state))}
    if isinstance(state, Mapping) and all(isinstance(key, str) for key in state):
        return {"d": {key: flatten(value, device, arrays, f"{name}.{key}") for key, value in state.items()}}
    if isinstance(state, (list, tuple)):
        items = [flatten(value, device, arrays, f"{name}.{number}") for number, value in enumerate(state)]
        return {"t": items} if isinstance(state, tuple) else items
    if isinstance(state, np.generic):
        state = np.asarray(state)
    if not hasattr(state, "dtype") or not hasattr(state, "shape"):
        raise ConfigError(
            f"{name} cannot be kept in a checkpoint",
            expected="numbers, text, arrays, and lists and dictionaries of them",
            got=type(state).__name__,
            fix="Keep plain values there.",
        )
    owner = backends.of(state)
    arrays[name] = owner.to_numpy(state)
    return {"a" if owner.name == device.name else "h": name}


def unflatten(plain: Any, device: backends.Backend, arrays: Mapping[str, Any]) -> Any:
    """The inverse, with the arrays of the device on another one perhaps. ``DataError`` for what :func:`flatten` never writes.

    >>> unflatten({"t": [1, {"f": "nan"}, "text"]}, backends.get("numpy"), {})
    (1, nan, 'text')
    """
    if isinstance(plain, list):
        return [unflatten(item, device, arrays) for item in plain]
    if isinstance(plain, int) and abs(plain) >= 2**63:
        raise DataError(expected="numbers below 2^63", got="a larger one")
    if not isinstance(plain, dict):
        return plain
    match plain:
        case {"d": dict(table)} if len(plain) == 1:
            return {key: unflatten(value, device, arrays) for key, value in table.items()}
        case {"t": list(items)} if len(plain) == 1:
            return tuple(unflatten(item, device, arrays) for item in items)
        case {"f": ("inf" | "-inf" | "nan") as word} if len(plain) == 1:
            return float(word)
        case {"h": str(name)} if name in arrays and len(plain) == 1:
            return arrays[name]
        case {"a": str(name)} if name in arrays and len(plain) == 1:
            return placed(arrays[name], device)
    raise DataError(expected="a state as a checkpoint keeps it", got=repr(plain)[:60])


def check_like(found: Any, fresh: Any, name: str) -> None:
    """``DataError`` unless ``found`` has what ``fresh`` has, at the same places, and every array its shape; it may have more.

    >>> check_like({"step": 3, "m": {"w": np.zeros(2)}}, {"step": 0, "m": {"w": np.zeros(3)}}, "optimizer")
    Traceback (most recent call last):
    nnx.errors.DataError: optimizer.m.w: expected an array of shape (3,), got an array of shape (2,)
    """
    if isinstance(fresh, Mapping):
        if not isinstance(found, Mapping) or not fresh.keys() <= found.keys():
            raise DataError(expected=f"{', '.join(fresh)}", got=repr(found)[:60], where=name)
        for key, value in fresh.items():
            check_like(found[key], value, f"{name}.{key}")
    elif isinstance(fresh, (list, tuple)):
        if type(found) is not type(fresh) or len(found) != len(fresh):
            raise DataError(expected=f"{len(fresh)} parts", got=repr(found)[:60], where=name)
        for number, (one, other) in enumerate(zip(found, fresh)):
            check_like(one, other, f"{name}.{number}")
    elif type(fresh) is int:
        check_count(found, name)
    elif _kind(found) != _kind(fresh):
        raise DataError(expected=_kind(fresh), got=_kind(found), where=name)


def check_count(found: Any, name: str) -> None:
    """``DataError`` unless it is a whole number that something was counted with."""
    if type(found) is not int or found < 0:
        raise DataError(expected="a whole number ≥ 0", got=repr(found)[:60], where=name)


def check_numbers(found: Any, count: int, name: str) -> None:
    """``DataError`` unless it is a list of so many numbers, each plain or an array without axes."""
    if not isinstance(found, list) or [_kind(one) for one in found if _kind(one) not in _ONE] or len(found) != count:
        raise DataError(expected=f"a list of {count} numbers", got=repr(found)[:60], where=name)


_ONE = ("a number", "an array of shape ()")


def _kind(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"an array of shape {tuple(value.shape)}"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return "a number" if number else type(value).__name__


def placed(array: Any, device: backends.Backend) -> Any:
    """A host array on the device, as float32 where that has no float64."""
    return device.asarray(array, dtype="float32" if device.refuses(str(array.dtype)) else None)
