"""ASHA: of the trials that have come to an epoch, only the best third goes on."""

from typing import Any

from nnx.errors import ConfigError
from nnx.tune.extra import optuna

FACTOR = 3
"""Of so many trials at a rung one goes on."""

RUNGS = 9
"""The first rung is at this part of the epochs, the next ones at three and nine times that."""


def parse(text: str | None) -> tuple[int | None, int] | None:
    """The epoch of the first rung, if it is given, and the factor.

    >>> parse("asha"), parse("asha:min_epochs=2,factor=4"), parse(None)
    ((None, 3), (2, 4), None)
    """
    if text is None or text == "none":
        return None
    name, _, rest = str(text).partition(":")
    settings = dict(item.partition("=")[::2] for item in rest.split(",") if item)
    whole = all(value.isdecimal() and int(value) >= 1 for value in settings.values())
    if name != "asha" or set(settings) - {"min_epochs", "factor"} or not whole or settings.get("factor") == "1":
        raise ConfigError(
            expected="asha, perhaps with settings: asha:min_epochs=3,factor=3",
            got=repr(text),
            where="pruner",
            fix="Correct it; min_epochs is ≥ 1, factor ≥ 2.",
        )
    least = settings.get("min_epochs")
    return (None if least is None else int(least)), int(settings.get("factor", FACTOR))


def pruner(text: str | None, epochs: int) -> Any:
    """Optuna's pruner for trainings of so many epochs, or None.

    Optuna: SuccessiveHalvingPruner. Li et al.: A system for massively parallel hyperparameter tuning (MLSys 2020),
    Algorithm 2.
    """
    settings = parse(text)
    if settings is None:
        return None
    least, factor = settings
    return optuna().pruners.SuccessiveHalvingPruner(
        min_resource=least or max(epochs // RUNGS, 1), reduction_factor=factor
    )
