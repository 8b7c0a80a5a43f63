"""``nnx resume``: a training that was interrupted goes on."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nnx import backends
from nnx.cli import build, deterministic, display, runs, threads
from nnx.cli.config import Settings, merged, word
from nnx.cli.new_rate import NewRate
from nnx.cli.saved import check_source, settings_of
from nnx.cli.train import CODES, curves, described, ending, outcome, rates, stopping
from nnx.errors import ConfigError, DataError, NnxError
from nnx.layers import Module
from nnx.train import Callback, Run, Snapshots, Statistics
from nnx.train import resume as go_on
from nnx.train.callbacks.checkpoints import say
from nnx.train.files.checkpoint import CHECKPOINTS
from nnx.train.sharing.joining import join


def resume(run: str, /, *, backend: str | None = None, lr: float | None = None, json: bool = False) -> int:
    """Go on with a training that was interrupted or killed, from its last checkpoint.

    It ends with the same bits as if it had not been interrupted: order of the rows, dropout, learning rate and early
    stopping go on where they were. On another backend it agrees to roundings. The data are read again from where they
    were.

    With --lr it goes on with another learning rate. As in nnx train that is the rate where the schedule begins: the
    schedule goes on where it is, as if it had begun there, and what a plateau has taken from the rate stays taken. The
    run's config.toml then has the new rate, so that a second resume goes on with it, and rate-changes.csv has a line.

    Examples:

    nnx resume runs/digits-001

    nnx resume runs/digits-001 --backend cupy

    nnx resume runs/digits-001 --lr 1e-3

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
    before = settings
    if lr is not None:
        settings = merged({"lr": lr}, str(directory / runs.CONFIG))
        _refuse_lbfgs(settings)
    if not (directory / CHECKPOINTS).is_dir():
        raise DataError(
            expected=f"a run with {CHECKPOINTS}",
            got="none: it ended, or was killed before the first",
            where=run,
            fix=f"Train again with nnx train --config {word(directory / runs.CONFIG)}.",
        )
    deterministic.fixed(settings)
    settings = replace(settings, json=json, backend=backend or settings.backend)
    check_source(settings, directory)
    parts = build.data(settings)
    model, loss = build.model(settings, parts.whole), build.loss(settings, parts.whole)
    course, early, copies = build.course(settings, len(parts.train)), stopping(settings), Snapshots()
    if not group.first:
        return CODES.get(_gone_on(directory, parts, model, course, settings, []).stopped, 0)
    recording = [Statistics(parts.train), copies] if settings.record else []
    rated = [] if settings.lr == before.lr else [_new_rate(directory, before, settings.lr, len(parts.train))]
    shown = display.choose(settings.json)
    shown.begin(
        {"data": parts.whole.name, "directory": run, "resumed": True, "settings": asdict(settings)},
        [
            f"data   {described(parts.whole)}",
            f"run    {directory} goes on, on {settings.backend}",
            *(f"lr     {one.old:g} → {one.new:g}, where its schedule begins" for one in rated),
            *(f"note   {note}" for note in deterministic.notes(settings)),
        ],
    )
    try:
        watching = [*rated, shown, *recording, *early, *rates(settings, shown)]
        found = _gone_on(directory, parts, model, course, settings, watching)
    except NnxError:
        shown.close()
        raise
    kept = outcome(found, parts, loss, early)
    seconds = shown.seconds()
    note = ", ".join(said for said in (copies.note, curves(found, directory, parts.whole.name.split(".")[0])) if said)
    shown.finish(*ending(settings, parts, found, kept, seconds, directory, note))
    return CODES.get(found.stopped, 0)


def _new_rate(directory: Path, before: Settings, lr: float, rows: int) -> NewRate:
    return NewRate(directory, before.lr, lr, build.optimizer(before, rows), before.epochs)


def _refuse_lbfgs(settings: Settings) -> None:
    if settings.optimizer.partition(":")[0].strip() == "lbfgs":
        raise ConfigError(
            expected="no such setting for lbfgs: its line search finds the length of each step",
            got=repr(settings.lr),
            where="--lr",
            fix="Leave it away.",
        )


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
