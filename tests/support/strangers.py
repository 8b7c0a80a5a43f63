"""Whole files as they should be, from which wrong ones are made: arrays, archives, tables, models, checkpoints."""

import io
import json
import struct
import tempfile
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import nnx
from nnx.train.files import checkpoint
from nnx.train.files.weights import packed

X, Y = np.arange(24, dtype="float32").reshape(6, 4), np.asarray([0, 1, 2, 0, 1, 2])


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    return file.getvalue()


def npy_header(shape: tuple[int, ...], descr: str = "<f4", more: bytes = b"") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + more


def archive(how: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as out:
        for name, content in members.items():
            out.writestr(f"{name}.npy", content)
    return file.getvalue()


def idx(code: int, shape: tuple[int, ...], data: bytes) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + data


def table(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file of a header, as JSON or as text."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


@cache
def network() -> Any:
    return nnx.Sequential(
        nnx.Standardize(4).fit(X), nnx.Linear(4, 3), nnx.BatchNorm(3), nnx.ReLU(), nnx.Linear(3, 3)
    ).initialize(0)


@cache
def model_file() -> bytes:
    return packed(
        network().state(), {"format": "nnx 1", "model": model_text(), "notes": json.dumps({"schema": schema_of_rows()})}
    )


def model_text() -> str:
    return json.dumps(nnx.train.files.saving.describe(network()))


@cache
def model_texts() -> list[bytes]:
    texts = [model_text().encode()]
    layers: list[Any] = [
        nnx.Conv2d(1, 2, 3), nnx.TransformerBlock(4, 2), nnx.Linear(4, 3, init=nnx.init.orthogonal()), nnx.Embedding(5, 4),
        nnx.LSTM(4, 3) if hasattr(nnx, "LSTM") else nnx.Linear(4, 3), nnx.MinMaxScale(4), nnx.PCA(4, 2), nnx.LayerNorm(4),
    ]  # fmt: skip
    for layer in layers:
        texts.append(json.dumps(nnx.train.files.saving.describe(nnx.Sequential(layer))).encode())
    return texts


@cache
def schema_of_rows() -> dict[str, Any]:
    return nnx.data.load((X, Y)).schema.to_dict()


CSV = b"age,colour,height,bought\n31,red,1.75,yes\n45,blue,1.60,no\n22,red,1.8e0,yes\n19,blue,1.7,no\n"
SCHEMA = {
    "task": "classification", "shape": [4], "classes": ["1", "2"], "outputs": 2, "target_name": "y",
    "encoding": {
        "columns": [{"name": "a", "categories": None}, {"name": "c", "categories": ["blue", "red"]}, {"name": "b", "categories": None}],
        "header": True, "target_index": 3,
    },
}  # fmt: skip
TOML = b"""# settings
source = "digits"
model = "mlp:128,64"
drop = ["id", "name"]
epochs = 30
lr = 3e-3
batch-norm = true
early_stopping = 5
[space]
lr = { low = 1e-4, high = 1e-1 }
"""


@cache
def whole_checkpoint() -> checkpoint.Checkpoint:
    """One from the middle of a training."""
    with tempfile.TemporaryDirectory() as folder:
        with suppress(Enough):
            data, optimizer = nnx.data.load((X, Y)), nnx.optim.Adam(nnx.optim.CosineDecay(0.01, length=4))
            nnx.fit(
                network().copy(), data, optimizer=optimizer, epochs=4, batch_size=3, callbacks=[StepFour()], directory=folder,
                checkpoint_every=1,
            )  # fmt: skip
        return checkpoint.newest(Path(folder, checkpoint.CHECKPOINTS), lambda line: None)[0]


def checkpoint_files(**other: bytes) -> dict[str, bytes]:
    """The files of a checkpoint, some of them others; manifest, sizes and hashes fit."""
    one = whole_checkpoint()
    files = {
        checkpoint.WEIGHTS: packed(one.weights, {"format": checkpoint.FORMAT}),
        checkpoint.ARRAYS: packed(one.arrays, {"format": checkpoint.FORMAT}),
        checkpoint.STATE: json.dumps(one.state, allow_nan=False).encode(),
    }
    files |= {name.replace("__", "."): data for name, data in other.items()}
    manifest = other.get("MANIFEST__json")
    files[checkpoint.MANIFEST] = checkpoint._manifest(one, {k: v for k, v in files.items() if k != checkpoint.MANIFEST})
    return files if manifest is None else files | {checkpoint.MANIFEST: manifest}


def with_manifest(core: bytes) -> dict[str, bytes]:
    """A manifest whose own hash fits, whatever it says."""
    try:
        about = json.loads(core)
        text = checkpoint._rendered({k: v for k, v in about.items() if k != "sha256"})
    except (ValueError, AttributeError, RecursionError):
        text = core
    return checkpoint_files(MANIFEST__json=text)


class Enough(Exception):  # noqa: N818  it is no error
    """What was to be seen has been seen."""


class StepFour(nnx.train.Callback):
    """Ends a training at its fourth step."""

    def on_step(self, run: Any) -> None:
        if run.step == 4:
            raise Enough


class OneStep(nnx.train.Callback):
    """Ends a training after its first step, with nothing saved."""

    def on_step(self, run: Any) -> None:
        raise Enough


def resumed(path: Path) -> None:
    """What ``nnx.resume`` makes of a checkpoint, and its first step."""
    (path.parent.parent / "metrics.jsonl").write_bytes(b"")
    with suppress(Enough), np.errstate(all="ignore"):
        nnx.resume(path.parent.parent, nnx.data.load((X, Y)), callbacks=[OneStep()], tell=lambda line: None)


def with_weights(core: bytes) -> dict[str, bytes]:
    return checkpoint_files(weights__safetensors=core)
