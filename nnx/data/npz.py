"""NPZ archives: inputs and targets by key. Sizes are read from the headers first; nothing is ever unpickled."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nnx.data.arrays import from_arrays
from nnx.data.dataset import Dataset
from nnx.data.limits import claim, plausible
from nnx.data.schema import Schema
from nnx.data.targets import did_you_mean, listing
from nnx.errors import ConfigError, DataError, DtypeError

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
                    fix="Say which: nnx.data.load(path, inputs='x_train', target='y_train').",
                )
            x, y = _read(archive, members[x_key], path), _read(archive, members[y_key], path) if y_key else None
            names = _read(archive, members["classes"], path) if "classes" in members else None
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


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray[Any, Any]:
    where = f"{path}, array {info.filename.removesuffix('.npy')}"
    if info.flag_bits & 1:
        raise DataError("the archive is encrypted", where=where, fix="Unpack it, and save it without a password.")
    with archive.open(info) as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
        except (*_BROKEN, MemoryError, RecursionError, TypeError, KeyError) as error:
            raise _damaged(where, f"no NPY header ({error})") from error
        if dtype.hasobject:
            raise DtypeError(
                expected="numbers or texts",
                got="an array of Python objects",
                where=where,
                fix="nnx runs no code from files: save x.astype(numpy.float32), or texts as y.astype(str).",
            )
        declared, held = math.prod(shape) * dtype.itemsize, info.file_size - file.tell()
        if min(shape, default=0) < 0 or declared != held:
            raise _damaged(where, f"shape {shape} of {dtype} declares {declared} bytes and {held} follow")
        plausible(declared, info.compress_size, where)
        claim(declared, where)
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _damaged(where: Any, what: str) -> DataError:
    return DataError(
        expected="a whole NPZ archive",
        got=what,
        where=str(where),
        fix="Copy it again, or write it with numpy.savez(path, x=x, y=y).",
    )
