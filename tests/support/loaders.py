"""Each kind of file that nnx reads: what reads it, some whole ones, a corpus of wrong ones, and how a mutated core becomes a file."""

import gzip
import importlib.util
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import nnx
from nnx.cli import config
from nnx.data import Schema
from nnx.train import read_notes
from nnx.train.files import checkpoint
from nnx.train.files.weights import packed
from support.hostile import Loader
from support.strangers import (
    CSV,
    SCHEMA,
    TOML,
    X,
    Y,
    archive,
    checkpoint_files,
    idx,
    model_file,
    model_texts,
    network,
    npy,
    npy_header,
    resumed,
    table,
    whole_checkpoint,
    with_manifest,
    with_weights,
)


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
    arrays = {name: np.asarray(a) for name, a in network().state().items()}
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
        "safetensors file", "m.safetensors", _load_model, lambda: [model_file()],
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
        lambda: [model_file()[8 : 8 + struct.unpack("<Q", model_file()[:8])[0]]],
        wrap=lambda core: table(core, model_file()[8 + struct.unpack("<Q", model_file()[:8])[0] :]),
    ),
    Loader(
        "description of a model", "m.safetensors", _load_model, model_texts, wrap=_wrap_metadata,
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
    Loader("state of a checkpoint", _PLACE, resumed,
        lambda: [json.dumps(whole_checkpoint().state).encode()], wrap=lambda core: checkpoint_files(state__json=core),
        corpus=lambda: {"10^5 deep": b'{"training":' + b"[" * 10**5, "an integer of 5000 digits": b'{"training":' + b"1" * 5000 + b"}",
            "900 deep": b'{"training":' + b"[" * 900 + b"]" * 900 + b"}"},
    ),
    Loader("arrays of a checkpoint", _PLACE, resumed,
        lambda: [packed(whole_checkpoint().arrays, {"format": checkpoint.FORMAT})], wrap=lambda core: checkpoint_files(state__safetensors=core)),
    Loader("weights of a checkpoint", _PLACE, resumed,
        lambda: [packed(whole_checkpoint().weights, {"format": checkpoint.FORMAT})], wrap=with_weights),
    Loader("manifest of a checkpoint", _PLACE, checkpoint.read_checkpoint,
        lambda: [checkpoint_files()[checkpoint.MANIFEST]], wrap=with_manifest),
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
