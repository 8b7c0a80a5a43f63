"""``nnx tune``: search the settings of a training, here and on other machines."""

from pathlib import Path
from typing import Any

from nnx.cli import config, deterministic, runs
from nnx.errors import ConfigError
from nnx.tune.extra import optuna

TRIALS = 30
FLAGS: dict[str, dict[str, Any]] = {
    "trials": {"help": f"How many to try, besides the settings as given; by default {TRIALS}."},
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
    known = source is not None and (Path(source) / runs.SEARCH).is_file()
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
    return tuning.new(settings, config_file, how, TRIALS if trials is None else trials)
