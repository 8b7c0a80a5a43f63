"""``nnx tune``: search the settings of a training, here and on other machines."""

import json as json_format
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nnx import backends
from nnx.cli import build, config, deterministic, hyper, runs, threads
from nnx.cli.config import Settings
from nnx.cli.train import CODES, described
from nnx.data import Dataset
from nnx.errors import ConfigError, DataError
from nnx.train import EarlyStopping, Plateau, Run, fit
from nnx.tune.extra import optuna
from nnx.tune.storage import FILE

BEST, KEPT, PLACE = runs.BEST, runs.SEARCH, "tunes"
TRIALS = 30
"""The directory of a search has search.json (where its trials are kept), config.toml, and what ``Search.write`` writes."""

FLAGS: dict[str, dict[str, Any]] = {
    "trials": {"help": "How many to try, besides the settings as given."},
    "sampler": {"help": "random, or tpe, which learns from the trials so far."},
    "stages": {"help": "coarse-to-fine (three stages, each around the best before it), or a number of stages."},
    "pruner": {"help": "none, or asha: after a ninth and a third of the epochs only the best third goes on."},
    "monitor": {"help": "What is judged, such as val_loss; by default the accuracy or R² on the validation rows."},
    "jobs": {"help": "Worker processes on this machine, each with one thread."},
    "storage": {"help": "URL of a database that workers share; by default an SQLite file in the directory."},
    "study": {"help": "Name of the search in the database; by default that of the directory."},
    "worker": {"help": "Only help with a search that was begun elsewhere.", "negative": ()},
    "heartbeat": {"help": "Seconds between signs of life; after three without, a trial is put back."},
}
"""The flags of the search itself."""

for _about in FLAGS.values():
    _about["group"] = "Search"


def tune(
    source: str | None = None,
    /,
    *,
    config_file: str | None = None,
    trials: int | None = None,
    sampler: str = "random",
    stages: str = "1",
    pruner: str = "none",
    monitor: str | None = None,
    jobs: int = 1,
    storage: str | None = None,
    study: str | None = None,
    worker: bool = False,
    heartbeat: int = 10,
    **flags: Any,
) -> int:
    """Search the settings of a training: try values at random, and keep the best.

    What is searched stands in a table [space] of the --config file; by default it is the learning rate, then momentum,
    hidden units and batch size, then layers and weight decay. The settings as given are tried first. Everything is kept
    in a directory: nnx tune DIRECTORY continues a search, --worker only helps with one that others began, wherever they
    run.

    Examples:

    nnx tune digits

    nnx tune digits --trials 60 --stages coarse-to-fine --pruner asha --jobs 4

    nnx tune --config search.toml --storage postgresql://me@host/searches

    nnx tune --worker --storage postgresql://me@host/searches --study digits-001

    nnx tune tunes/digits-001 --trials 100
    """
    optuna()  # or its absence is told before anything is loaded
    from nnx.cli import tuning

    how = tuning.How(trials, sampler, stages, pruner, monitor, jobs, storage, study, heartbeat)
    known = source is not None and (Path(source) / KEPT).is_file()
    if known or worker:
        own = {"sampler": sampler, "stages": stages, "pruner": pruner, "monitor": monitor}
        plain = {"sampler": "random", "stages": "1", "pruner": "none", "monitor": None}
        others = sorted(set(flags) - {"json"}) + [name for name in own if own[name] != plain[name]]
        if others or config_file:
            name = config.flag(others[0]) if others else "--config"
            raise ConfigError(
                f"{name} is for a new search: this one has its settings",
                where=name,
                fix="Leave it away, or begin a new search.",
            )
        return tuning.join(Path(source) if known and source else None, source, how, worker, bool(flags.get("json")))
    given = flags if source is None else {"source": source, **flags}
    settings = config.merged(given, config_file)
    deterministic.fixed(settings)
    return tuning.new(settings, config_file, how)


class Program:
    """One trial of ``nnx tune``: the settings with its values, trained as ``nnx train`` does. It can be sent to a process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._whole: Dataset | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings, "_whole": None}

    @property
    def whole(self) -> Dataset:
        """The data, loaded once in a process."""
        if self._whole is None:
            self._whole = build.data(self.settings).whole
        return self._whole

    def kept(self) -> dict[str, Any]:
        """What workers elsewhere are told."""
        return {
            "settings": asdict(replace(build.located(self.settings), out=None, json=False)),
            "data": hyper.fingerprint(self.whole),
        }

    def __call__(self, trial: Any) -> Run:
        settings = hyper.applied(self.settings, trial.params)
        parts = build.parts(self.whole, settings)
        backend = backends.get(settings.backend)
        model = build.model(settings, parts.whole).initialize(settings.seed)
        course = build.course(settings, len(parts.train))
        callbacks = [Plateau(reduce, tell=lambda said: None) for reduce in build.plateau(settings)]
        stopping = [EarlyStopping(settings.early_stopping)] if settings.early_stopping else []
        with threads.suited(backend, model, settings.batch_size):
            return fit(
                model, parts.train, parts.val, loss=build.loss(settings, parts.whole), **course, backend=backend,
                seed=settings.seed, callbacks=[*trial.callbacks, *callbacks, *stopping],
            )  # fmt: skip


def of_kept(kept: Any) -> Program:
    """The program of a search that another process began; ``DataError`` if the data here are others."""
    if not isinstance(kept, dict) or "settings" not in kept:
        raise ConfigError(
            "this search was not begun by nnx tune",
            where="study",
            fix="Run the script that began it once more: it joins the search.",
        )
    program = Program(Settings(**kept["settings"]))
    deterministic.fixed(program.settings)
    if hyper.fingerprint(program.whole) != kept["data"]:
        raise DataError(
            expected="the data that the search was begun with",
            got=f"others: {described(program.whole)}",
            where=str(program.settings.source),
            fix="Copy them here.",
        )
    return program


def directory_for(name: str, out: str | None) -> Path:
    """A new directory: ``out``, or the first free of tunes/NAME-001, …; two at once get one each."""
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        return Path(out)
    Path(PLACE).mkdir(exist_ok=True)
    number = 1
    while True:
        place = Path(PLACE) / f"{name}-{number:03d}"
        try:
            place.mkdir()
            return place
        except FileExistsError:
            number += 1


def keep(directory: Path, settings: Settings, space: Any, storage: str | None, study: str) -> None:
    """config.toml, from which the search can be begun anew, and search.json, from which it is continued."""
    head = "A search of nnx. Again: nnx tune --config THIS_FILE"
    lines = [config.written(build.located(settings), head), "[space]"]
    lines += [f"{name.replace('_', '-')} = {inline(row)}" for name, row in space.items()]
    try:
        with (directory / runs.CONFIG).open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except FileExistsError:
        raise ConfigError(
            expected="a directory without a run or a search in it",
            got=str(directory),
            where="--out",
            fix=f"Continue a search with nnx tune {directory}, or choose another.",
        ) from None
    text = json_format.dumps({"storage": storage, "study": study}, indent=1)
    (directory / KEPT).write_text(text + "\n", encoding="utf-8")


def give_up(directory: Path) -> None:
    """Take away what was kept of a search that did not begin: its place is free again."""
    for name in (runs.CONFIG, KEPT, FILE):
        (directory / name).unlink(missing_ok=True)
    with suppress(OSError):  # there are other files in it
        directory.rmdir()


def inline(row: Any) -> str:
    """A range as an inline table of TOML.

    >>> inline({"low": 0.001, "high": 1, "log": True})
    '{ low = 0.001, high = 1, log = true }'
    """
    if isinstance(row, dict):
        return "{ " + ", ".join(f"{key} = {inline(item)}" for key, item in row.items()) + " }"
    if isinstance(row, list):
        return f"[{', '.join(map(inline, row))}]"
    return json_format.dumps(row)


def code_of(stopped: str) -> int:
    """The exit code of a search that ended so."""
    return CODES.get(stopped, 0)
