"""From settings to the objects that ``nnx.fit`` takes."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnx import models, optim
from nnx.cli.config import FIELDS, Settings, flag
from nnx.data import Dataset, batch_count, load, split
from nnx.errors import ConfigError, DataError
from nnx.layers import Sequential, Unstandardize
from nnx.optim.penalty import penalize
from nnx.train.objective import default_loss

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
    least = 2 if whole.task == "regression" else 1  # R² compares rows with their mean
    try:
        found = dict(zip(wanted, split(whole, tuple(wanted.values()), seed=settings.seed)))
    except ConfigError:  # the shares sum to 1
        found = {}
    if few := [name for name in wanted if name != "train" and len(found.get(name, ())) < least]:
        said = ", ".join(f"{share:g} to {name}" for name, share in wanted.items())
        enough = max(0.2, math.ceil(100 * least / len(whole)) / 100)
        raise ConfigError(
            expected=f"{'two rows' if least == 2 else 'a row'} or more in each part",
            got=f"{len(whole)} in all, {said}",
            where=f"--{few[0]}",
            fix=f"Hold out another share, such as --{few[0]} {enough:g}, or give more rows."
            if len(whole) >= least + 2  # of one row alone nothing is learnt
            else "Give more rows.",
        )
    return Parts(whole, found["train"], found.get("val"), found.get("test"))


def model(settings: Settings, whole: Dataset) -> Sequential:
    """The model for this data; for real targets its last layer gives them in their own unit."""
    built = models.build(
        settings.model, whole.x.shape[1:], whole.outputs or 1, activation=settings.activation, dropout=settings.dropout,
        batch_norm=batch_norm(settings), standardize=settings.standardize, image_shape=whole.image_shape,
    )  # fmt: skip
    if whole.task == "regression" and settings.standardize:
        return Sequential(*built.layers, Unstandardize(whole.outputs or 1))
    return built


def batch_norm(settings: Settings) -> bool:
    """Whether the model has batch norm: it is the default, but not of a transformer (asked for, it is refused; see ``config.merged``)."""
    return settings.batch_norm and _name(settings.model) != "transformer"


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


def course(settings: Settings, rows: int) -> dict[str, Any]:
    """The arguments of ``fit`` that say how it goes: optimizer and epochs, and what takes over after them."""
    return {
        "optimizer": optimizer(settings, rows), "epochs": settings.epochs,
        "finish": finish(settings), "finish_epochs": settings.finish_epochs, "batch_size": settings.batch_size,
    }  # fmt: skip


def optimizer(settings: Settings, rows: int) -> optim.Optimizer | optim.LBFGS:
    """The optimizer with its schedule, behind the penalties and the clipping of the gradient."""
    if _name(settings.optimizer) == "lbfgs":
        for name in ("lr", "schedule", "clip_norm", "finish", "babysit"):
            _refuse(settings, name)
        return _lbfgs(settings, settings.optimizer)
    rate = optim.parse_schedule(_timed(settings, rows), settings.lr)
    transforms = _penalties(settings)
    if settings.clip_norm is not None:
        transforms.append(optim.clip_by_global_norm(settings.clip_norm))
    last = optim.parse_optimizer(settings.optimizer, rate)
    return optim.chain(*transforms, last) if transforms else last


def finish(settings: Settings) -> optim.LBFGS | None:
    """What takes over when the epochs are over."""
    if settings.finish is not None:
        try:
            return _lbfgs(settings, settings.finish)
        except ConfigError as error:
            if (error.where or "").startswith("optimizer"):
                error.where = f"--finish {settings.finish}"
            raise
    if settings.finish_epochs != FIELDS["finish_epochs"].default:
        raise ConfigError(
            "there is nothing to finish with", where="--finish-epochs", fix="Say what takes over: --finish lbfgs."
        )
    return None


def plateau(settings: Settings) -> list[optim.ReduceOnPlateau]:
    """The callback that ``--schedule plateau`` asks for."""
    found = optim.parse_plateau(settings.schedule)
    return [] if found is None else [found]


def _name(text: str) -> str:
    return text.partition(":")[0].strip()


def _penalties(settings: Settings) -> list[Any]:
    return [penalize(l2=settings.l2, l1=settings.l1)] if settings.l1 or settings.l2 else []


def _lbfgs(settings: Settings, text: str) -> optim.LBFGS:
    if settings.l1:
        raise ConfigError(
            expected="a smooth penalty for L-BFGS: |w| has a kink at 0, where it gets stuck",
            got=f"{settings.l1:g}",
            where="--l1",
            fix="Use --l2, or another optimizer.",
        )
    return optim.parse_lbfgs(text).behind(tuple(_penalties(settings)))


def _refuse(settings: Settings, name: str) -> None:
    """``ConfigError`` for a setting that means nothing to L-BFGS."""
    value = getattr(settings, name)
    if value != FIELDS[name].default:
        raise ConfigError(
            expected="no such setting for lbfgs: its line search finds the length of each step",
            got=repr(value),
            where=flag(name),
            fix="Leave it away, or use another optimizer.",
        )


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
