"""``nnx.tune``: one object to call, which loads Optuna and the rest when a search begins."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnx.tune.search import Search
    from nnx.tune.space import Space
    from nnx.tune.trial import Trial


class Tune:
    """``nnx.tune(train, space)``: search hyper-parameters. See :meth:`__call__`."""

    @property
    def Space(self) -> "type[Space]":  # noqa: N802 (a class)
        """The names and ranges of a search, checked."""
        from nnx.tune.space import Space

        return Space

    def __call__(
        self,
        train: "Callable[[Trial], Any]",
        space: Mapping[str, Any],
        *,
        trials: int = 30,
        monitor: str = "val_loss",
        sampler: str = "random",
        stages: int | str = 1,
        pruner: str | None = None,
        jobs: int = 1,
        seed: int = 0,
        first: Mapping[str, Any] | None = None,
        directory: str | os.PathLike[str] | None = None,
        storage: str | None = None,
        name: str | None = None,
        heartbeat: int = 10,
        tell: "Callable[[Search], None] | None" = None,
    ) -> "Search":
        """Try values from a space, and say which are the best.

        ``train(trial)`` builds a model with ``trial["lr"]`` and the like and returns ``nnx.fit(…,
        callbacks=trial.callbacks)``, whose ``monitor`` for the weights that it kept (those of the last epoch, or what
        ``EarlyStopping`` went back to) is the trial's score: accuracy and r2 are maximised, all else is minimised. Or
        it returns that number itself. ``space`` is a table of names and ranges as in ``nnx/tune/space.py``, ``first`` a
        configuration to try before any is drawn.

        ``sampler`` is random (each draw a function of seed, name and number of the trial: the same with any number of
        workers) or tpe. ``stages="coarse-to-fine"`` shrinks the space around the best twice. ``pruner="asha"`` ends
        hopeless trials. A trial that fails is kept with its reason, and the search goes on.

        With ``directory`` (an SQLite file in it) or ``storage`` (a database's URL) and ``name`` the search is kept: calling
        again continues it, calls at the same time share it, and trials of a worker that was killed are put back after three
        ``heartbeat`` seconds. ``jobs`` starts so many processes here. ``tell`` is called after each trial, with all so far.

        Errors: ``TuneUnavailable`` without Optuna, ``ConfigError`` for arguments that make no sense or another search
        there.
        """
        from nnx.tune.extra import optuna

        optuna()  # or TuneUnavailable, before the files that build on it are loaded
        from nnx.tune.begin import begin

        return begin(
            train, space, trials=trials, monitor=monitor, sampler=sampler, stages=stages, pruner=pruner, jobs=jobs, seed=seed,
            first=first, directory=directory, storage=storage, name=name, heartbeat=heartbeat, tell=tell,
        )  # fmt: skip

    def __repr__(self) -> str:
        return "nnx.tune"


tune = Tune()
