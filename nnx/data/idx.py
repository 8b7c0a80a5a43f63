"""The IDX format of MNIST, plain or gzip: images in one file, labels in another beside it."""

import gzip
import math
import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nnx.data.arrays import from_arrays
from nnx.data.dataset import Dataset
from nnx.data.limits import claim, plausible, read_bytes, streams
from nnx.data.schema import Schema
from nnx.data.stream import FileRows, Streamed
from nnx.errors import DataError, ShapeError

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
NAME = re.compile(r"[-.]idx\d?(-ubyte)?(\.gz)?$", re.IGNORECASE)
_DEFLATE = 1032  # times that gzip can shrink at most: a header that declares more is lying


def read_idx(path: Path, *, task: str = "auto", schema: Schema | None = None, stream: bool | None = None) -> Dataset:
    """An images file with its labels file beside it (``images`` → ``labels``, ``idx3`` → ``idx1``), or a folder of them.

    x is flat, (N, H W) float32, and ``as_images()`` gives (N, H, W, 1). A folder gives its training part; name the
    ``t10k-images…`` file for the test part. Without labels a schema is needed.

    Source: http://yann.lecun.com/exdb/mnist (Y. LeCun, C. Cortes, C. Burges).
    """
    notes: tuple[str, ...] = ()
    if path.is_dir():
        folder, path = path, _in_folder(path)
        tests = [test for test in sorted(folder.glob("t10k-images*")) if NAME.search(test.name)]
        notes = tuple(f"the training part; the test part is {test}" for test in tests[:1])
    x = idx_array(path, stream)
    if len(x.shape) == 1:
        raise DataError(
            expected="images",
            got=f"an array of shape {x.shape}, as labels have",
            where=str(path),
            fix="Name the images file: labels are found beside it.",
        )
    labels = _labels_beside(path)
    if labels is None and schema is None:
        raise DataError(
            "no labels file beside the images",
            where=str(path),
            fix="Put it there under the same name with 'labels' for 'images' and 'idx1' for 'idx3'.",
        )
    y = None if labels is None else idx_array(labels)
    if y is not None and y.shape[:1] != x.shape[:1]:
        raise ShapeError(
            expected=f"as many labels as images, {x.shape[0]}",
            got=f"{y.shape[0]}",
            where=str(labels),
            fix="Take both files of one pair.",
        )
    image_shape = (*x.shape[1:3], x.shape[3] if x.ndim == 4 else 1) if x.ndim in (3, 4) else None
    rows = x.reshape(x.shape[0], math.prod(x.shape[1:]))
    data = from_arrays(rows, y, task=task, schema=schema, name=path.name, image_shape=image_shape)
    return replace(data, notes=notes + data.notes)


def idx_array(path: Path, stream: bool | None = False) -> Any:
    """One IDX file as an array, or its rows as they lie there. Its length must be exactly what its header declares.

    Header: two zero bytes, the type, the number of dimensions d, then d sizes of 4 bytes, big-endian.
    """
    where, stored = str(path), path.stat().st_size
    zipped = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            dtype, shape = _header(file, where)
            declared = math.prod(shape) * dtype.itemsize
            if declared > stored * (_DEFLATE if zipped else 1):
                raise _damaged(where, f"{shape} of {dtype.name} declares {declared} bytes, the file has {stored}")
            if zipped:
                plausible(declared, stored, where)
            elif declared == stored - file.tell() and streams(4 * math.prod(shape), stream):
                return Streamed(FileRows(path, file.tell(), shape, dtype))
            claim(declared, where)
            data, held = read_bytes(file, declared)
            if held != declared:
                raise _damaged(where, f"the file ends after {held} of {declared} bytes")
            if file.read(1):
                raise _damaged(where, f"more bytes than the {declared} declared")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(where, str(error) or type(error).__name__) from error
    return data.view(dtype).reshape(shape)


def _header(file: Any, where: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES or not 1 <= head[3] <= 8:
        raise _damaged(
            where, f"it begins with {head.hex(' ') or 'nothing'}, not with 00 00, a type and 1 to 8 dimensions"
        )
    sizes = file.read(4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise _damaged(where, "the header is cut off")
    shape = struct.unpack(f">{head[3]}i", sizes)
    if min(shape) < 1:
        raise _damaged(where, f"sizes {shape}: each must be above 0")
    return np.dtype(TYPES[head[2]]), shape


def _labels_beside(path: Path) -> Path | None:
    """The labels file of an images file, plain or gzip."""
    if "images" not in path.name:
        return None
    name = re.sub(r"idx\d", "idx1", path.name.replace("images", "labels"))
    plain = name.removesuffix(".gz")
    return next((found for found in (path.with_name(n) for n in (name, plain, plain + ".gz")) if found.is_file()), None)


def _in_folder(folder: Path) -> Path:
    """The images of the training part, unpacked if both forms are there."""
    found = sorted(f for f in folder.iterdir() if "train-images" in f.name and NAME.search(f.name) and f.is_file())
    plain = [f for f in found if f.suffix != ".gz"] or found
    if len(plain) != 1:
        raise DataError(
            expected="a folder with train-images-idx3-ubyte and train-labels-idx1-ubyte, plain or .gz",
            got=f"{len(plain)} such images files" if plain else "no such images file",
            where=str(folder),
            fix="Name the images file itself.",
        )
    return plain[0]


def _damaged(where: str, what: str) -> DataError:
    return DataError(expected="a whole IDX file", got=what, where=where, fix="Download or copy it again.")
