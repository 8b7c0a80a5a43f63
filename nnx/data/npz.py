"""NPZ archives: inputs and targets by key. Sizes are read from the headers first; nothing is ever unpickled."""

import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from nnx.data.arrays import from_arrays
from nnx.data.dataset import Dataset
from nnx.data.limits import claim, plausible, read_bytes
from nnx.data.schema import Schema
from nnx.data.targets import did_you_mean, listing
from nnx.errors import ConfigError, DataError, DtypeError

_LONGEST = 10_000  # bytes of a header, as NumPy limits it
_VALUE = r"""'[^']*'|"[^"]*"|True|False|\([^()]*\)|\[[^\[\]]*\]"""
_ITEM = re.compile(rf"""('\w+'|"\w+")\s*:\s*({_VALUE})""")
_HEADER = re.compile(rf"""\{{\s*(?:{_ITEM.pattern}\s*(?:,\s*|(?=\}})))*\}}\s*""")
_PLAIN = re.compile(r"[<>|=](b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,5})")
_SHAPE = re.compile(r"\((\d{1,18}L?(,\s*\d{1,18}L?){0,31},?)?\s*\)")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    SyntaxError,
    OverflowError,
)


def read_npz(
    path: Path,
    *,
    inputs: str | None = None,
    target: str | None = None,
    task: str = "auto",
    schema: Schema | None = None,
) -> Dataset:
    """The arrays ``inputs`` (default x or X) and ``target`` (default y or Y) of an archive; ``classes`` names labels.

    Errors: DataError for a damaged archive, one that declares more than it holds or than memory has; DtypeError for
    object arrays; ConfigError for a key that is not there.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path)
            x_key = _key(inputs, ("x", "X"), members, path, "inputs")
            y_key = _key(target, ("y", "Y"), members, path, "target")
            if x_key is None and inputs is None and len(members) == 1:
                x_key = next(iter(members))
            if x_key is None:
                raise ConfigError(
                    expected="an array named x or X",
                    got=listing(members),
                    where=str(path),
                    fix="Say which: inputs='x_train', target='y_train'.",
                )
            x, y = (
                read_array(archive, members[x_key], path),
                read_array(archive, members[y_key], path) if y_key else None,
            )
            names = read_array(archive, members["classes"], path) if "classes" in members else None
    except _BROKEN as error:
        if isinstance(error, (DataError, DtypeError, ConfigError)):
            raise
        raise _damaged(path, str(error)) from error
    classes = None if names is None else tuple(str(name) for name in names.ravel())
    return from_arrays(x, y, task=task, classes=classes, schema=schema, name=path.name)


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise _damaged(path, f"two arrays named {name!r}")
        members[name] = info
    if not members:
        raise DataError("no arrays", where=str(path), fix="Write it with numpy.savez(path, x=x, y=y).")
    return members


def _key(
    given: str | None, usual: tuple[str, ...], members: dict[str, zipfile.ZipInfo], path: Path, option: str
) -> str | None:
    if given is not None:
        if given not in members:
            raise ConfigError(f"no array named {given!r}", where=f"{path}, {option}", fix=did_you_mean(given, members))
        return given
    found = [key for key in usual if key in members]
    if len(found) > 1:
        raise ConfigError(f"both {found[0]!r} and {found[1]!r}", where=str(path), fix=f"Say which with {option}=.")
    return found[0] if found else None


def read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path | str) -> np.ndarray[Any, Any]:
    """One member of an open archive, once its header is found to declare what it holds."""
    where = f"{path}, array {info.filename.removesuffix('.npy')}"
    if info.flag_bits & 1:
        raise DataError("the archive is encrypted", where=where, fix="Unpack it, and save it without a password.")
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file, where)
        declared, held = math.prod(shape) * dtype.itemsize, info.file_size - file.tell()
        if declared != held:
            raise _damaged(where, f"shape {shape} of {dtype} declares {declared} bytes and {held} follow")
        plausible(declared, info.compress_size, where)
        claim(declared, where)
        data, held = read_bytes(file, declared)
        if held != declared or file.read(1):
            raise _damaged(where, f"{held} of {declared} bytes")
    if dtype.kind == "U":
        points = data.view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if points.size and (points.max() > 0x10FFFF or np.any((points >= 0xD800) & (points < 0xE000))):
            raise _damaged(where, "texts with impossible characters")
    return data.view(dtype).reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an NPY file: a magic word, a length, and a dictionary written as Python literals.

    Read by patterns: Python's own parser would be one more thing that strangers can feed.

    Source: the module documentation of numpy.lib.format.
    """
    magic = file.read(8)
    wide = magic[6:7] in (b"\2", b"\3")
    length = int.from_bytes(file.read(4 if wide else 2), "little")
    if magic[:6] != b"\x93NUMPY" or magic[6:7] not in (b"\1", b"\2", b"\3") or length > _LONGEST:
        raise _damaged(where, "no NPY header")
    text = file.read(length).decode("latin1")
    items = {key.strip("'\""): value for key, value in _ITEM.findall(text)} if _HEADER.fullmatch(text) else {}
    if items.keys() != {"descr", "fortran_order", "shape"} or items["fortran_order"] not in ("True", "False"):
        raise _damaged(where, f"an NPY header that is none: {text[:80]!r}")
    descr = items["descr"].strip("'\"")
    if not _PLAIN.fullmatch(descr):
        raise DtypeError(
            expected="numbers or texts",
            got="an array of Python objects" if descr.endswith("O") else f"an array of type {descr[:80]}",
            where=where,
            fix="nnx runs no code from files: save x.astype(numpy.float32), or texts as y.astype(str).",
        )
    if not _SHAPE.fullmatch(items["shape"]):
        raise _damaged(where, f"shape {items['shape'][:80]}")
    shape = tuple(int(number) for number in re.findall(r"\d+", items["shape"]))
    return shape, items["fortran_order"] == "True", np.dtype(descr)


def _damaged(where: Any, what: str) -> DataError:
    return DataError(
        expected="a whole NPZ archive",
        got=what,
        where=str(where),
        fix="Copy it again, or write it with numpy.savez(path, x=x, y=y).",
    )
