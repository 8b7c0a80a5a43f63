"""What ``nnx tune`` tunes: a training by the settings of ``nnx train``, with the values of a trial."""

from dataclasses import asdict, replace
from typing import Any

from nnx import backends
from nnx.cli import build, deterministic, hyper, threads
from nnx.cli.config import Settings
from nnx.cli.train import described
from nnx.data import Dataset
from nnx.errors import ConfigError, DataError
from nnx.train import EarlyStopping, Plateau, Run, fit


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
