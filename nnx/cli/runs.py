"""The directory of a run, or of a search: made once, never written over, and read again by the other verbs."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nnx.cli.config import word
from nnx.errors import ConfigError, DataError
from nnx.train.callbacks.babysit import CHANGES, RATE
from nnx.train.files import log
from nnx.train.files.checkpoint import CHECKPOINTS
from nnx.train.record import Record
from nnx.train.run import METRICS, MODEL, SNAPSHOTS, STATISTICS
from nnx.tune.storage import FILE as DATABASE

CONFIG, CURVES = "config.toml", "curves.png"
SEARCH, BEST = "search.json", "best.toml"
"""Where the trials of a search are kept, and its best settings."""
RUNS, SEARCHES = Path("runs"), Path("tunes")
"""Where directories are made whose place nobody has named."""
FILES = (CONFIG, METRICS, MODEL, CURVES, STATISTICS, SNAPSHOTS, RATE, CHANGES, SEARCH, DATABASE)


def create(name: str, out: str | None, config: str, above: Path = RUNS) -> Path:
    """A new directory with its config.toml: ``out``, or the next ``runs/NAME-NNN`` that is free. Of two at once, each gets its own.

    Errors: ``ConfigError`` when ``out`` already has a run or a search in it or cannot be written.
    """
    directory: Path | None = None
    try:
        directory = _numbered(name, above) if out is None else _named(Path(out))
        with open(directory / CONFIG, "x", encoding="utf-8") as file:
            file.write(config)
        return directory
    except FileExistsError as error:
        raise ConfigError(
            expected="a directory without a run in it",
            got=str(error.filename),
            where="--out",
            fix=f"Continue its search with nnx tune {word(out)}, or choose another directory."
            if out is not None and (Path(out) / SEARCH).exists()
            else f"Choose another directory, or leave --out away for a new one under {above}/.",
        ) from None
    except UnicodeEncodeError:
        raise ConfigError(
            "a setting is not text that can be written as UTF-8", where="SOURCE", fix="Rename the file."
        ) from None
    except OSError as error:
        if directory is not None:
            discard(directory)
        raise ConfigError(
            f"the run cannot be written there ({error.strerror or error})",
            where=str(out or error.filename or above),
            fix="Choose a place where you may write: --out DIR.",
        ) from None


def _named(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (directory / name).exists():
            raise FileExistsError(None, None, str(directory / name))
    return directory


def _numbered(name: str, above: Path) -> Path:
    stem, taken = plain(name), [0]
    with suppress(FileNotFoundError):
        found = (re.fullmatch(re.escape(stem) + r"-(\d+)", entry) for entry in os.listdir(above))
        taken += [int(one[1]) for one in found if one]
    number = max(taken) + 1
    while True:
        try:
            (above / f"{stem}-{number:03d}").mkdir(parents=True)
            return above / f"{stem}-{number:03d}"
        except FileExistsError:
            if above.exists() and not above.is_dir():
                raise
            number += 1
        except FileNotFoundError:  # a run that never began has taken the folder away just now
            continue


def plain(name: str) -> str:
    """A name of data as a part of a path that needs no quotes.

    >>> plain("my houses (2)"), plain("动物"), plain("😀")
    ('my-houses-2', '动物', 'run')
    """
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"


def discard(directory: Path) -> None:
    """Take back a directory in which no training or search began."""
    if (directory / CHECKPOINTS).exists():
        return
    for name in (CONFIG, METRICS, STATISTICS, SNAPSHOTS, RATE, CHANGES, SEARCH, DATABASE):
        (directory / name).unlink(missing_ok=True)
    with suppress(OSError):  # where it was there before, with other things in it
        directory.rmdir()
        if directory.parent in (RUNS, SEARCHES):
            directory.parent.rmdir()


DATA = (".csv", ".tsv", ".gz", ".parquet", ".pq", ".npz", ".npy")
"""How names of data end, and no model's."""


class Found(NamedTuple):
    """A trained model: its file and, unless that stands alone, its run directory."""

    model: Path
    directory: Path | None


def find(text: str) -> Found:
    """The model that RUN means: a run directory, or a model file."""
    path = Path(text)
    if not path.exists():
        known = sorted(RUNS.glob(f"*/{CONFIG}"), key=lambda one: one.stat().st_mtime)
        fix = f"The last run is {word(known[-1].parent)}." if known else "Train one first: nnx train digits."
        raise ConfigError(
            expected="the directory of a run, or a model file",
            got=f"{text!r}, which does not exist",
            where="RUN",
            fix=fix,
        )
    if path.suffix.lower() in DATA:
        raise ConfigError(
            expected="the directory of a run, or a model file",
            got=f"{text!r}, which is data",
            where="RUN",
            fix="RUN comes first, and DATA after it.",
        )
    if not path.is_dir():
        return Found(path, path.parent if path.name == MODEL and (path.parent / CONFIG).exists() else None)
    if (path / SEARCH).exists():
        raise DataError(
            expected=f"a run with its {MODEL}",
            got="a search of settings",
            where=text,
            fix=f"Train what it found: nnx train --config {word(path / BEST)}.",
        )
    if not (path / MODEL).exists():
        began = (path / CONFIG).exists()
        raise DataError(
            expected=f"a run with its {MODEL}",
            got="a run that has not ended yet" if began else "a directory without one",
            where=text,
            fix=f"Go on with nnx resume {word(path)}."
            if (path / CHECKPOINTS).exists()
            else f"Train again with nnx train --config {word(path / CONFIG)}."
            if began
            else "Give the directory that nnx train named.",
        )
    return Found(path / MODEL, path)


def history(directory: Path) -> list[Record]:
    """The records of a run, an epoch each; none before its first has ended."""
    path = directory / METRICS
    return [*log.read(path, epoch=int)] if path.exists() else []
