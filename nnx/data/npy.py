"""NPY: one array in a file, and the header that NPZ archives have too. Nothing is ever unpickled."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from nnx.data.arrays import from_arrays
from nnx.data.dataset import Dataset
from nnx.data.limits import claim, read_bytes, streams
from nnx.data.schema import Schema
from nnx.data.stream import FileRows, Streamed
from nnx.data.targets import did_you_mean
from nnx.errors import ConfigError, DataError, DtypeError

_LONGEST = 10_000  # bytes of a header, as NumPy limits it
_VALUE = r"""'[^']*'|"[^"]*"|True|False|\([^()]*\)|\[[^\[\]]*\]"""
_ITEM = re.compile(rf"""('\w+'|"\w+")\s*:\s*({_VALUE})""")
_HEADER = re.compile(rf"""\{{\s*(?:{_ITEM.pattern}\s*(?:,\s*|(?=\}})))*\}}\s*""")
_PLAIN = re.compile(r"[<>|=](b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,5})")
_SHAPE = re.compile(r"\((\d{1,18}L?(,\s*\d{1,18}L?){0,31},?)?\s*\)")
_X = re.compile(r"(?<![a-zA-Z])x(?![a-zA-Z])", re.IGNORECASE)


class Header(NamedTuple):
    """What the header of an array declares, and how many bytes that is."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy(
    path: Path,
    *,
    target: str | None = None,
    task: str = "auto",
    schema: Schema | None = None,
    stream: bool | None = None,
) -> Dataset:
    """Inputs from one NPY file, targets from another: ``target`` names it, by default ``y`` stands in its name for ``x``.

    Inputs larger than half of the free memory stay in the file, and rows are read when they are needed.

    Errors: DataError for a file that declares more or less than it holds; DtypeError for object arrays.
    """
    beside = _targets_of(path, target)
    if beside is None and schema is None:
        raise DataError(
            "no targets beside the inputs",
            where=str(path),
            fix='Name their file: target="y.npy"; x_train.npy finds y_train.npy by itself.',
        )
    y = None if beside is None else npy_array(beside)
    return from_arrays(npy_array(path, stream), y, task=task, schema=schema, name=path.name)


def _targets_of(path: Path, target: str | None) -> Path | None:
    if target is not None:
        found = next((place for place in (path.parent / target, Path(target)) if place.is_file()), None)
        if found is None:
            near = did_you_mean(target, [entry.name for entry in sorted(path.parent.glob("*.npy"))[:1000]])
            raise ConfigError(f"no file {target!r}", where=f"{path}, target", fix=near or "Check its path.")
        return found
    names = (_X.sub(y, path.name) for y in ("y", "Y"))
    return next((path.with_name(name) for name in names if name != path.name and path.with_name(name).is_file()), None)


def npy_array(path: Path, stream: bool | None = False) -> Any:
    """The array of an NPY file, or its rows as they lie there. Its length must be exactly what its header declares."""
    where = str(path)
    with path.open("rb") as file:
        header = npy_header(file, where, _damaged)
        at, held = file.tell(), path.stat().st_size - file.tell()
        if header.size != held:
            raise _damaged(
                where, f"shape {header.shape} of {header.dtype} declares {header.size} bytes and {held} follow"
            )
        if streams(header.size, stream) and header.shape and header.size:
            return rows_in_file(path, at, header, where)
        claim(header.size, where)
        return shaped(read_bytes(file, header.size)[0], header, where, _damaged)


def rows_in_file(path: Path, offset: int, header: Header, where: str) -> Streamed:
    """Rows of an array that stays in its file."""
    if header.fortran and len(header.shape) > 1:
        raise DataError(
            expected="rows one after another (C order), to be read when they are needed",
            got="columns one after another (Fortran order)",
            where=where,
            fix="Save numpy.ascontiguousarray(x), on a machine with more memory.",
        )
    return Streamed(FileRows(path, offset, header.shape, header.dtype))


def shaped(data: np.ndarray[Any, Any], header: Header, where: str, damaged: Callable[..., DataError]) -> Any:
    """Bytes as the array that the header declares."""
    if header.dtype.kind == "U":
        points = data.view(np.dtype(np.uint32).newbyteorder(header.dtype.byteorder))
        if points.size and (points.max() > 0x10FFFF or np.any((points >= 0xD800) & (points < 0xE000))):
            raise damaged(where, "texts with impossible characters")
    return data.view(header.dtype).reshape(header.shape, order="F" if header.fortran else "C")


def npy_header(file: IO[bytes], where: str, damaged: Callable[..., DataError]) -> Header:
    """Shape, order and type of an NPY file: a magic word, a length, and a dictionary written as Python literals.

    Read by patterns: Python's own parser would be one more thing that strangers can feed.

    Source: the module documentation of numpy.lib.format.
    """
    magic = file.read(8)
    wide = magic[6:7] in (b"\2", b"\3")
    length = int.from_bytes(file.read(4 if wide else 2), "little")
    if magic[:6] != b"\x93NUMPY" or magic[6:7] not in (b"\1", b"\2", b"\3") or length > _LONGEST:
        raise damaged(where, "no NPY header")
    text = file.read(length).decode("latin1")
    items = {key.strip("'\""): value for key, value in _ITEM.findall(text)} if _HEADER.fullmatch(text) else {}
    if items.keys() != {"descr", "fortran_order", "shape"} or items["fortran_order"] not in ("True", "False"):
        raise damaged(where, f"an NPY header that is none: {text[:80]!r}")
    descr = items["descr"].strip("'\"")
    if not _PLAIN.fullmatch(descr):
        raise DtypeError(
            expected="numbers or texts",
            got="an array of Python objects" if descr.endswith("O") else f"an array of type {descr[:80]}",
            where=where,
            fix="nnx runs no code from files: save x.astype(numpy.float32), or texts as y.astype(str).",
        )
    if not _SHAPE.fullmatch(items["shape"]):
        raise damaged(where, f"shape {items['shape'][:80]}")
    shape = tuple(int(number) for number in re.findall(r"\d+", items["shape"]))
    return Header(shape, items["fortran_order"] == "True", np.dtype(descr))


def _damaged(where: Any, what: str) -> DataError:
    return DataError(
        expected="a whole NPY file",
        got=what,
        where=str(where),
        fix="Copy it again, or write it with numpy.save(path, x).",
    )
