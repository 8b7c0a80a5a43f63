"""A search from its arguments to its result: begun, joined or continued."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nnx.errors import ConfigError
from nnx.tune import storage as storages
from nnx.tune.extra import quiet
from nnx.tune.jobs import run_jobs
from nnx.tune.search import Search, look
from nnx.tune.stages import COARSE_TO_FINE
from nnx.tune.study import Plan, Study, join, open_or_create
from nnx.tune.worker import Train, check_train, work


def begin(
    train: Train,
    space: Mapping[str, Any],
    *,
    directory: str | os.PathLike[str] | None,
    storage: str | None,
    name: str | None,
    stages: int | str,
    jobs: int,
    heartbeat: int,
    tell: Callable[[Search], None] | None,
    **rest: Any,
) -> Search:
    """What ``nnx.tune`` does."""
    check_train(train)
    plan = Plan(space, {}, stages=stages_of(stages), jobs=jobs, **rest).check()
    place = None if directory is None else Path(directory)
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    study = opened(plan, storages.url_of(storage, place), name or (place.name if place else "search"), heartbeat)
    try:
        return go(study, train, jobs, heartbeat, place, tell)
    finally:
        storages.close(study.storage)


def opened(plan: Plan, url: str | None, name: str, heartbeat: int) -> Study:
    """The search of this name, laid out if it is not there."""
    store = storages.connect(url, heartbeat)
    try:
        with quiet():
            return open_or_create(url, store, name, plan)
    except BaseException:
        storages.close(store)
        raise


def stages_of(stages: int | str) -> int:
    """How many stages that is; ``coarse-to-fine`` is three."""
    if stages == "coarse-to-fine":
        return COARSE_TO_FINE
    if not isinstance(stages, int) or isinstance(stages, bool):
        raise ConfigError(expected="a number of stages, or coarse-to-fine", got=repr(stages), where="stages")
    return stages


def go(
    study: Study,
    train: Train,
    jobs: int,
    heartbeat: int,
    directory: Path | None,
    tell: Callable[[Search], None] | None,
) -> Search:
    """Work on a search to its end or to ^C, and keep the numbers."""

    def told() -> None:
        if tell is not None:
            tell(look(study, judge=False))

    with quiet():
        try:
            stopped = (
                run_jobs(study, train, jobs, heartbeat, told) if jobs > 1 else work(study, train, told, lambda: True)
            )
        except KeyboardInterrupt:  # between two trials
            stopped = "interrupted"
        found = look(study, stopped)
    if directory is not None:
        found.write(directory)
    return found


def joined(storage: str, name: str | None, heartbeat: int) -> Study:
    """A search that is there, by the URL of its storage and, if it is not alone there, its name."""
    url = storages.url_of(storage, None)
    store = storages.connect(url, heartbeat)
    try:
        with quiet():
            return join(url, store, name or storages.only_name(store, url))
    except BaseException:
        storages.close(store)
        raise
