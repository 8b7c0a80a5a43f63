"""Snapshots: copies of the weights kept while a model trains, for the path that they took."""

import os
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnx import backends
from nnx.errors import ConfigError, DataError
from nnx.train.callbacks.base import Callback
from nnx.train.files.weights import read_arrays, write_arrays
from nnx.train.record import Record
from nnx.train.run import SNAPSHOTS, Run
from nnx.typing import Array


class Snapshot(NamedTuple):
    """The trainable parameters by path after an epoch; epoch 0 is before the first step."""

    epoch: int
    weights: dict[str, Array]


class Snapshots(Callback):
    """Keeps the trainable parameters before the first step and after epochs, evenly spaced, for ``nnx.plot.trajectory``.

    There are never more than ``most`` copies, nor more bytes than ``megabytes`` · 2²⁰: when it is full every second one
    is let go; the last epoch is always among them. A copy is no work: an array that somebody holds never changes, so it
    is one more reference on the device. ``snapshots.kept`` has them; with a directory they are also written to
    snapshots.safetensors, as the run ends. Where the bound leaves no room for three, none are kept, and
    ``snapshots.note`` says so.

    Errors: ``ConfigError`` for fewer than 3.
    """

    def __init__(self, most: int = 20, *, megabytes: float = 64.0) -> None:
        if most < 3:
            raise ConfigError(expected="most ≥ 3 copies", got=repr(most), where="Snapshots", fix="20 is usual.")
        self.most, self.megabytes = most, megabytes
        self.kept: list[Snapshot] = []
        self.note = ""

    def on_start(self, run: Run) -> None:
        """The weights before the first step."""
        weights = run.model.parameters()
        size = sum(prod(w.shape) * _bytes(w) for w in weights.values())
        room = int(self.megabytes * 2**20 // max(size, 1))
        self._room, self._every, self.kept, self.note = min(self.most, room), 1, [], ""
        if self._room < 3:
            self.note = f"no copies of the weights: three would take {3 * size / 2**20:,.0f} MiB of {self.megabytes:g}"
        else:
            self.kept = [Snapshot(0, weights)]

    def remembered(self) -> dict[str, Any]:
        """The copies, and how far apart they are."""
        kept = [{"epoch": one.epoch, "weights": one.weights} for one in self.kept]
        return {"kept": kept, "every": self._every, "room": self._room, "note": self.note}

    def on_resume(self, run: Run, remembered: dict[str, Any]) -> None:
        """Go on with the copies of before."""
        self.on_start(run)
        if remembered:
            self._every, self._room, self.note = (remembered[name] for name in ("every", "room", "note"))
            self.kept = [Snapshot(one["epoch"], one["weights"]) for one in remembered["kept"]]

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """Keep this epoch, if its turn has come; the last one stays until the next."""
        if not self.kept or not np.isfinite(record["loss"]):
            return None
        if self.kept[-1].epoch % self._every:
            self.kept.pop()
        self.kept.append(Snapshot(record["epoch"], run.model.parameters()))
        if len(self.kept) > self._room:
            self._every *= 2
            last = self.kept[-1]
            self.kept = [one for one in self.kept if one.epoch % self._every == 0 or one is last]
        return None

    def on_end(self, run: Run) -> None:
        """Write them beside the run."""
        if run.directory is not None and len(self.kept) > 1:
            try:
                write_snapshots(run.directory / SNAPSHOTS, self.kept)
            except OSError as error:
                self.note = f"no {SNAPSHOTS} ({error.strerror or error})"


def _bytes(array: Array) -> int:
    return int(backends.of(array).xp.finfo(array.dtype).bits) // 8


def write_snapshots(path: str | os.PathLike[str], kept: list[Snapshot]) -> None:
    """All snapshots in one file, from whatever backend they are on."""
    arrays = {f"{epoch}/{name}": backends.of(w).to_numpy(w) for epoch, weights in kept for name, w in weights.items()}
    write_arrays(path, arrays, {"format": "nnx snapshots 1"})


def read_snapshots(path: str | os.PathLike[str]) -> list[Snapshot]:
    """The snapshots in a file, by rising epoch, as host arrays.

    Errors: ``DataError`` for another or a damaged file.
    """
    arrays, metadata = read_arrays(Path(path))
    if metadata.get("format") != "nnx snapshots 1":
        raise DataError(
            expected="a file of snapshots",
            got="another safetensors file",
            where=str(path),
            fix="Name the snapshots.safetensors of a run.",
        )
    epochs: dict[int, dict[str, Any]] = {}
    for name, array in arrays.items():
        epoch, _, weight = name.partition("/")
        if not epoch.isdecimal():
            raise DataError(
                expected="names such as 3/layers.0.weight",
                got=repr(name)[:60],
                where=str(path),
                fix="Name the snapshots.safetensors of a run.",
            )
        epochs.setdefault(int(epoch), {})[weight] = array
    return [Snapshot(epoch, epochs[epoch]) for epoch in sorted(epochs)]
