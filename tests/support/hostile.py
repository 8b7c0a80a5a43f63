"""Files that strangers might feed to nnx, made by code: whole ones, a corpus of wrong ones, and mutations of both.

A ``Loader`` says what reads a kind of file, some whole files, and how a *core* becomes a file: the core of a checkpoint is one JSON text, say,
and the file around it has the right sizes and hashes, so that mutations reach what lies behind the first check. ``outcome`` says what a
loader made of a core: "read", "refused" (an error of ``nnx.errors`` that says where and what to do), or else what went wrong.
"""

import gzip
import importlib.util
import io
import json
import shutil
import signal
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import nnx
from nnx.cli import config
from nnx.data import Schema
from nnx.errors import NnxError
from nnx.train import read_notes
from nnx.train.files import checkpoint
from nnx.train.files.weights import packed

SECONDS = 5.0
"""Of the processor, that one input may take: a machine may have other work."""

BYTES = 1 << 30
"""Address space that a process may take beside what it has when the trials begin."""


class Hung(BaseException):
    """The time is up; no ``except Exception`` of a library keeps it."""


@dataclass(frozen=True)
class Loader:
    """How one kind of file is made and read."""

    name: str
    file: str
    read: Callable[[Path], Any]
    seeds: Callable[[], list[bytes]]
    wrap: Callable[[bytes], bytes | dict[str, bytes]] = lambda core: core
    corpus: Callable[[], dict[str, bytes]] = dict
    beside: dict[str, bytes] = field(default_factory=dict)

    def write(self, core: bytes, place: Path) -> Path:
        """The file (or folder) around a core."""
        made, path = self.wrap(core), place / self.file
        for name, data in self.beside.items():
            (place / name).write_bytes(data)
        if isinstance(made, bytes):
            path.write_bytes(made)
            return path
        shutil.rmtree(place / self.file.partition("/")[0], ignore_errors=True)
        path.mkdir(parents=True)
        for name, data in made.items():
            (path / name).write_bytes(data)
        return path


def outcome(loader: Loader, core: bytes, place: Path) -> str:
    """What is made of a core: "read", "refused", or what went wrong."""
    return judged(loader, loader.write(core, place))


def judged(loader: Loader, path: Path) -> str:
    """The same of a file that is there."""
    try:
        with in_time(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("error")
            loader.read(path)
        return "read"
    except NnxError as error:
        whole = error.where and error.fix and (error.what or (error.expected and error.got))
        return (
            "refused"
            if whole and len(str(error)) < 3000
            else f"an error that says too little or too much: {error!r}"[:300]
        )
    except Hung:
        return f"more than {SECONDS:g} s"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """``Hung`` when it takes longer than so much of the processor; where there are no such alarms, no limit."""
    if not hasattr(signal, "SIGPROF"):
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise Hung

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# whole files ----------------------------------------------------------------------------------------------------------
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
def _network() -> Any:
    return nnx.Sequential(
        nnx.Standardize(4).fit(X), nnx.Linear(4, 3), nnx.BatchNorm(3), nnx.ReLU(), nnx.Linear(3, 3)
    ).initialize(0)


@cache
def _model_file() -> bytes:
    return packed(
        _network().state(), {"format": "nnx 1", "model": _description(), "notes": json.dumps({"schema": _schema()})}
    )


def _description() -> str:
    return json.dumps(nnx.train.files.saving.describe(_network()))


@cache
def _model_texts() -> list[bytes]:
    texts = [_description().encode()]
    layers: list[Any] = [
        nnx.Conv2d(1, 2, 3), nnx.TransformerBlock(4, 2), nnx.Linear(4, 3, init=nnx.init.orthogonal()), nnx.Embedding(5, 4),
        nnx.LSTM(4, 3) if hasattr(nnx, "LSTM") else nnx.Linear(4, 3), nnx.MinMaxScale(4), nnx.PCA(4, 2), nnx.LayerNorm(4),
    ]  # fmt: skip
    for layer in layers:
        texts.append(json.dumps(nnx.train.files.saving.describe(nnx.Sequential(layer))).encode())
    return texts


@cache
def _schema() -> dict[str, Any]:
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
def _checkpoint() -> checkpoint.Checkpoint:
    """One from the middle of a training."""
    with tempfile.TemporaryDirectory() as folder:
        with suppress(Enough):
            data, optimizer = nnx.data.load((X, Y)), nnx.optim.Adam(nnx.optim.CosineDecay(0.01, length=4))
            nnx.fit(
                _network().copy(), data, optimizer=optimizer, epochs=4, batch_size=3, callbacks=[StepFour()], directory=folder,
                checkpoint_every=1,
            )  # fmt: skip
        return checkpoint.newest(Path(folder, checkpoint.CHECKPOINTS), lambda line: None)[0]


def _checkpoint_files(**other: bytes) -> dict[str, bytes]:
    """The files of a checkpoint, some of them others; manifest, sizes and hashes fit."""
    one = _checkpoint()
    files = {
        checkpoint.WEIGHTS: packed(one.weights, {"format": checkpoint.FORMAT}),
        checkpoint.ARRAYS: packed(one.arrays, {"format": checkpoint.FORMAT}),
        checkpoint.STATE: json.dumps(one.state, allow_nan=False).encode(),
    }
    files |= {name.replace("__", "."): data for name, data in other.items()}
    manifest = other.get("MANIFEST__json")
    files[checkpoint.MANIFEST] = checkpoint._manifest(one, {k: v for k, v in files.items() if k != checkpoint.MANIFEST})
    return files if manifest is None else files | {checkpoint.MANIFEST: manifest}


def _manifest(core: bytes) -> dict[str, bytes]:
    """A manifest whose own hash fits, whatever it says."""
    try:
        about = json.loads(core)
        text = checkpoint._rendered({k: v for k, v in about.items() if k != "sha256"})
    except (ValueError, AttributeError, RecursionError):
        text = core
    return _checkpoint_files(MANIFEST__json=text)


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


def _resume(path: Path) -> None:
    """What ``nnx.resume`` makes of a checkpoint, and its first step."""
    (path.parent.parent / "metrics.jsonl").write_bytes(b"")
    with suppress(Enough), np.errstate(all="ignore"):
        nnx.resume(path.parent.parent, nnx.data.load((X, Y)), callbacks=[OneStep()], tell=lambda line: None)


def _weights_entry(core: bytes) -> dict[str, bytes]:
    return _checkpoint_files(weights__safetensors=core)


# what is loaded -------------------------------------------------------------------------------------------------------
def _load_model(path: Path) -> Any:
    try:
        return nnx.load(path)
    finally:
        read_notes(path)


def _schema_of(path: Path) -> Any:
    return Schema.from_dict(json.loads(path.read_text(encoding="utf-8")))


def _is_json(core: bytes) -> bool:
    try:
        json.loads(core.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _linked_member() -> bytes:
    """An archive whose x is a symbolic link."""
    file, link = io.BytesIO(), zipfile.ZipInfo("x.npy")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(file, "w") as out:
        out.writestr(link, "/etc/passwd")
        out.writestr("y.npy", npy(Y))
    return file.getvalue()


def _wrap_metadata(core: bytes) -> bytes:
    arrays = {name: np.asarray(a) for name, a in _network().state().items()}
    return packed(arrays, {"format": "nnx 1", "model": core.decode("utf-8", "replace"), "notes": "{}"})


def _streamed(path: Path) -> Any:
    """A data set whose rows stay in their file, and all of those rows."""
    return np.asarray(nnx.data.load(path, stream=True).x)


def _bomb(n: int) -> bytes:
    """Modules that hold each other twice, n deep: 2^n of them, if one were to count."""
    inner: Any = {"layer": "ReLU", "args": [], "kwargs": {}}
    for k in range(n):
        inner = {"layer": "Sequential", "args": [inner, {"shared": k}], "kwargs": {}}
    return json.dumps(inner).encode()


LOADERS: dict[str, Loader] = {}
_PLACE = f"run/checkpoints/{checkpoint.Checkpoint(3, 1, None, {}, {}, {}).name}"


def _add(*loaders: Loader) -> None:
    LOADERS.update({loader.name: loader for loader in loaders})


def _zipped(core: bytes) -> bytes:
    return archive(zipfile.ZIP_DEFLATED, x=core, y=npy(Y))


_add(
    Loader(
        "safetensors file", "m.safetensors", _load_model, lambda: [_model_file()],
        corpus=lambda: {
            "header of 2^63": struct.pack("<Q", 2**63) + b"{}",
            "header of 9 MiB": table(b'{"a":' + b" " * (9 << 20) + b"1}"),
            "an integer of 5000 digits": table(b'{"x":{"dtype":"U8","shape":[' + b"1" * 5000 + b'],"data_offsets":[0,1]}}', b"a"),
            "shape is NaN": table(b'{"x":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', b"abcd"),
            "size is NaN": table(b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[NaN,4]}}', b"abcd"),
            "a name twice": table(b'{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
            "a type NumPy lacks": table({"x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}, b"a"),
            "bfloat16": table({"x": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}, b"ab"),
            "shape of 2^40": table({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, b"abcd"),
            "33 dimensions": table({"x": {"dtype": "U8", "shape": [1] * 100, "data_offsets": [0, 1]}}, b"a"),
        },
    ),
    Loader(
        "safetensors header", "m.safetensors", _load_model,
        lambda: [_model_file()[8 : 8 + struct.unpack("<Q", _model_file()[:8])[0]]],
        wrap=lambda core: table(core, _model_file()[8 + struct.unpack("<Q", _model_file()[:8])[0] :]),
    ),
    Loader(
        "description of a model", "m.safetensors", _load_model, _model_texts, wrap=_wrap_metadata,
        corpus=lambda: {
            "2^60 layers": _bomb(60),
            "10^5 deep": b"[" * 100_000,
            "an integer of 5000 digits": b'{"layer":"Linear","args":[4,' + b"1" * 5000 + b'],"kwargs":{}}',
            "a width of 10^18": b'{"layer":"Linear","args":[1000000000000000000,1000000000000000000],"kwargs":{}}',
            "10^9 blocks": b'{"layer":"TransformerBlock","args":[1000000000,1000000000],"kwargs":{}}',
            "10^9 dimensions of a shape": b'{"layer":"Reshape","args":[' + b"[" + b"1," * 100_000 + b"1]" + b'],"kwargs":{}}',
        },
    ),
    Loader(
        "schema", "s.json", _schema_of, lambda: [json.dumps(SCHEMA).encode()],
        wrap=lambda core: core if _is_json(core) else b"{}",
        corpus=lambda: {"target at infinity": json.dumps(SCHEMA).replace(": 3}", ": Infinity}").encode()},
    ),
    Loader("NPZ file", "a.npz", nnx.data.load, lambda: [archive(x=npy(X), y=npy(Y)), archive(zipfile.ZIP_DEFLATED, x=npy(X), y=npy(Y))],
        corpus=lambda: {
            "a bomb of 80 MB": archive(zipfile.ZIP_DEFLATED, x=npy(np.zeros((10_000, 1000))), y=npy(np.zeros(10_000, int))),
            "a header of nothing": archive(x=b"", y=npy(Y)),
            "an archive in an archive": archive(x=archive(x=npy(X)), y=npy(Y)),
            "a link": _linked_member(),
        },
    ),
    Loader("array of an NPZ file", "a.npz", nnx.data.load, lambda: [npy(X), npy(X.astype(">i2")), npy(X.T.copy().T)], wrap=_zipped,
        corpus=lambda: {
            "shape of 2^40": npy_header((2**40,), more=bytes(8)),
            "shape of 2^40 twice": npy_header((2**40, 2**40), more=bytes(8)),
            "1000 dimensions": npy_header((1,) * 1000, more=bytes(4)),
            "objects": npy_header((6,), "|O", b"cos\nsystem\n(S'true'\ntR."),
            "nothing of 2^60 rows": npy_header((2**60, 0)),
        },
    ),
    Loader("IDX file", "a-images-idx3-ubyte", nnx.data.load, lambda: [idx(8, (6, 2, 2), bytes(24))],
        beside={"a-labels-idx1-ubyte": idx(8, (6,), bytes([0, 1, 2, 0, 1, 2]))},
        corpus=lambda: {
            "sizes of 2^31": idx(14, (2**31 - 1,) * 3, b""), "negative sizes": idx(8, (2**32 - 1, 4), bytes(4)),
            "255 dimensions": struct.pack(">BBBB", 0, 0, 8, 255) + bytes(1020),
        },
    ),
    Loader("IDX file, gzip", "a-images-idx3-ubyte.gz", nnx.data.load, lambda: [idx(8, (6, 2, 2), bytes(24)), idx(13, (6, 2, 2), X.astype(">f4").tobytes())],
        wrap=lambda core: gzip.compress(core, 9 if len(core) > 1 << 20 else 1), beside={"a-labels-idx1-ubyte": idx(8, (6,), bytes([0, 1, 2, 0, 1, 2]))},
        corpus=lambda: {"a bomb of 80 MB": idx(8, (80_000, 1000), bytes(80_000_000)), "2^31 declared": idx(8, (2**31 - 1,), bytes(100))},
    ),
    Loader("labels of IDX images", "b-labels-idx1-ubyte", lambda path: nnx.data.load(path.with_name("b-images-idx3-ubyte")),
        lambda: [idx(8, (6,), bytes([0, 1, 2, 0, 1, 2]))], beside={"b-images-idx3-ubyte": idx(8, (6, 2, 2), bytes(24))},
    ),
    Loader("CSV file", "t.csv", nnx.data.load, lambda: [CSV, CSV.replace(b",", b";"), b"x,y\n1.5,01\n2.5,2\n3.5,1\n"],
        corpus=lambda: {
            "10^6 columns": b",".join(b"c%d" % i for i in range(10**6)) + b"\n",
            "10^6 columns of rows": b",".join(b"%d" % i for i in range(10**6)) + b"\n" + b",".join([b"1"] * 10**6) + b"\n",
            "10^5 columns": b",".join(b"c%d" % i for i in range(100_000)) + b"\n" + b",".join([b"1"] * 100_000) + b"\n",
            "a quote that is missing": b'a,b,y\n1,"2,0\n' + b"3,4,1\n" * 50_000,
            "an integer of 5000 digits": b"x,y\n1," + b"0" * 5000 + b"1\n2,2\n3,1\n",
            "a line of 17 MB": b"a" * (17 << 20),
            "only quotes": b'"' * 100_001,
        },
    ),
    Loader("CSV file, gzip", "t.csv.gz", nnx.data.load, lambda: [CSV], wrap=lambda core: gzip.compress(core, 9 if len(core) > 1 << 20 else 1),
        corpus=lambda: {"a bomb of 80 MB": b"a,y\n" + b"1,0\n" * 20_000_000},
    ),
    Loader("gzip", "t.csv.gz", nnx.data.load, lambda: [gzip.compress(CSV, 1)]),
    Loader("CSV file for a model", "t.csv", lambda path: nnx.data.load(path, schema=Schema.from_dict(SCHEMA)), lambda: [b"a,c,b,y\n1,red,2,1\n2,blue,3,2\n"],
        corpus=lambda: {"two signs": b"a,c,b,y\n1,red,2,+-1\n", "digits of another script": "a,c,b,y\n١,red,2,١\n".encode()},
    ),
    Loader("NPY file", "x.npy", nnx.data.load, lambda: [npy(X), npy(X.astype("u1")), npy(X.astype(">f8"))], beside={"y.npy": npy(Y)},
        corpus=lambda: {"shape of 2^40": npy_header((2**40,), more=bytes(8)), "objects": npy_header((6,), "|O", b"cos\nsystem\n(S'true'\ntR.")},
    ),
    Loader("NPY file, streamed", "x.npy", _streamed, lambda: [npy(X), npy(X.astype("u1")), npy(X.astype("i4"))], beside={"y.npy": npy(Y)},
        corpus=lambda: {"shape of 2^40": npy_header((2**40, 2), more=bytes(8)), "rows of nothing": npy_header((2**40, 0))},
    ),
    Loader("NPZ file, streamed", "a.npz", _streamed, lambda: [archive(x=npy(X), y=npy(Y))]),
    Loader("IDX file, streamed", "a-images-idx3-ubyte", _streamed, lambda: [idx(8, (6, 2, 2), bytes(24))],
        beside={"a-labels-idx1-ubyte": idx(8, (6,), bytes([0, 1, 2, 0, 1, 2]))}),
    Loader("configuration", "c.toml", lambda path: config.merged({}, str(path)), lambda: [TOML],
        corpus=lambda: {
            "10^4 levels of arrays": b"drop = " + b"[" * 10**4, "10^4 levels of tables": b"[" + b"a." * 10**4 + b"a]\n",
            "10^4 levels of keys": b"a." * 10**4 + b"a = 1\n", "10^4 inline tables": b"drop = " + b"{a=" * 10**4,
            "an integer of 5000 digits": b"epochs = " + b"1" * 5000, "a hexadecimal of 5000 digits": b"epochs = 0x" + b"f" * 5000,
            "2 MB": b"# " + b"x" * (2 << 20),
        },
    ),
    Loader("state of a checkpoint", _PLACE, _resume,
        lambda: [json.dumps(_checkpoint().state).encode()], wrap=lambda core: _checkpoint_files(state__json=core),
        corpus=lambda: {"10^5 deep": b'{"training":' + b"[" * 10**5, "an integer of 5000 digits": b'{"training":' + b"1" * 5000 + b"}",
            "900 deep": b'{"training":' + b"[" * 900 + b"]" * 900 + b"}"},
    ),
    Loader("arrays of a checkpoint", _PLACE, _resume,
        lambda: [packed(_checkpoint().arrays, {"format": checkpoint.FORMAT})], wrap=lambda core: _checkpoint_files(state__safetensors=core)),
    Loader("weights of a checkpoint", _PLACE, _resume,
        lambda: [packed(_checkpoint().weights, {"format": checkpoint.FORMAT})], wrap=_weights_entry),
    Loader("manifest of a checkpoint", _PLACE, checkpoint.read_checkpoint,
        lambda: [_checkpoint_files()[checkpoint.MANIFEST]], wrap=_manifest),
)  # fmt: skip


def _parquet(**columns: Any) -> bytes:
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def _parquet_bomb() -> bytes:
    import pyarrow

    return _parquet(
        a=pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(10_000_000, "i1")), pyarrow.array(["x" * 10_000]))
    )


if importlib.util.find_spec("pyarrow"):
    _add(
        Loader(
            "Parquet file", "t.parquet", nnx.data.load,
            lambda: [_parquet(age=[31, 45, 22], colour=["red", "blue", "red"], height=[1.5, 2.5, 3.5], bought=[True, False, True])],
            corpus=lambda: {"100 GB of text": _parquet_bomb(), "10^4 columns": _parquet(**{f"c{i}": [1, 2] for i in range(10_000)})},
        ),
    )  # fmt: skip
