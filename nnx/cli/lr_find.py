"""``nnx lr-find``: which learning rate to begin with."""

import json as json_format
from pathlib import Path
from typing import Any

from nnx import backends, plot
from nnx.cli import build, config, runs, threads
from nnx.errors import ConfigError
from nnx.optim import LBFGS
from nnx.plot import style
from nnx.train.range_test import RangeTest
from nnx.train.range_test import lr_find as find

FOLDER = Path("lr-find")


def lr_find(
    source: str | None = None,
    /,
    *,
    config_file: str | None = None,
    out: str | None = None,
    force: bool = False,
    **flags: Any,
) -> int:
    """Find a learning rate: train for a hundred steps at rates that rise from 1e-7 to 10, and see when the loss falls.

    Takes the flags of nnx train. Its optimizer is tried at every rate, so --lr and --schedule do not matter. A table
    goes to the terminal, a picture and its numbers to lr-find/NAME-NNN.png and .csv.

    Examples:

    nnx lr-find digits

    nnx lr-find houses.csv --target price --optimizer rmsprop

    nnx lr-find digits --model mlp:256 -o rates.svg
    """
    settings = config.merged(flags if source is None else {"source": source, **flags}, config_file)
    backend = backends.get(settings.backend)
    if out is not None:
        _check_free(Path(out), force)
    parts = build.data(settings)
    optimizer = build.optimizer(settings, len(parts.train))
    if isinstance(optimizer, LBFGS):
        raise ConfigError(
            "lbfgs has no learning rate to find: its line search finds the length of each step",
            where="--optimizer",
            fix="Train with it, or choose another optimizer.",
        )
    model = build.model(settings, parts.whole).initialize(settings.seed)
    file = Path(out) if out is not None else _next(parts.whole.name.split(".")[0] or "run")
    with threads.suited(backend, model, settings.batch_size):
        found = find(
            model, parts.train, loss=build.loss(settings, parts.whole), optimizer=optimizer,
            batch_size=settings.batch_size, backend=backend, seed=settings.seed,
        )  # fmt: skip
    files, note = _drawn(found, file, f"{parts.whole.name}: {settings.model}, {settings.optimizer}")
    if settings.json:
        print(json_format.dumps({**found.to_dict(), "files": files, "note": note or None}))
        return 0
    print(found)
    print(f"files        {', '.join(files)}" + (f"\nnote         {note}" if note else ""))
    if found.suggested is not None:
        print(f"next         nnx train {config.word(settings.source)} --lr {found.suggested:.2g}, with the same flags")
    return 0


def _drawn(found: RangeTest, file: Path, title: str) -> tuple[list[str], str]:
    """The files written, and what to say if there is no picture."""
    try:
        numbers, note = plot.range_test(found, file, title=title), ""
    except plot.PlotUnavailable as error:
        numbers, note = plot.range_test(found), f"no picture. {error.fix}"
    table = numbers.save(file.with_suffix(".csv"))
    return [str(table)] if note else [str(file), str(table)], note


def _next(name: str) -> Path:
    """The first free number."""
    stem = runs.plain(name)
    FOLDER.mkdir(exist_ok=True)
    number = 1
    while any(FOLDER.glob(f"{stem}-{number:03d}.*")):
        number += 1
    return FOLDER / f"{stem}-{number:03d}.png"


def _check_free(picture: Path, force: bool) -> None:
    """``ConfigError`` unless the picture and its numbers can be written there without taking another file's place."""
    style.checked(picture)
    for file in (picture, picture.with_suffix(".csv")):
        if file.exists() and not force:
            raise ConfigError(f"{file} is there already", where="--out", fix="Choose another name, or pass --force.")
    if not picture.parent.is_dir():
        raise ConfigError(f"there is no folder {picture.parent}", where="--out", fix="Make it first, or name another.")
