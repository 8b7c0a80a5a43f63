"""From settings to the objects that ``nnx.fit`` takes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnx import models, optim
from nnx.cli.config import Settings
from nnx.data import Dataset, batch_count, load, split
from nnx.errors import ConfigError, DataError
from nnx.layers import Sequential, Unstandardize
from nnx.optim.penalty import penalize
from nnx.train.evaluation import default_loss

LOSSES = {"classification": ("cross_entropy", "hinge"), "regression": ("mse", "l1", "huber")}
LENGTHS = {"cosine": "length", "one_cycle": "length", "linear": "length"}
"""Schedules that run over the whole training unless their length is given, with the name of that setting."""


@dataclass(frozen=True)
class Parts:
    """A data set and its parts; a part that was not asked for is None."""

    whole: Dataset
    train: Dataset
    val: Dataset | None
    test: Dataset | None


def data(settings: Settings) -> Parts:
    """Load the source and split it: seeded, stratified, never by position."""
    if settings.source is None:
        raise ConfigError(
            "there is no data to train on",
            where="SOURCE",
            fix="Write for example nnx train digits, or set source in the file.",
        )
    options = {name: getattr(settings, name) for name in ("target", "header", "inputs", "drop", "categorical")}
    given = {name: value for name, value in options.items() if value is not None}
    try:
        whole = load(settings.source, task=settings.task, **given)
    except DataError as error:
        if error.what == "there are no targets":
            error.fix = "Say which array they are: --target NAME."
        raise
    return parts(whole, settings)


def parts(whole: Dataset, settings: Settings) -> Parts:
    """The parts of a data set that these settings ask for; the same settings give the same parts."""
    if settings.val + settings.test >= 1:
        raise ConfigError(
            expected="rows left to train on",
            got=f"{settings.val:g} to validate and {settings.test:g} to test",
            where="--val",
            fix="Hold out less, for example --val 0.2.",
        )
    shares = {"train": 1 - settings.val - settings.test, "val": settings.val, "test": settings.test}
    wanted = {name: share for name, share in shares.items() if share > 0}
    if len(wanted) == 1:
        return Parts(whole, whole, None, None)
    found = dict(zip(wanted, split(whole, tuple(wanted.values()), seed=settings.seed)))
    return Parts(whole, found["train"], found.get("val"), found.get("test"))


def model(settings: Settings, whole: Dataset) -> Sequential:
    """The model for this data; for real targets its last layer gives them in their own unit."""
    built = models.build(
        settings.model, whole.x.shape[1:], whole.outputs or 1, activation=settings.activation, dropout=settings.dropout,
        batch_norm=settings.batch_norm, standardize=settings.standardize,
    )  # fmt: skip
    if whole.task == "regression" and settings.standardize:
        return Sequential(*built.layers, Unstandardize(whole.outputs or 1))
    return built


def loss(settings: Settings, whole: Dataset) -> str:
    """The loss by name."""
    known = LOSSES[whole.task or "regression"]
    if settings.loss is None:
        return default_loss(whole.task)
    if settings.loss not in known:
        raise ConfigError(
            expected=f"a loss for {whole.task}: {', '.join(known)}",
            got=repr(settings.loss),
            where="--loss",
            fix="Choose one of those, or another --task.",
        )
    return settings.loss


def optimizer(settings: Settings, rows: int) -> optim.Optimizer:
    """The optimizer with its schedule, behind the penalties and the clipping of the gradient."""
    rate = optim.parse_schedule(_timed(settings, rows), settings.lr)
    transforms: list[Any] = []
    if settings.l1 or settings.l2:
        transforms.append(penalize(l2=settings.l2, l1=settings.l1))
    if settings.clip_norm is not None:
        transforms.append(optim.clip_by_global_norm(settings.clip_norm))
    last = optim.parse_optimizer(settings.optimizer, rate)
    return optim.chain(*transforms, last) if transforms else last


def _timed(settings: Settings, rows: int) -> str:
    """The schedule's text, with the length of the training where it needs one and has none."""
    text = settings.schedule.strip()
    name, _, rest = text.partition(":")
    given = {item.partition("=")[0].strip(): item.partition("=")[2].strip() for item in rest.split(",")}
    needed = LENGTHS.get(name.strip())
    if needed is None or needed in given:
        return text
    steps = batch_count(rows, settings.batch_size) if given.get("per") == "step" else 1
    try:
        length = settings.epochs * steps - float(given.get("warmup", 0))
    except ValueError:
        return text
    return f"{text}{',' if rest else ':'}{needed}={length:g}"


def located(settings: Settings) -> Settings:
    """The same settings with the source's whole path, so that the run can be repeated from any directory."""
    if settings.source is None or settings.source == "digits":
        return settings
    return replace(settings, source=str(Path(settings.source).absolute()))
