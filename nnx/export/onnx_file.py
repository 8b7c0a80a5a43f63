"""A model computed once on arrays of ONNX, and the file that this gives, compared with the model under onnxruntime."""

import json
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnx import backends, ops, random, tree
from nnx.data import Dataset, Schema
from nnx.errors import BackendUnavailable, ConfigError, NnxError, ShapeError, StateError
from nnx.layers import Module, Sequential, Softmax
from nnx.layers.preparation import Preparation
from nnx.layers.training import inference
from nnx.train.evaluation import dtype_of, looks_up
from nnx.train.files.saving import load, read_notes
from nnx.train.files.weights import write_whole
from nnx.train.run import MODEL, Run

INPUT = "input"
TOLERANCE = 1e-4
"""Of the largest output: beyond it a file is taken for wrong and not written."""

LIMIT = 2**31 - 2**20
"""Bytes: a file of this format cannot hold more."""


@dataclass(frozen=True)
class Exported:
    """An ONNX file that was written. Shapes are those of ``inputs`` and ``outputs`` by name; "N" is any number of rows."""

    path: Path
    inputs: dict[str, tuple[str, tuple[int | str, ...]]]
    outputs: tuple[str, ...]
    size: int
    difference: float | None
    """The largest difference from nnx under onnxruntime, relative to the largest output; ``None`` where that is not installed."""


def write(
    model: Any,
    path: str | os.PathLike[str],
    data: Dataset | Schema | None,
    input_shape: tuple[int, ...] | None,
    input_dtype: str | None,
    check: bool,
    force: bool,
) -> Exported:
    """``nnx.export``."""
    model, schema, names = _known(model, data)
    if not isinstance(model, Module):
        raise ConfigError(
            expected="a model, a run or a path", got=type(model).__name__, where="export", fix="Pass what nnx.fit gave."
        )
    shape = _input_shape(input_shape, schema)
    dtype = _input_dtype(model) if input_dtype is None else backends.get("numpy").dtype(input_dtype).__name__
    inputs: dict[str, tuple[str, tuple[int | str, ...]]] = {INPUT: (dtype, ("N", *shape))}
    target = Path(path)
    _writable(target)
    _fitted(model)
    weights = {name: backends.of(array).to_numpy(array) for name, array in model.state().items()}
    if sum(array.nbytes for array in weights.values()) > LIMIT:
        raise StateError(
            expected="a model of at most 2 GiB, which is all that an ONNX file can hold",
            got=f"{sum(array.nbytes for array in weights.values()):,} bytes of arrays",
            where=type(model).__name__,
            fix="Save it with nnx.save.",
        )
    task = schema.task if schema is not None else None
    written: list[str] = []

    def compute(given: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
        twin = model.map_arrays(lambda name, own: arrays[name])
        outputs = _outputs(model, twin(given[INPUT]), task)
        for name, value in outputs.items():
            if type(value) is not type(given[INPUT]):
                raise StateError(
                    expected="outputs that are computed from the input",
                    got=f"{name}, a {type(value).__name__}",
                    where=type(model).__name__,
                    fix="Compute with the namespace of the input: xp = nnx.namespace(x).",
                )
        written.extend(outputs)
        return outputs

    content = _graph(model, compute, inputs, weights, _about(schema, names))
    difference = _difference(content, model, task, shape, dtype) if check else None
    _write(target, content, force)
    return Exported(target, inputs, tuple(written), len(content), difference)


# what is exported -----------------------------------------------------------------------------------------------------
def _known(model: Any, data: Dataset | Schema | None) -> tuple[Any, Schema | None, tuple[str, ...] | None]:
    """The model, and what is known of its data: the schema and the names of the features."""
    notes: dict[str, Any] = {}
    if isinstance(model, (str, os.PathLike)):
        file = Path(model) / MODEL if Path(model).is_dir() else Path(model)
        model, notes = load(file), read_notes(file)
    elif isinstance(model, Run):
        if model.directory is not None and (Path(model.directory) / MODEL).exists():
            notes = read_notes(Path(model.directory) / MODEL)
        model = model.model
    if isinstance(data, Dataset):
        return model, data.schema, data.feature_names or _features(data.schema)
    schema = data
    if schema is None and isinstance(notes.get("schema"), dict):
        schema = Schema.from_dict(notes["schema"])
    return model, schema, None if schema is None else _features(schema)


def _features(schema: Schema) -> tuple[str, ...] | None:
    if schema.encoding is None:
        return None
    return tuple(name for column in schema.encoding.columns for name in column.features)


def _input_shape(given: Any, schema: Schema | None) -> tuple[int, ...]:
    if given is None and schema is not None:
        return tuple(schema.shape)
    if given is None:
        raise ConfigError(
            "the shape of the inputs is not known",
            where="export",
            fix="Pass data=train, or input_shape=(1, …), with the batch first.",
        )
    sizes = tuple(given) if isinstance(given, (tuple, list)) else ()
    if len(sizes) < 1 or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in sizes[1:]):
        raise ConfigError(
            expected="input_shape (N, …) of whole numbers, the batch first",
            got=repr(given),
            where="export",
            fix="For 64 features: input_shape=(1, 64).",
        )
    return sizes[1:]


def _input_dtype(model: Module) -> str:
    """Whole numbers for a model that begins by looking them up; else the dtype of its arrays."""
    return "int64" if looks_up(model) else dtype_of(model) or "float32"


def _fitted(model: Module) -> None:
    """The error of a layer that has not been fitted; a graph has no values to see it by."""
    for _, layer in model.modules():
        if isinstance(layer, Preparation) and not layer.is_fitted:
            raise StateError(
                expected="a fitted layer",
                got=f"{type(layer).__name__} before fit",
                where=layer._place(),
                fix="Call .fit(train.x) on it, or train with nnx.fit, which does.",
            )


def _outputs(model: Module, out: Any, task: str | None) -> dict[str, Any]:
    """The outputs by name."""
    if task == "classification" and not isinstance(out, (tuple, list, dict)):
        last = model
        while isinstance(last, Sequential) and len(last):
            last = last.layers[-1]
        if isinstance(last, Softmax):
            return {"probabilities": out}
        return {"logits": out, "probabilities": ops.softmax(out)}
    return dict(tree.paths(out, "prediction" if task == "regression" else "output"))


def _about(schema: Schema | None, names: tuple[str, ...] | None) -> dict[str, str]:
    about = {"nnx": "1"}
    if schema is not None:
        known = {
            "task": schema.task, "classes": schema.classes, "feature_names": names, "target": schema.target_name
        }  # fmt: skip
        about |= {name: json.dumps(value, ensure_ascii=False) for name, value in known.items() if value is not None}
    return about


# the graph ------------------------------------------------------------------------------------------------------------
def _graph(model: Module, compute: Any, inputs: Any, weights: Any, about: dict[str, str]) -> bytes:
    try:
        from nnx.backends.ndonnx import graph
    except ImportError as error:
        raise BackendUnavailable(
            f"{error.name or 'ndonnx'} is not installed",
            where="export",
            fix='Run: python -m pip install "nnx-array[onnx]"',
        ) from error
    try:
        with inference():
            return graph(compute, inputs, weights, about)
    except NnxError:
        raise
    except Exception as error:
        raise StateError(
            expected="layers that ONNX can express: functions of the standard, that look at no value and take any number of rows",
            got=f"{type(error).__name__}: {error}".splitlines()[0],
            where=_layer(error) or type(model).__name__,
            fix="Write −1 for the rows in reshape, and xp.where in place of if.",
        ) from error


def _layer(error: BaseException) -> str:
    """The innermost layer that was computing when the error was raised."""
    place = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        layer = frame.f_locals.get("self")
        if frame.f_code is Module.__call__.__code__ and isinstance(layer, Module):
            place = layer._place()
    return place


# the check ------------------------------------------------------------------------------------------------------------
def _difference(content: bytes, model: Module, task: str | None, shape: tuple[int, ...], dtype: str) -> float | None:
    """How far the file is from the model on a few rows, under onnxruntime; ``StateError`` if too far."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    x = np.zeros((3, *shape), dtype=dtype)
    if x.dtype.kind == "f":
        x[...] = random.normal(random.key(0, "export"), x.shape)
    there = backends.of(next(iter(model.state().values()), x))
    with inference(), there.use():
        expected = _outputs(model, model(there.asarray(x)), task)
    worst = 0.0
    for (name, ours), theirs in zip(expected.items(), session.run(None, {INPUT: x}), strict=True):
        host = there.to_numpy(ours)
        if host.shape != theirs.shape:
            raise ShapeError(expected=f"{name} of shape {host.shape}", got=f"{theirs.shape}", where="onnxruntime")
        scale = float(np.abs(host).max(initial=0.0)) or 1.0
        worst = max(worst, float(np.abs(host - theirs).max(initial=0.0)) / scale)
    if not worst <= TOLERANCE:
        raise StateError(
            expected=f"onnxruntime to give the model's outputs within {TOLERANCE:g} of the largest",
            got=f"a difference of {worst:.2g}",
            where=type(model).__name__,
            fix="Pass check=False to write the file all the same.",
        )
    return worst


# the file -------------------------------------------------------------------------------------------------------------
def _writable(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(
            expected="the name of a file in a directory that exists",
            got=f"the directory {path}" if path.is_dir() else f"{path}",
            where="export",
            fix=f"Write {path / 'model.onnx'}." if path.is_dir() else f"Make the directory {path.parent} first.",
        )


def _write(path: Path, content: bytes, force: bool) -> None:
    try:
        if path.exists() and not force:
            if path.read_bytes() == content:
                return
            raise ConfigError(
                expected="a new file",
                got=f"{path}, which exists and is another",
                where="export",
                fix="Take another name, or overwrite it: force=True, --force.",
            )
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(
            f"the file cannot be written ({error.strerror or error})",
            where=str(path),
            fix="Check its place and permissions.",
        ) from None
