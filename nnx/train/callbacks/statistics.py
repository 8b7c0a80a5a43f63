"""Statistics: how far each parameter moves, and what the layers give, written down epoch by epoch."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from nnx import backends
from nnx.data import Dataset
from nnx.errors import ConfigError
from nnx.train.callbacks.base import Callback
from nnx.train.callbacks.signals import signals, together
from nnx.train.evaluation import backend_of, input_dtype_of
from nnx.train.files.log import Log, read
from nnx.train.files.weights import write_whole
from nnx.train.record import Record
from nnx.train.run import STATISTICS, Run
from nnx.typing import Array

ROWS = 128
"""Rows that the layers are looked at with."""


class Statistics(Callback):
    """Writes down, for each epoch, the size of the weights and of their steps, and what the layers give.

    ``steps`` steps of each epoch, evenly spaced, are measured: ‖Δw‖ and ‖w‖ for each parameter, their means over the
    steps. With ``train``, up to 128 of its rows go through the model after each epoch: mean and standard deviation of
    what each layer gives, the share of dead ReLU units and of saturated values. The figures stay on the device until
    the epoch ends and are pulled at once. ``statistics.records`` has them; with a directory each is also a line of
    statistics.jsonl.

    For ``nnx.plot.ratios`` and ``nnx.plot.activations``. Errors: ``ConfigError`` for no steps.
    """

    remembers = ("records", "_figures", "_at", "_before")

    def __init__(self, train: Dataset | None = None, *, steps: int = 2) -> None:
        if steps < 1:
            raise ConfigError(
                expected="steps ≥ 1", got=repr(steps), where="Statistics", fix="2 of each epoch are enough."
            )
        self.train, self.steps = train, steps
        self.records: list[dict[str, Any]] = []
        self._figures: list[Array] = []
        self._at = 0

    def on_start(self, run: Run) -> None:
        """Begin anew."""
        self.records, self._figures, self._at = [], [], 0
        self._log: Log | None = None
        self._rows: Array | None = None
        self._before = run.model.parameters()
        if self.train is not None:
            chosen = np.linspace(0, len(self.train) - 1, min(ROWS, len(self.train))).astype(np.int64)
            self._rows = backend_of(run.model).asarray(self.train.x[chosen, ...], dtype=input_dtype_of(run.model))

    def on_resume(self, run: Run, remembered: dict[str, Any]) -> None:
        """Go on; the lines of epochs that come again go."""
        super().on_resume(run, remembered)
        if run.directory is not None:
            lines = "".join(json.dumps(line) + "\n" for line in self.records)
            write_whole(run.directory / STATISTICS, lines.encode())

    def on_step(self, run: Run) -> None:
        """Measure the step, if it is one of those; remember the weights, if the next one is."""
        measured = self._chosen(run)
        if self._at in measured:
            now = run.model.parameters()
            for path, before in self._before.items():
                self._figures += [_norm(now[path] - before), _norm(before)]
        self._at += 1
        if self._at in measured:
            self._before = run.model.parameters()

    def _chosen(self, run: Run) -> set[int]:
        """The steps of the epoch that are measured, counted from 0: evenly spaced. An epoch of L-BFGS is one step."""
        steps, count = run.steps_per_epoch, min(self.steps, run.steps_per_epoch)
        return {int((i + 0.5) * steps / count) for i in range(count)}

    def on_epoch(self, run: Run, record: Record) -> bool | None:
        """Write the epoch down."""
        with np.errstate(all="ignore"):
            table = together(self._figures).reshape(-1, len(self._before), 2)
            table = table.mean(axis=0) if len(table) else np.full((len(self._before), 2), np.nan)
        self._figures, self._at, self._before = [], 0, run.model.parameters()
        parameters = {
            path: {"update": _finite(update), "weight": _finite(weight)}
            for path, (update, weight) in zip(self._before, table.tolist())
        }
        line = {"epoch": record["epoch"], "step": record["step"], "parameters": parameters}
        if self._rows is not None:
            line["layers"] = {
                one.path or one.kind: {
                    name: _finite(value)
                    for name, value in (
                        ("mean", one.mean),
                        ("std", one.std),
                        ("dead", one.dead),
                        ("saturated", one.saturated),
                    )
                    if value is not None
                }
                for one in signals(run.model, self._rows, quantiles=False)
            }
        self.records.append(line)
        if run.directory is not None:
            self._log = self._log or Log(run.directory / STATISTICS)
            self._log.append(json.dumps(line))
        return None

    def on_end(self, run: Run) -> None:
        """Write what has had to wait."""
        if self._log:
            self._log.close()


def _norm(x: Array) -> Array:
    xp = backends.of(x).xp
    return xp.sqrt(xp.sum(x * x))


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def read_statistics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a statistics.jsonl; a last line cut short by a crash is left out.

    Errors: ``DataError`` for a damaged file.
    """
    return read(Path(path), epoch=int, parameters=dict)
