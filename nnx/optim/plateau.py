"""Reduce on plateau: lower the learning rate when a watched number has stopped improving.

It is no ``Schedule``, because it depends on what training measures. Its state is plain numbers; the factor in it goes
to the optimizer: ``state = optimizer.with_rate_factor(state, watched["factor"])``, and multiplies whatever its schedule
says. ``nnx.fit`` does so where it is among the callbacks.
"""

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from nnx.errors import ConfigError
from nnx.optim import check
from nnx.optim.config import Configured


@dataclass(frozen=True)
class ReduceOnPlateau(Configured):
    """Multiply the rate by ``factor`` after more than ``patience`` observations without improvement, but not below ``floor``::

        better:  value < best − threshold · abs(best)   (mode "min"),   value > best + threshold · abs(best)   (mode "max")

    During ``cooldown`` observations after a reduction none is counted as bad. ``floor`` bounds the product of the
    factors, not the rate itself. For a positive loss this is PyTorch's with its relative threshold. A value that is not
    a number is never better.

    >>> plateau = ReduceOnPlateau(factor=0.5, patience=1)
    >>> state = plateau.init()
    >>> for loss in (1.0, 0.9, 0.9, 0.9):
    ...     state = plateau.observe(loss, state)
    >>> state["factor"]
    0.5
    """

    _: KW_ONLY
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    mode: str = "min"
    cooldown: int = 0
    floor: float = 0.0
    name: ClassVar[str] = "plateau"

    def __post_init__(self) -> None:
        where = "ReduceOnPlateau"
        check.fraction(self.factor, name="factor", where=where, example="0.1")
        check.positive(self.factor, name="factor", where=where, example="0.1")
        check.not_negative(self.patience, name="patience", where=where, example="10")
        check.not_negative(self.threshold, name="threshold", where=where, example="1e-4")
        check.not_negative(self.cooldown, name="cooldown", where=where, example="0")
        check.fraction(self.floor, name="floor", where=where, example="1e-3")
        if self.mode not in ("min", "max"):
            raise ConfigError(
                "mode is unknown", expected='"min" or "max"', got=repr(self.mode), where=where, fix='Pass mode="min".'
            )

    def init(self) -> dict[str, Any]:
        """Nothing seen: factor 1."""
        return {"factor": 1.0, "best": None, "bad": 0, "resting": 0}

    def observe(self, value: float, state: dict[str, Any]) -> dict[str, Any]:
        """The state after one more value of the watched number."""
        best, bad, resting, factor = state["best"], state["bad"], state["resting"], state["factor"]
        if self._better(value, best):
            best, bad = value, 0
        else:
            bad += 1
        if resting:
            resting, bad = resting - 1, 0
        if bad > self.patience:
            factor, bad, resting = max(factor * self.factor, self.floor), 0, self.cooldown
        return {"factor": factor, "best": best, "bad": bad, "resting": resting}

    def _better(self, value: float, best: float | None) -> bool:
        if best is None:
            return not math.isnan(value)
        margin = self.threshold * abs(best)
        return value < best - margin if self.mode == "min" else value > best + margin
