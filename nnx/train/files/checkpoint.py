"""A checkpoint on the disk: arrays in two safetensors files, the rest in JSON, and a manifest that tells a damaged one.

::

    checkpoints/step-00000161-epoch-00007.nnx/
        weights.safetensors      all arrays of the model
        state.safetensors        the other arrays: slots of the optimizer, sums of the epoch, what callbacks keep
        state.json               the rest: settings, position, history, fingerprint
        MANIFEST.json            size and SHA-256 of each of these, and of itself

It appears at once or not at all (see ``nnx.train.files.durable``). A hash proves that a file is what was written, not
who wrote it: so what a file says is read as data only, and checked like anybody's.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnx.data.limits import claim
from nnx.errors import DataError
from nnx.train.files import durable
from nnx.train.files.weights import packed, unpacked

CHECKPOINTS = "checkpoints"
WEIGHTS, ARRAYS, STATE, MANIFEST = "weights.safetensors", "state.safetensors", "state.json", "MANIFEST.json"
FORMAT = "nnx checkpoint 1"
_NAME = re.compile(r"step-(\d{8,15})-epoch-(\d{5,12})\.nnx")
_SMALL, _LARGE = 1 << 16, 1 << 40


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds. ``epoch`` counts the finished ones; ``score`` (smaller is better) judges the weights at the end of one."""

    step: int
    epoch: int
    score: float | None
    weights: Mapping[str, Any]
    arrays: Mapping[str, Any]
    state: dict[str, Any]

    @property
    def name(self) -> str:
        """Its directory. Names sort as training went."""
        return f"step-{self.step:08d}-epoch-{self.epoch:05d}.nnx"


def write_checkpoint(root: Path, checkpoint: Checkpoint) -> Path:
    """Write it below ``root``; ``OSError`` where the disk refuses or has too little space, and then nothing has changed."""
    files = {
        WEIGHTS: packed(checkpoint.weights, {"format": FORMAT}),
        ARRAYS: packed(checkpoint.arrays, {"format": FORMAT}),
        STATE: json.dumps(checkpoint.state, allow_nan=False).encode(),
    }
    files[MANIFEST] = _manifest(checkpoint, files)
    durable.need_space(root, sum(map(len, files.values())))
    durable.write_directory(root / checkpoint.name, files)
    return root / checkpoint.name


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint, after size and SHA-256 of every file were found to be those of the manifest. ``DataError`` if not."""
    about = read_manifest(path)
    data = {name: _verified(path / name, about["files"][name]) for name in (WEIGHTS, ARRAYS, STATE)}
    weights, arrays = (unpacked(data[name], path / name)[0] for name in (WEIGHTS, ARRAYS))
    state = _json(data[STATE], path / STATE)
    return Checkpoint(about["step"], about["epoch"], about["score"], weights, arrays, state)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, checked against its own hash byte by byte."""
    place = path / MANIFEST
    data = _read(place, _SMALL)
    about = _json(data, place)
    try:
        whole = data == _rendered({key: value for key, value in about.items() if key != "sha256"})
        whole = whole and about["format"] == FORMAT and about["files"].keys() == {WEIGHTS, ARRAYS, STATE}
        whole = whole and path.name == Checkpoint(about["step"], about["epoch"], None, {}, {}, {}).name
        whole = whole and all(
            type(file["size"]) is int and type(file["sha256"]) is str for file in about["files"].values()
        )
        whole = whole and isinstance(about["score"], (int, float, type(None)))
    except (KeyError, TypeError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise _damaged(place, "one that differs from what was written")
    return about


def listed(root: Path) -> list[Path]:
    """The checkpoints below ``root``, as training went."""
    found = [(match, entry) for entry in root.glob("step-*.nnx") if (match := _NAME.fullmatch(entry.name))]
    return [entry for _, entry in sorted(found, key=lambda pair: (int(pair[0][1]), int(pair[0][2])))]


def newest(root: Path, tell: Callable[[str], None]) -> tuple[Checkpoint, list[Path]]:
    """The newest whole checkpoint, and the damaged ones after it; ``tell`` gets a line for each of those.

    Errors: ``DataError`` where there is none.
    """
    damaged: list[Path] = []
    for path in reversed(listed(root)):
        try:
            found = read_checkpoint(path)
        except DataError as error:
            tell(f"DAMAGED CHECKPOINT, the one before it is used: {error}")
            damaged.append(path)
            continue
        return found, damaged
    raise DataError(
        expected="a whole checkpoint",
        got=f"{len(damaged)} damaged" if damaged else "none",
        where=str(root),
        fix="Restore one from a copy, or train anew."
        if damaged
        else "Train with checkpoint_every=, then there will be some.",
    )


def _manifest(checkpoint: Checkpoint, files: Mapping[str, bytes]) -> bytes:
    sizes = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    about = {
        "format": FORMAT,
        "step": checkpoint.step,
        "epoch": checkpoint.epoch,
        "score": checkpoint.score,
        "files": sizes,
    }
    return _rendered(about)


def _rendered(about: dict[str, Any]) -> bytes:
    """A manifest as its one possible text: with the hash of that text without the hash."""
    digest = hashlib.sha256(json.dumps(about, allow_nan=False).encode()).hexdigest()
    return json.dumps({**about, "sha256": digest}, indent=1).encode() + b"\n"


def _verified(path: Path, about: dict[str, Any]) -> bytes:
    claim(about["size"], str(path))
    data = _read(path, min(about["size"], _LARGE))
    if len(data) != about["size"]:
        raise _damaged(path, f"{len(data)} bytes of {about['size']}")
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        raise _damaged(path, "other bytes than were written (SHA-256)")
    return data


def _read(path: Path, limit: int) -> bytes:
    try:
        return durable.read_file(path, max(limit, 0))
    except OSError as error:
        raise _damaged(path, f"none that can be read ({error.strerror or error})") from None


def _json(data: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise _damaged(path, "no JSON") from None
    if not isinstance(found, dict):
        raise _damaged(path, "JSON of another kind")
    return found


def _damaged(path: Path, got: str) -> DataError:
    return DataError(
        expected="a file as it was written",
        got=got,
        where=str(path),
        fix="Take an earlier one, or restore it from a copy.",
    )
