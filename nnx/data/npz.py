"""NPZ archives: inputs and targets by key. Sizes are read from the headers first; nothing is ever unpickled."""

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from nnx.data.arrays import from_arrays
from nnx.data.dataset import Dataset
from nnx.data.limits import claim, plausible, read_bytes, streams
from nnx.data.npy import npy_header, rows_in_file, shaped
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
    stream: bool | None = None,
) -> Dataset:
    """The arrays ``inputs`` (default x or X) and ``target`` (default y or Y) of an archive; ``classes`` names labels.

    Inputs that are not compressed (``numpy.savez``) and larger than half of the free memory stay in the file, and rows
    are read when they are needed.

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
                first, second = [*members, "y"][:2]
                raise ConfigError(
                    expected="an array named x or X",
                    got=listing(members),
                    where=str(path),
                    fix=f"Say which, for example inputs={first!r}, target={second!r}.",
                )
            x, y = (
                read_array(archive, members[x_key], path, stream),
                read_array(archive, members[y_key], path) if y_key else None,
            )
            names = read_array(archive, members["classes"], path) if "classes" in members else None
    except _BROKEN as error:
        if isinstance(error, (DataError, DtypeError, ConfigError)):
            raise
        raise _damaged(path, str(error) or type(error).__name__) from error
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


def read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path | str, stream: bool | None = False) -> Any:
    """One member of an open archive, once its header is found to declare what it holds; or its rows as they lie in the file.

    Only what is not compressed can stay there. Its checksum is that of the whole member, so it is not looked at then.
    """
    where = f"{path}, array {info.filename.removesuffix('.npy')}"
    if info.flag_bits & 1:
        raise DataError("the archive is encrypted", where=where, fix="Unpack it, and save it without a password.")
    with archive.open(info) as file:
        header = npy_header(file, where, _damaged)
        declared, held = header.size, info.file_size - file.tell()
        if declared != held:
            raise _damaged(where, f"shape {header.shape} of {header.dtype} declares {declared} bytes and {held} follow")
        if info.compress_type == zipfile.ZIP_STORED and declared and header.shape and streams(declared, stream):
            return rows_in_file(Path(path), _place(archive, info) + file.tell(), header, where)
        plausible(declared, info.compress_size, where)
        claim(declared, where)
        data, held = read_bytes(file, declared)
        if held != declared:
            raise _damaged(where, f"{held} of {declared} bytes")
    return shaped(data, header, where, _damaged)


def _place(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin; ``archive.open`` has checked its header."""
    assert archive.fp is not None
    archive.fp.seek(info.header_offset + 26)
    name, more = struct.unpack("<HH", archive.fp.read(4))
    return info.header_offset + 30 + int(name) + int(more)


def _damaged(where: Any, what: str) -> DataError:
    return DataError(
        expected="a whole NPZ archive",
        got=what,
        where=str(where),
        fix="Copy it again, or write it with numpy.savez(path, x=x, y=y).",
    )
