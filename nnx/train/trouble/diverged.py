"""What is told of a training that met something that is no finite number: an error, and diverged.json in the run's directory."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from nnx.errors import DivergedError
from nnx.train.files.weights import write_whole
from nnx.train.run import Run
from nnx.train.trouble.watch import Diverged

DIVERGED = "diverged.json"


def report(
    run: Run, found: Diverged, *, epoch: int, batch: int, loss: float | None, checkpoint: Path | None
) -> dict[str, Any]:
    """What began it and where, as plain values. ``run`` is as it was before the step; steps, epochs and batches count from 1."""
    began, kept = found.began, epoch - 1
    if batch > run.steps_per_epoch:  # between two epochs
        epoch, batch = epoch + 1, 1
    return {
        "kind": began.kind, "where": began.where, "what": began.what, "fix": began.fix, "step": run.step + 1, "epoch": epoch, "batch": batch,
        "bad_rows": list(began.rows), "batch_rows": [] if found.rows is None else np.asarray(found.rows).tolist(),
        "learning_rate": run.learning_rate, "loss_before": loss, "kept_epoch": kept,
        "checkpoint": checkpoint and os.path.relpath(checkpoint, run.directory or "."),
    }  # fmt: skip


def write_report(directory: Path, about: dict[str, Any]) -> None:
    """As diverged.json; a disk that refuses is no reason to end otherwise."""
    with suppress(OSError):
        write_whole(directory / DIVERGED, json.dumps(about, indent=1).encode() + b"\n")


def error_of(about: dict[str, Any], run: Run) -> DivergedError:
    """The error: what was expected where, what came and when, what is kept, and what would help."""
    kind, epoch = about["kind"], about["epoch"]
    expected = {
        "data": "finite data", "gradient": "a finite gradient", "weights": "finite weights", "outside": "finite weights",
        "update": "finite weights", "statistics": "finite statistics",
    }.get(kind, "a finite loss")  # fmt: skip
    when = "" if kind in ("weights", "outside") else f"step {about['step']}, batch {about['batch']} of "
    kept = (
        f"The weights of epoch {about['kept_epoch']} are kept"
        if about["kept_epoch"]
        else "The weights are those it began with"
    )
    if about["checkpoint"] and run.directory:
        kept += f", the state before it in {run.directory / about['checkpoint']}"
    error = DivergedError(
        expected=expected, got=f"{about['what']} ({when}epoch {epoch})", where=about["where"], fix=f"{kept}. {about['fix']}"
    )  # fmt: skip
    error.report = about
    return error
