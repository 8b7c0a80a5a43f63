"""The table of a model's layers."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx import backends, tree
from nnx.autodiff.transforms import is_array
from nnx.errors import ConfigError
from nnx.layers.observing import observing
from nnx.layers.training import inference


@dataclass(frozen=True)
class Row:
    """One layer: where, what, what comes out, how many parameters (those of its own), how many bytes (all arrays)."""

    path: str
    layer: str
    output_shape: tuple[Any, ...]
    parameters: int
    frozen: int
    bytes: int


@dataclass(frozen=True)
class Summary:
    """Rows in the order in which the layers were called, and totals that count tied arrays once."""

    rows: tuple[Row, ...]
    parameters: int
    frozen: int
    buffers: int
    bytes: int

    def __str__(self) -> str:
        head = ("layer", "", "output shape", "parameters", "bytes")
        body = [
            (row.path or "·", row.layer, str(row.output_shape), f"{row.parameters + row.frozen:,}", f"{row.bytes:,}")
            for row in self.rows
        ]
        widths = [max(len(line[i]) for line in (head, *body)) for i in range(5)]
        lines = [
            "  ".join(cell.rjust(w) if i > 2 else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths)))
            for line in (head, *body)
        ]
        rule = "─" * len(lines[0])
        frozen = f", {self.frozen:,} frozen" if self.frozen else ""
        total = f"{self.parameters:,} trainable parameters{frozen}, {self.buffers:,} in buffers, {self.bytes:,} bytes"
        return "\n".join([lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule, total])


def summarize(model: Any, input_shape: tuple[int, ...], dtype: Any = None) -> Summary:
    """Run the model on zeros of this shape, with the batch axis, and note what each layer gives."""
    if not isinstance(input_shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in input_shape):
        raise ConfigError(
            expected="the shape of an input, with the batch axis",
            got=repr(input_shape)[:60],
            where="summary",
            fix="Write for example model.summary((1, 64)).",
        )
    state = model.state()
    backend = backends.of(next(iter(state.values()))) if state else backends.get("numpy")
    floats = [str(value.dtype).rpartition(".")[2] for value in state.values()]
    x = backend.asarray(
        np.zeros(input_shape, dtype=dtype or next((d for d in floats if d.startswith("float")), "float32"))
    )
    owned = _owned(model)
    rows: list[Row] = []

    def note(module: Any, args: Any, out: Any) -> None:
        if any(True for _ in module._children()) and not owned[id(module)]:
            return
        trained, frozen, size = _sizes(owned[id(module)])
        rows.append(Row(module._path, type(module).__name__, _shape(out), trained, frozen, size))

    with inference(), observing(note):
        twin = model.map_arrays(lambda path, array: array)
        owned = {id(module): owned[id(module._origin)] for _, module in twin.modules()}
        for _, module in twin.modules():
            module.__dict__["_trusted"] = True
        twin(x)
    trained, frozen, size = _sizes([slot for slots in _owned(model).values() for slot in slots])
    buffers = sum(math.prod(value.shape) for value in model.buffers().values())
    return Summary(tuple(rows), trained, frozen, buffers, size)


def _shape(out: Any) -> tuple[Any, ...]:
    """The shape of an array; of a nest of them, the shapes of all."""
    return tuple(out.shape) if is_array(out) else tuple(tuple(one.shape) for one in tree.leaves(out))


def _owned(model: Any) -> dict[int, list[tuple[Any, bool, Any]]]:
    """For each module its own arrays as (declaration, frozen, value); a tied array belongs to its first holder."""
    owned: dict[int, list[tuple[Any, bool, Any]]] = {id(module): [] for _, module in model.modules()}
    for declaration, holders in model._slots().values():
        module, name = holders[0]
        owned[id(module)].append((declaration, name in module._frozen, getattr(module, name)))
    return owned


def _sizes(slots: list[tuple[Any, bool, Any]]) -> tuple[int, int, int]:
    """Trainable parameters, frozen parameters, and bytes of all arrays."""
    trained = frozen = size = 0
    for declaration, is_frozen, value in slots:
        count = math.prod(value.shape)
        size += count * np.dtype(str(value.dtype).rpartition(".")[2]).itemsize
        if declaration.trained:
            trained, frozen = (trained, frozen + count) if is_frozen else (trained + count, frozen)
    return trained, frozen, size
