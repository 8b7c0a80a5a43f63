"""Checks of a state before a model takes it: nothing is changed until everything fits."""

import difflib
from collections.abc import Mapping
from typing import Any

from nnx import backends
from nnx.autodiff import Tensor
from nnx.autodiff.transforms import outlived
from nnx.errors import DtypeError, StateError, TracingError
from nnx.layers.parameter import Parameter
from nnx.typing import Array


def check_paths(state: dict[str, Array], declared: dict[str, Parameter], model: Any) -> None:
    """``StateError`` unless the paths are those of all arrays, of the trainable parameters, or of the buffers."""
    if not isinstance(state, Mapping):
        raise StateError(
            expected="a dictionary from path to array",
            got=f"a {type(state).__name__}",
            where=type(model).__name__,
            fix="Pass what model.state() gave.",
        )
    given = set(state)
    if given == set(declared) or given == set(model.parameters()) or given == set(model.buffers()):
        return
    buffers_too = any(path in declared and not declared[path].trained for path in given)
    wanted = set(declared) if buffers_too else set(model.parameters())
    parts = []
    if missing := sorted(wanted - given):
        parts.append(f"missing: {', '.join(missing)}")
    for path in sorted(given - set(declared)):
        near = difflib.get_close_matches(path, declared, n=1)
        parts.append(f"unknown: {path}" + (f" (did you mean {near[0]}?)" if near else ""))
    if frozen := sorted((given & set(declared)) - wanted):
        parts.append(f"frozen: {', '.join(frozen)}")
    raise StateError(
        expected=f"the {len(wanted)} paths of {type(model).__name__}",
        got="; ".join(parts),
        where=type(model).__name__,
        fix="Load a state of the same model: model.state() lists its paths.",
    )


def placed(value: Any, path: str, slot: tuple[Parameter, list[tuple[Any, str]]], any_dtype: bool) -> Array:
    """The value where the model's own array is, checked for its shape and, unless ``any_dtype``, its dtype."""
    declaration, holders = slot
    if not hasattr(value, "shape"):
        raise DtypeError(
            expected="an array",
            got=f"a {type(value).__name__}",
            where=path,
            fix='Make one of it: nnx.backends.get("numpy").asarray(x).',
        )
    if outlived(value):
        raise TracingError(
            expected="arrays",
            got="a traced one, of a derivative that has been taken",
            where=path,
            fix="Load what the optimizer gave, or return the array from the function with has_aux=True.",
        )
    module, name = holders[0]
    current = module.__dict__.get(name)
    if current is not None and type(value) is not Tensor:
        backend = backends.of(current)
        if not (backend.owns(value) and backend.resides(value)):
            value = backend.asarray(value)
        if value.dtype != current.dtype and not any_dtype:
            raise DtypeError(
                expected=f"dtype {current.dtype}, as the model",
                got=f"{value.dtype}",
                where=path,
                fix="Cast the arrays, or the model with model.to(backend, dtype=...).",
            )
    return declaration.checked(value, path)
