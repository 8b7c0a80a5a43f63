"""Neighbours: ONNX files under onnxruntime, safetensors, DLPack and PyTorch's states, there and back."""

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cases.layers import LAYERS

import nnx
from benchmarks.trust.row import Row
from nnx import backends

NOTE = """
- **ONNX**: each layer that inference uses, drawn anew, exported by `nnx.export` (opset 21, any number of rows) and computed by onnxruntime on the CPU
  for many rows, one and none; networks as `nnx train` builds them, their preparation fitted; layers that look at values, count rows or leave the standard must be refused by
  name. The difference is the largest of an output over the largest value of that output. GPU runtimes were not tried.
- **safetensors**: the official package reads what `nnx.save` wrote, bit for bit, and `nnx.load(path, into=model)` what its `save_file` wrote.
- **DLPack**: arrays of one library given to another backend's `asarray`, of every dtype and layout that the two share: equal bits, and the same memory where
  docs/neighbours.md promises it. Between libraries on one GPU it was not tried here.
- **PyTorch's states**: an MLP, a CNN and a chain of embedding, transformer block, attention, GRU, LSTM and convolutions, every array drawn, `state_dict()` loaded by
  `nnx.load_torch` from tensors and from files; the outputs may differ by 1e-5 (float32) or 1e-10 (float64) of the largest.
"""

Try = tuple[str, float]
"""What went wrong, and how far two results were apart."""


def rows(seconds: float | None, place: Path) -> list[Row]:
    """All seeds; or, with a time, one, and each line only so long."""
    seeds = range(4) if seconds is None else range(1)
    here = set(backends.available())
    found = []
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        print("interop: onnxruntime is not installed", file=sys.stderr)
    else:
        alike = "under onnxruntime, within 1e-5 of the largest output"
        found += [
            counted(seconds, "layers exported, float32", alike, layers(seeds, "float32", place)),
            counted(seconds, "layers exported, float64", alike, layers(seeds[:1], "float64", place)),
            counted(seconds, "networks with their preparation exported", alike, networks(seeds, place)),
            counted(seconds, "layers that ONNX cannot express", "refused by name and path", refused(place)),
        ]
    found.append(
        counted(seconds, "model files and the official safetensors, both ways", "the same bits", files(seeds, place))
    )
    pairs = [(a, b) for a in ("numpy", "torch", "jax", "strict") for b in ("numpy", "torch", "jax", "strict")]
    pairs = [(a, b) for a, b in pairs if a != b and {a, b} <= here]
    found.append(
        counted(seconds, "arrays handed over by DLPack", "the same bits, and memory where promised", exchanges(pairs))
    )
    if "torch" in here:
        from support.torch_models import LIMITS

        for dtype, limit in LIMITS.items():
            promise = f"outputs within {limit:g} of the largest"
            found.append(
                counted(seconds, f"states of PyTorch's models, {dtype}", promise, states(seeds, dtype, limit, place))
            )
    return found


def counted(seconds: float | None, what: str, promise: str, tries: Iterator[Try]) -> Row:
    """A line of so many tries, with the worst difference; what went wrong is printed."""
    started, tried, kept, worst = time.perf_counter(), 0, 0, 0.0
    for wrong, apart in tries:
        tried, kept, worst = tried + 1, kept + (not wrong), max(worst, apart)
        if wrong:
            print(f"{what}: {wrong}", file=sys.stderr)
        if seconds is not None and time.perf_counter() - started > seconds / 8:
            break
    return Row(f"{what}, worst {worst:.1e}" if worst else what, promise, tried, kept, time.perf_counter() - started)


# ONNX -----------------------------------------------------------------------------------------------------------------
def layers(seeds: Any, dtype: str, place: Path) -> Iterator[Try]:
    """Every row of the table of layers."""
    for seed in seeds:
        for name, row in LAYERS.items():
            if row.training:
                continue
            model = row.make()
            if not getattr(model, "is_fitted", False):
                model.initialize(seed)
            x = row.inputs(seed).astype("int64" if row.count else dtype)
            yield from compared(f"{name}, seed {seed}", model.to("numpy", dtype=dtype), x, place)


def networks(seeds: Any, place: Path) -> Iterator[Try]:
    """What ``nnx train --model`` builds, fitted on the digits."""
    from nnx import models

    digits = nnx.data.load("digits")
    x = digits.x[:64].astype("float32")
    for seed in seeds:
        for text in ("mlp:32,16", "cnn:4,8", "transformer:16,2"):
            for activation in ("relu", "gelu"):
                model = models.build(text, x.shape[1:], 10, activation=activation, image_shape=digits.image_shape)
                model.initialize(seed)
                for _, layer in model.modules():
                    if isinstance(layer, nnx.Standardize):
                        layer.fit(digits.as_images().x if layer.features == 1 else digits.x)
                yield from compared(f"{text}, {activation}, seed {seed}", model, x, place)


def compared(name: str, model: Any, x: Any, place: Path) -> Iterator[Try]:
    """The model and its file on all rows, one and none."""
    import onnxruntime

    done = nnx.export(model, place / "m.onnx", input_shape=x.shape, input_dtype=x.dtype.name, check=False, force=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(str(done.path), options, providers=["CPUExecutionProvider"])
    for n in (len(x), 1, 0):
        (theirs,), ours = session.run(None, {"input": x[:n]}), np.asarray(model(x[:n]))
        apart = float(np.abs(theirs - ours).max(initial=0.0)) / (float(np.abs(ours).max(initial=0.0)) or 1.0)
        fits = theirs.shape == ours.shape and theirs.dtype == ours.dtype
        yield ("" if fits and apart <= 1e-5 else f"{name}, {n} rows: {theirs.shape} {theirs.dtype}, {apart:.2g}"), apart


class Wrong(nnx.Module):
    """A layer that no graph can express."""

    def __init__(self, what: Callable[[Any], Any]) -> None:
        self.what = what

    def forward(self, x: Any) -> Any:
        return self.what(x)


def refused(place: Path) -> Iterator[Try]:
    """Each way to leave what ONNX has, in the middle of a model."""
    ways: dict[str, Callable[[Any], Any]] = {
        "float": lambda x: x * float(nnx.namespace(x).sum(x)), "bool": lambda x: x if (x > 0).any() else -x,
        "index": lambda x: x[:, int(nnx.namespace(x).argmax(x)), None], "rows": lambda x: nnx.namespace(x).zeros(x.shape) + x,
        "fft": lambda x: nnx.namespace(x).fft.fft(x), "linalg": lambda x: nnx.namespace(x).linalg.inv(x),
        "numpy": lambda x: np.asarray(np.tanh(x), dtype="float32"), "loop": lambda x: next(iter(x)),
    }  # fmt: skip
    for name, what in ways.items():
        model = nnx.Sequential(nnx.Linear(3, 3), nnx.Residual(Wrong(what)), nnx.Linear(3, 2)).initialize(0)
        try:
            nnx.export(model, place / "wrong.onnx", input_shape=(1, 3), force=True)
            yield f"{name} was exported", 0.0
        except nnx.errors.StateError as error:
            named = error.where.startswith("layers.1.inner (Wrong)") and not (place / "wrong.onnx").exists()
            yield ("" if named else f"{name}: {error}"), 0.0


# safetensors ----------------------------------------------------------------------------------------------------------
def files(seeds: Any, place: Path) -> Iterator[Try]:
    """Ours read by the official package, and what it writes read by us."""
    from safetensors.numpy import load_file, save_file

    for seed in seeds:
        for name, row in LAYERS.items():
            model = row.make()
            if not getattr(model, "is_fitted", False):
                model.initialize(seed, dtype=("float32", "float64")[seed % 2])
            state = model.state()
            nnx.save(model, place / "ours.safetensors")
            read = load_file(place / "ours.safetensors")
            same = read.keys() == state.keys() and all(_bits(read[path]) == _bits(state[path]) for path in state)
            yield ("" if same else f"{name} by the official reader"), 0.0
            save_file(read, place / "theirs.safetensors")
            back = nnx.load(place / "theirs.safetensors", into=row.make()).state()
            same = all(_bits(back[path]) == _bits(state[path]) for path in state)
            yield ("" if same else f"{name} from the official writer"), 0.0


def _bits(array: Any) -> Any:
    host = np.ascontiguousarray(array)
    return host.dtype, array.shape, host.tobytes()


# DLPack ---------------------------------------------------------------------------------------------------------------
SHARED = {("torch", "numpy"), ("jax", "numpy"), ("strict", "numpy"), ("numpy", "torch"), ("strict", "torch")}
"""Which pairs are promised one memory: from, to."""


def exchanges(pairs: list[tuple[str, str]]) -> Iterator[Try]:
    """Every dtype and layout from one library to another, in memory of the first."""
    host = np.arange(48.0).reshape(2, 4, 6)
    layouts: dict[str, Callable[[Any], Any]] = {
        "whole": lambda x: x, "rows": lambda x: x[1:, ...], "steps": lambda x: x[:, ::2, :], "empty": lambda x: x[:0, ...],
    }  # fmt: skip
    for source, target in pairs:
        for dtype in ("float32", "float64", "int32", "int64", "uint8", "bool", "complex64"):
            if "jax" in (source, target) and backends.get("jax").refuses(dtype):
                continue
            for layout, view in layouts.items():
                x = view(backends.get(source).asarray(host.astype(dtype)))
                y = backends.get(target).asarray(x)
                same = _bits(backends.get(target).to_numpy(y))[:3] == _bits(view(host.astype(dtype)))
                if (source, target) in SHARED and layout != "empty":
                    same = same and _address(x) == _address(y)
                yield ("" if same else f"{source} to {target}, {dtype}, {layout}"), 0.0


def _address(x: Any) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        host = x if isinstance(x, np.ndarray) else np.from_dlpack(x)
    return int(host.__array_interface__["data"][0])


# PyTorch's states -----------------------------------------------------------------------------------------------------
def states(seeds: Any, dtype: str, limit: float, place: Path) -> Iterator[Try]:
    """Each pair of models, from tensors and from a file."""
    from safetensors.torch import save_file
    from support.torch_models import PAIRS, apart

    def through(state: Any) -> Path:
        save_file(state, place / "torch.safetensors")
        return place / "torch.safetensors"

    for seed in seeds:
        for name in PAIRS:
            for way in (lambda state: state, through):
                far = apart(name, dtype, seed, way)
                yield ("" if far <= limit else f"{name}, seed {seed}: {far:.2g}"), far
