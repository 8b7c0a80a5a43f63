"""By name: ``from_config`` for what a file says, ``parse_schedule`` and ``parse_optimizer`` for what a flag says."""

from typing import Any

from nnx.errors import ConfigError
from nnx.optim import check
from nnx.optim.adagrad import Adagrad
from nnx.optim.adam import Adam, AdamW
from nnx.optim.base import Optimizer
from nnx.optim.clip import clip_by_global_norm, clip_by_norm, clip_by_value
from nnx.optim.config import Configured, build
from nnx.optim.constraint import Constrained
from nnx.optim.cycles import CosineDecay, Linear, OneCycle, Warmup
from nnx.optim.lbfgs import LBFGS
from nnx.optim.penalty import penalize
from nnx.optim.plateau import ReduceOnPlateau
from nnx.optim.rmsprop import RMSprop
from nnx.optim.schedules import Constant, ExponentialDecay, InverseDecay, InverseRootDecay, Schedule, StepDecay, Table
from nnx.optim.sgd import SGD, SGDW
from nnx.optim.transform import Chain

OPTIMIZERS: dict[str, type[Optimizer]] = {
    kind.name: kind for kind in (SGD, SGDW, Adagrad, RMSprop, Adam, AdamW)
}  # fmt: skip
"""The optimizers by the names that files and flags use."""

SCHEDULES: dict[str, type[Schedule]] = {
    kind.name: kind
    for kind in (
        Constant, StepDecay, ExponentialDecay, InverseDecay, InverseRootDecay, Table, Linear, CosineDecay, Warmup, OneCycle,
    )
}  # fmt: skip
"""The schedules by the names that files and flags use."""

KINDS: dict[str, type[Configured]] = {
    **OPTIMIZERS,
    **SCHEDULES,
    **{kind.name: kind for kind in (Chain, Constrained, LBFGS, ReduceOnPlateau, clip_by_value, clip_by_norm, clip_by_global_norm, penalize)},
}  # fmt: skip


def from_config(config: Any) -> Any:
    """The optimizer, schedule or transform that ``x.config()`` described.

    >>> from_config(
    ...     {"type": "adam", "learning_rate": {"type": "step", "learning_rate": 0.01, "every": 5}}
    ... ).learning_rate.every
    5
    >>> from_config({"type": "adam", "learning_rte": 0.01})
    Traceback (most recent call last):
    nnx.errors.ConfigError: config: adam has no setting 'learning_rte', expected one of learning_rate, beta1, beta2, eps, amsgrad, got learning_rte=0.01. Did you mean learning_rate?

    Raises ``ConfigError`` for an unknown type or key, a missing one, and every value that the class itself refuses.
    """
    return build(KINDS, config)


def parse_schedule(text: str, learning_rate: float) -> Schedule:
    """A schedule from a flag: ``name`` or ``name:key=value,key=value``; its α₀ is ``learning_rate``.

    ``warmup=5`` beside the settings of any schedule puts a linear warm-up of that length before it; a table is written
    as ``table:10=0.01,20=0.001``. ``plateau`` is constant: what lowers it while it trains is :func:`parse_plateau` of
    the same text.

    >>> parse_schedule("step:every=20,factor=0.5", 0.1).bind(100)(2000)
    0.05
    >>> parse_schedule("cosine:length=95,warmup=5", 0.1).then.length
    95

    Raises ``ConfigError`` for an unknown name or key, and for a value out of range.
    """
    where = f"schedule {text!r}"
    name, settings = _parse(text, where)
    if name not in SCHEDULES or name == "warmup":
        known = {key: kind for key, kind in SCHEDULES.items() if key != "warmup"}
        build({**known, "plateau": ReduceOnPlateau}, {"type": name}, where)
    if name == "plateau":
        parse_plateau(text)
        name, settings = "constant", {key: value for key, value in settings.items() if key == "warmup"}
    if name == "table":
        rates = sorted((key, value) for key, value in settings.items() if isinstance(key, (int, float)))
        settings = {key: value for key, value in settings.items() if isinstance(key, str)} | {"rates": tuple(rates)}
    warmup = settings.pop("warmup", None)
    start = "start" if name == "linear" else "learning_rate"
    if start in settings:
        raise ConfigError(
            f"{start} is given twice",
            expected="it as the learning rate",
            got=f"{start}={settings[start]}",
            where=where,
            fix="Use --lr.",
        )
    schedule: Schedule = _built(SCHEDULES, {"type": name, start: learning_rate, **settings}, where)
    if warmup is None:
        return schedule
    check.positive(warmup, name="warmup", where=where, example="5")
    return Warmup(schedule, length=warmup, per=schedule.per, steps_per_epoch=schedule.steps_per_epoch)


def parse_plateau(text: str) -> ReduceOnPlateau | None:
    """What ``plateau:factor=0.5,patience=5`` says; ``None`` for the text of any other schedule.

    >>> parse_plateau("plateau:factor=0.5,patience=5,warmup=3").patience
    5

    Raises ``ConfigError`` for an unknown key, and for a value out of range.
    """
    where = f"schedule {text!r}"
    if text.strip().partition(":")[0].strip() != "plateau":
        return None
    name, settings = _parse(text, where)
    settings.pop("warmup", None)
    if "mode" in settings:
        raise ConfigError("the mode follows from what is watched", got=text, where=where, fix="Leave mode away.")
    plateau: ReduceOnPlateau = _built({name: ReduceOnPlateau}, {"type": name, **settings}, where)
    return plateau


def parse_lbfgs(text: str) -> LBFGS:
    """L-BFGS from a flag: ``lbfgs`` or ``lbfgs:history=20,tolerance=1e-6``.

    >>> parse_lbfgs("lbfgs:history=20").history
    20

    Raises ``ConfigError`` for another name, an unknown key, and a value out of range.
    """
    where = f"optimizer {text!r}"
    name, settings = _parse(text, where)
    if "penalties" in settings:
        raise ConfigError("penalties are settings of their own", got=text, where=where, fix="Use --l2.")
    optimizer: LBFGS = _built({"lbfgs": LBFGS}, {"type": name, **settings}, where)
    return optimizer


def parse_optimizer(text: str, learning_rate: float | Schedule) -> Optimizer:
    """An optimizer from a flag: ``adam`` or ``sgd:momentum=0.9,nesterov=true``, with this learning rate or schedule.

    >>> parse_optimizer("sgd:momentum=0.9,nesterov=true", 0.1).nesterov
    True

    Raises ``ConfigError`` for an unknown name or key, and for a value out of range.
    """
    where = f"optimizer {text!r}"
    name, settings = _parse(text, where)
    if "learning_rate" in settings:
        raise ConfigError(
            "learning_rate is given twice", expected="it as the learning rate", got=text, where=where, fix="Use --lr."
        )
    if name not in OPTIMIZERS:
        build({**OPTIMIZERS, "lbfgs": LBFGS}, {"type": name}, where)
        raise ConfigError(
            expected="an optimizer with a learning rate",
            got=text,
            where=where,
            fix="Use nnx.optim.LBFGS or parse_lbfgs.",
        )
    optimizer: Optimizer = _built(OPTIMIZERS, {"type": name, "learning_rate": learning_rate, **settings}, where)
    return optimizer


def _built(kinds: Any, config: dict[str, Any], where: str) -> Any:
    """What a text describes; an error of a value names the text, as that of a key does."""
    try:
        return build(kinds, config, where)
    except ConfigError as error:
        error.where = where
        raise


def _parse(text: str, where: str) -> tuple[str, dict[Any, Any]]:
    name, _, rest = text.strip().partition(":")
    settings: dict[Any, Any] = {}
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not key or not value:
            raise ConfigError(
                expected="name:key=value,key=value",
                got=repr(item),
                where=where,
                fix=f"Write for example {'sgd:momentum=0.9' if where.startswith('opt') else 'step:every=20,factor=0.1'}.",
            )
        if _value(key) in settings:
            raise ConfigError(f"{key} is given twice", got=repr(rest), where=where, fix="Give it once.")
        settings[_value(key)] = _value(value)
    return name.strip(), settings


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text.lower(), text)
