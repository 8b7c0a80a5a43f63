"""A trained model with what was saved beside it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnx import backends
from nnx.cli import build, config, runs
from nnx.cli.config import Settings
from nnx.data import Dataset, Schema
from nnx.data import load as load_data
from nnx.errors import ConfigError, DataError
from nnx.layers import Module
from nnx.losses import LOSSES
from nnx.train import load, read_notes
from nnx.train.files.identity import identity


@dataclass(frozen=True)
class Saved:
    """The model on its backend, the schema of its data, the loss and the rows that it was trained with, its run."""

    model: Module
    schema: Schema
    loss: str | None
    trained_on: Any
    settings: Settings | None
    directory: Path | None

    def data(self, source: str, targets: bool = True) -> Dataset:
        """Other data, encoded as this model's were; the keys of an NPZ file are those of training, where it has them.

        Where targets are not asked for, they may be absent, blank or unknown.
        """
        keys: dict[str, str] = {}
        if self.settings is not None and source.lower().endswith(".npz"):
            wanted = {"inputs": self.settings.inputs, "target": self.settings.target}
            keys = {option: key for option, key in wanted.items() if key is not None}
        schema = self.schema if targets else replace(self.schema, task=None)
        return load_data(source, schema=schema, **keys)  # type: ignore[arg-type]

    def parts(self) -> build.Parts:
        """The run's own data, split as they were.

        Errors: ``ConfigError`` for a model file alone, ``DataError`` when the data have changed since.
        """
        if self.settings is None:
            raise ConfigError(
                "a model file alone does not tell its data", where="DATA", fix="Name the data after the run."
            )
        check_source(self.settings, self.directory, ", or name other data")
        parts = build.data(self.settings)
        if identity(parts.train) != self.trained_on:
            raise DataError(
                "the rows to train on are not those that it was trained on",
                where=str(self.settings.source),
                fix="The data have changed since: which rows were held out cannot be told. Name other data.",
            )
        return parts


def open_run(run: str, backend: str) -> Saved:
    """The model of a run directory or a model file, moved to a backend.

    Errors: ``ConfigError`` or ``DataError`` when there is none, or when the file says nothing of its data.
    """
    there = backends.get(backend)
    found = runs.find(run)
    model, notes = load(found.model), read_notes(found.model)
    if not isinstance(notes.get("schema"), dict):
        raise DataError(
            expected="a model file with the schema of its data",
            got="none",
            where=str(found.model),
            fix="Use a model that nnx train or nnx.fit(directory=...) has written, or nnx.predict in Python.",
        )
    loss = notes.get("loss")
    return Saved(
        model.to(there),
        Schema.from_dict(notes["schema"]),
        loss if isinstance(loss, str) and loss in LOSSES else None,
        notes.get("data"),
        settings_of(found.directory),
        found.directory,
    )


def settings_of(directory: Path | None) -> Settings | None:
    """The settings in a run's config.toml, if there is one."""
    if directory is None or not (directory / runs.CONFIG).exists():
        return None
    return config.merged({}, str(directory / runs.CONFIG))


def check_source(settings: Settings, directory: Path | None, otherwise: str = "") -> None:
    """``DataError`` unless the data of a run are where they were."""
    source = settings.source or "digits"
    if directory is not None and source != "digits" and not Path(source).exists():
        raise DataError(
            "the data that it was trained on are not there any more",
            where=source,
            fix=f"Put them back, write where they are into {directory / runs.CONFIG}, line source{otherwise}.",
        )


def same_source(settings: Settings | None, source: str) -> bool:
    """Whether a source is the one that the run was trained on."""
    if settings is None or settings.source is None:
        return False
    return "digits" == source == settings.source or str(Path(source).absolute()) == settings.source
