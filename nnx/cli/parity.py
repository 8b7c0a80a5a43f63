"""``nnx parity``: whether other backends compute what the first one does."""

import json as json_format
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnx import parity as compared
from nnx.cli import build, config, runs
from nnx.cli.saved import settings_of
from nnx.errors import ConfigError
from nnx.layers import Module
from nnx.optim import LBFGS, Adam
from nnx.train import load
from nnx.train.checks import prepare

DEPARTS = 3


def parity(
    source: str | None = None,
    /,
    *,
    config_file: str | None = None,
    backends: str = "numpy,torch",
    steps: int = 5,
    **flags: Any,
) -> int:
    """Compare backends: what each layer gives, each gradient, each step; and the first operation that departs.

    SOURCE is data, with the flags of nnx train, or the directory of a run: then its weights and settings are taken. The
    first backend is the reference, and computes in float64, too, which tells which of two is further from the truth.
    The exit code is 3 if one departs by more than its arithmetic allows.

    Examples:

    nnx parity digits --backends numpy,cupy

    nnx parity runs/digits-001 --backends numpy,torch,jax

    nnx parity digits --model cnn:8 --backends numpy,torch:cuda --steps 20
    """
    chosen = [name.strip() for name in backends.split(",") if name.strip()]
    if len(chosen) < 2:
        raise ConfigError(
            expected="two backends or more, the reference first",
            got=repr(backends),
            where="--backends",
            fix="Write for example --backends numpy,torch.",
        )
    if steps < 1:
        raise ConfigError(
            expected="a whole number ≥ 1", got=str(steps), where="--steps", fix="Write for example --steps 10."
        )
    directory = Path(source) if source is not None and (Path(source) / runs.CONFIG).is_file() else None
    settings = _settings(source, directory, config_file, flags)
    parts = build.data(settings)
    model = _model(settings, parts, directory)
    optimizer = build.optimizer(settings, len(parts.train))
    report = compared(
        model, parts.train, backends=chosen, loss=build.loss(settings, parts.whole), batch_size=settings.batch_size,
        optimizer=Adam(settings.lr) if isinstance(optimizer, LBFGS) else optimizer, steps=steps, seed=settings.seed,
    )  # fmt: skip
    print(json_format.dumps(report.to_dict()) if settings.json else report)
    return 0 if report.agrees else DEPARTS


def _settings(source: str | None, directory: Path | None, file: str | None, flags: dict[str, Any]) -> config.Settings:
    if directory is None:
        return config.merged(flags if source is None else {"source": source, **flags}, file)
    kept = settings_of(directory)
    return replace(kept, **flags) if kept is not None and file is None else config.merged(flags, file)


def _model(settings: config.Settings, parts: build.Parts, directory: Path | None) -> Module:
    """The run's model, or the one that these settings would begin with."""
    if directory is not None:
        return load(runs.find(str(directory)).model)
    model = build.model(settings, parts.whole).initialize(settings.seed)
    prepare(model, parts.train, settings.seed)
    return model
