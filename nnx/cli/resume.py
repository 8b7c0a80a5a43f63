"""``nnx resume``: a training that was interrupted goes on."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nnx import backends
from nnx.cli import build, deterministic, display, runs, threads
from nnx.cli.config import Settings
from nnx.cli.saved import settings_of
from nnx.cli.train import CODES, curves, described, ending, outcome, rates, stopping
from nnx.errors import ConfigError, DataError, NnxError
from nnx.layers import Module
from nnx.train import Callback, Run, Snapshots, Statistics
from nnx.train import resume as go_on
from nnx.train.callbacks.checkpoints import say
from nnx.train.files.checkpoint import CHECKPOINTS
from nnx.train.sharing.group import join


def resume(run: str, /, *, backend: str | None = None, json: bool = False) -> int:
    """Go on with a training that was interrupted or killed, from its last checkpoint.

    It ends with the same bits as if it had not been interrupted: order of the rows, dropout, learning rate and early stopping go on where they
    were. On another backend it agrees to roundings. The data are read again from where they were.

    Examples:

    nnx resume runs/digits-001

    nnx resume runs/digits-001 --backend cupy

    mpiexec -n 2 nnx resume runs/digits-001
    """
    group, directory = join(), Path(run)
    settings = settings_of(directory)
    if settings is None:
        raise ConfigError(
            expected=f"the directory of a run of nnx train, with its {runs.CONFIG}",
            got=repr(run),
            where="RUN",
            fix="Give the directory that nnx train named, or use nnx.resume in Python.",
        )
    if not (directory / CHECKPOINTS).is_dir():
        raise DataError(
            expected=f"a run with {CHECKPOINTS}",
            got="none: it ended, or was killed before the first",
            where=run,
            fix=f"Train again with nnx train --config {directory / runs.CONFIG}.",
        )
    deterministic.fixed(settings)
    settings = replace(settings, json=json, backend=backend or settings.backend)
    parts = build.data(settings)
    model, loss = build.model(settings, parts.whole), build.loss(settings, parts.whole)
    course, early, copies = build.course(settings, len(parts.train)), stopping(settings), Snapshots()
    if not group.first:
        return CODES.get(_gone_on(directory, parts, model, course, settings, []).stopped, 0)
    recording = [Statistics(parts.train), copies] if settings.record else []
    shown = display.choose(settings.json)
    shown.begin(
        {"data": parts.whole.name, "directory": run, "resumed": True, "settings": asdict(settings)},
        [
            f"data   {described(parts.whole)}",
            f"run    {directory} goes on, on {settings.backend}",
            *(f"note   {note}" for note in deterministic.notes(settings)),
        ],
    )
    try:
        watching = [shown, *recording, *early, *rates(settings, shown)]
        found = _gone_on(directory, parts, model, course, settings, watching)
    except NnxError:
        shown.close()
        raise
    kept = outcome(found, parts, loss, early)
    seconds = shown.seconds()
    note = ", ".join(said for said in (copies.note, curves(found, directory, parts.whole.name.split(".")[0])) if said)
    shown.finish(*ending(settings, parts, found, kept, seconds, directory, note))
    return CODES.get(found.stopped, 0)


def _gone_on(
    directory: Path,
    parts: build.Parts,
    model: Module,
    course: dict[str, Any],
    settings: Settings,
    watching: list[Callback],
) -> Run:
    with threads.suited(backends.get(settings.backend), model.initialize(settings.seed), settings.batch_size):
        return go_on(
            directory, parts.train, parts.val, model=model, optimizer=course["optimizer"], finish=course["finish"],
            backend=settings.backend, callbacks=watching, checkpoint_every=settings.checkpoint_every, tell=say,
        )  # fmt: skip
