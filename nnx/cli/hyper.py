"""The settings of ``nnx train`` as a space to search: which names there are, what they may be, and the space by default."""

import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from nnx import models, optim
from nnx.cli import build
from nnx.cli.config import DATA, FIELDS, KINDS, OUTPUT, Settings, toml
from nnx.data import Dataset
from nnx.data.stream import in_blocks
from nnx.data.targets import did_you_mean
from nnx.errors import ConfigError, NnxError
from nnx.optim.registry import OPTIMIZERS

HIDDEN = "hidden"
MOMENTUM = {"one_minus_log": [-3, -0.3]}
DECAY = {"low": 1e-6, "high": 1e-2, "log": True}
FEW, ENOUGH = 10, 20
"""With fewer trials than the first only the learning rate is searched; with as many as the second, everything below."""
SHARED = {"seed": "draws the split, too", "deterministic": "is settled before NumPy is loaded"}
"""Settings beside those of the data and the files that must be the same in all trials, or their scores could not be compared."""


def default(settings: Settings, trials: int) -> dict[str, Any]:
    """The space where none is given, by importance: the learning rate; then momentum, hidden units and batch size; then
    layers and weight decay. Never β₁, β₂ and ε. The more trials, the more of it."""
    optimizer = settings.optimizer.partition(":")[0].strip()
    plain, by_search = optimizer in ("sgd", "sgdw", "adagrad"), optimizer == "lbfgs"
    space: dict[str, Any] = {"lr": {"low": 1e-3 if plain else 1e-4, "high": 1.0 if plain else 0.1, "log": True}}
    if by_search:  # its line search finds the rate, and it takes all rows at once
        space = {"l2": DECAY}
    if trials < FEW:
        return space
    if "momentum" in options(settings.optimizer):
        space["momentum"] = MOMENTUM
    hidden = models.hidden(settings.model)
    if hidden:
        layers: Any = [1, max(3, len(hidden))] if trials >= ENOUGH else len(hidden)
        space[HIDDEN] = {"layers": layers, "low": 16, "high": 256, "log": True}
    if not by_search:
        space["batch_size"] = {"choices": [16, 32, 64, 128, 256]}
    if trials >= ENOUGH:
        space["weight_decay" if "weight_decay" in options(settings.optimizer) else "l2"] = DECAY
    return space


def options(optimizer: str) -> tuple[str, ...]:
    """The settings that an optimizer's text may have, by its name.

    >>> options("sgd:momentum=0.9")
    ('momentum', 'nesterov', 'averaged')
    """
    kind: Any = OPTIMIZERS.get(optimizer.partition(":")[0].strip())
    config: Mapping[str, Any] = {} if kind is None else kind(1e-3).config()
    return tuple(name for name in config if name not in ("type", "learning_rate"))


def read(file: str) -> tuple[dict[str, Any] | None, Callable[[str], str]]:
    """The table [space] of a configuration file, if it has one, and where each of its names stands."""
    text = Path(file).read_text(encoding="utf-8-sig")
    table = tomllib.loads(text).get("space")
    begin = re.search(r"^\s*\[\s*space\s*[.\]]", text, re.MULTILINE)
    offset = begin.start() if begin else 0

    def where(name: str) -> str:
        key = "[\\s\"']*" + re.escape(name).replace("_", "[-_]") + "[\\s\"']*"
        at = re.compile(rf"^\s*(\[\s*)?(space\s*\.\s*)?{key}(\.|=|\])", re.MULTILINE).search(text, offset)
        line = text.count("\n", 0, at.end() if at else offset) + 1
        return f"{file} (line {line}), {name}"

    if table is not None and not isinstance(table, dict):
        raise ConfigError(
            expected="a table [space]", got=repr(table)[:60], where=where("space"), fix="Write [space] above its names."
        )
    if table is None:
        return None, where
    named: dict[str, Any] = {}
    for key, row in table.items():
        if key.replace("-", "_") in named:
            raise ConfigError(f"{key!r} is given twice", where=where(key), fix="Write it once.")
        named[key.replace("-", "_")] = row
    return named, where


def written(space: Mapping[str, Any]) -> str:
    """The table [space], which :func:`read` reads."""
    return "\n".join(["[space]", *(f"{name.replace('_', '-')} = {toml(row)}" for name, row in space.items())]) + "\n"


def kinds(settings: Settings, names: Any) -> dict[str, str]:
    """For each name of numbers, whether they are whole: as the setting has them."""
    found = {}
    for name in names:
        if name in KINDS:
            known = {option.__name__ for option in (KINDS[name], *get_args(KINDS[name])) if isinstance(option, type)}
            found[name] = "int" if "int" in known else "float" if "float" in known else "text"
        elif name != HIDDEN:
            found[name] = "float"
    return found


def check(space: Mapping[str, Any], settings: Settings, whole: Dataset, where: Callable[[str], str]) -> None:
    """``ConfigError`` for a name that cannot be searched, or an end or a choice that cannot be set."""
    texts = {name: row["choices"] for name, row in space.items() if "choices" in row}
    for name, row in space.items():
        _known(name, settings, texts.get("optimizer", [settings.optimizer]), where(name))
        kind = kinds(settings, [name]).get(name)
        if kind == "text" and "choices" not in row:
            raise ConfigError(
                expected="choices, for it is no number",
                got=repr(row)[:60],
                where=where(name),
                fix="Write choices = […].",
            )
        for value in _extremes(row):
            try:
                _settable(applied(settings, {name: value}), name, value, whole)
            except NnxError as error:
                error.where = where(name)
                raise
    if HIDDEN in space and ("model" in space or not models.hidden(settings.model)):
        raise ConfigError(
            "hidden sets the widths of an mlp",
            expected="a model mlp, and no model in the space",
            got="model in the space" if "model" in space else repr(settings.model),
            where=where(HIDDEN),
            fix="Leave one of the two out.",
        )


def _known(name: str, settings: Settings, optimizers: list[Any], where: str) -> None:
    if name == HIDDEN:
        return
    if name in FIELDS:
        if FIELDS[name].metadata["group"] in (DATA, OUTPUT) or name in SHARED:
            raise ConfigError(
                f"{name} {SHARED.get(name, 'says what is trained on or where it is kept')}: all trials share it",
                where=where,
                fix="Leave it out of the space.",
            )
        return
    for optimizer in optimizers:
        if name not in options(str(optimizer)):
            searchable = [key for key, f in FIELDS.items() if f.metadata["group"] not in (DATA, OUTPUT)]
            raise ConfigError(
                f"unknown name {name!r}",
                expected=f"a setting, hidden, or what the optimizer {optimizer!r} takes: {', '.join(options(str(optimizer)))}",
                where=where,
                fix=did_you_mean(name, [*searchable, HIDDEN, *options(str(optimizer))]),
            )


def _extremes(row: Mapping[str, Any]) -> list[Any]:
    if "choices" in row:
        return list(row["choices"])
    if "one_minus_log" in row:
        return [1 - 10.0**s for s in row["one_minus_log"]]
    if "layers" in row:
        return [[row["low"]], [row["high"]]]
    return [row["low"], row["high"]]


def _settable(settings: Settings, name: str, value: Any, whole: Dataset) -> None:
    """``ConfigError`` unless a training could begin with it."""
    if name in FIELDS:
        known = (KINDS[name], *get_args(KINDS[name]))
        if type(value) not in known and not (isinstance(value, int) and type(value) is not bool and float in known):
            raise ConfigError(
                expected=f"a value like {getattr(Settings(), name)!r}", got=repr(value), fix="Correct the range."
            )
        limit = FIELDS[name].metadata["check"]
        if limit is not None and not limit.holds(value):
            raise ConfigError(expected=limit.expected, got=repr(value), fix="Correct the range.")
    build.loss(settings, whole)
    build.course(settings, len(whole))
    build.plateau(settings)
    build.model(settings, whole)


def allowed(settings: Settings) -> Callable[[str, Any], bool]:
    """Whether a setting may have a value at all: a range is not to be widened beyond that."""

    def may(name: str, value: Any) -> bool:
        if name not in FIELDS:
            try:
                optim.parse_optimizer(applied(settings, {name: value}).optimizer, 0.1)
            except NnxError:
                return False
            return True
        limit = FIELDS[name].metadata["check"]
        return limit is None or bool(limit.holds(value))

    return may


def applied(settings: Settings, params: Mapping[str, Any]) -> Settings:
    """The settings with the values of a trial.

    >>> applied(Settings(optimizer="sgd:nesterov=true"), {"lr": 0.1, "momentum": 0.9, "hidden": [32, 16]}).optimizer
    'sgd:nesterov=true,momentum=0.9'
    """
    own = {name: value for name, value in params.items() if name in FIELDS}
    settings = replace(settings, **own)
    for name, value in params.items():
        if name == HIDDEN:
            settings = replace(settings, model="mlp:" + ",".join(map(str, value)))
        elif name not in FIELDS:
            settings = replace(settings, optimizer=_with_option(settings.optimizer, name, value))
    return settings


def _with_option(optimizer: str, name: str, value: Any) -> str:
    kind, _, rest = optimizer.partition(":")
    kept = [part.strip() for part in rest.split(",") if part.strip() and part.partition("=")[0].strip() != name]
    text = str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)
    return f"{kind.strip()}:{','.join([*kept, f'{name}={text}'])}"


def fingerprint(data: Dataset) -> str:
    """What tells these rows from others."""
    found = hashlib.sha256()
    for array in (data.x, data.y):
        if array is not None:
            found.update(repr((array.shape, str(array.dtype))).encode())
            for block in in_blocks(array):
                found.update(block.tobytes())
    return found.hexdigest()[:16]
