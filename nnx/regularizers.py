"""Penalties on the weights, and the max-norm constraint: functions of the dictionary of parameters.

A penalty is added to the loss, ``loss + nnx.regularizers.L2(1e-4)(params)``, and is differentiated with it. It is
written against the standard and asks each array for its namespace, so traced parameters give a traced penalty.

Penalties act on weights and leave biases and batch-norm scales alone: ``applies_to`` says which parameters are meant.
"weights", the default, means arrays of two or more dimensions; "all" means every parameter; a tuple of patterns such as
``("*.weight", "embedding.*")`` is matched against the paths; a function ``(path, array) -> bool`` decides freely.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isfinite
from numbers import Real
from typing import Any

import array_api_compat

from nnx.errors import ConfigError, StateError
from nnx.typing import Array, Namespace

Selection = str | tuple[str, ...] | Callable[[str, Array], bool]


def selects(applies_to: Selection, path: str, array: Array) -> bool:
    """Whether ``applies_to`` means this parameter.

    >>> import numpy as np
    >>> selects("weights", "layers.0.weight", np.zeros((2, 3))), selects("weights", "layers.0.bias", np.zeros(3))
    (True, False)
    >>> selects(("*.bias",), "layers.0.bias", np.zeros(3))
    True
    """
    if applies_to == "weights":
        return bool(array.ndim >= 2)
    if applies_to == "all":
        return True
    if isinstance(applies_to, tuple):
        return any(fnmatchcase(path, pattern) for pattern in applies_to)
    return bool(applies_to(path, array))  # type: ignore[operator]


def check_selection(applies_to: Any, where: str) -> None:
    """Raise ``ConfigError`` unless ``applies_to`` is one of the four forms."""
    patterns = isinstance(applies_to, tuple) and applies_to and all(isinstance(item, str) for item in applies_to)
    if not (patterns or callable(applies_to) or (isinstance(applies_to, str) and applies_to in ("weights", "all"))):
        raise ConfigError(
            "applies_to is unknown",
            expected='"weights", "all", a tuple of path patterns or a function of path and array',
            got=repr(applies_to),
            where=where,
            fix='Pass applies_to=("*.weight",) for example.',
        )


@dataclass(frozen=True)
class Penalty:
    """The abstract base: the sum of ``of(xp, w)`` over the parameters that ``applies_to`` means."""

    strength: float
    applies_to: Selection = "weights"

    def __post_init__(self) -> None:
        _check_number(self.strength, "strength", "a number >= 0", type(self).__name__, lambda value: value >= 0)
        check_selection(self.applies_to, type(self).__name__)

    def of(self, xp: Namespace, w: Array) -> Array:
        """The penalty of one array, 0-d."""
        raise NotImplementedError

    def slope(self, xp: Namespace, w: Array) -> Array:
        """Its derivative in closed form."""
        raise NotImplementedError

    def __call__(self, params: Mapping[str, Array]) -> Array:
        """The penalty of all parameters, 0-d, on their device. Raises ``StateError`` when there are none."""
        if not params:
            raise StateError("there is nothing to penalise", expected="parameters", got="{}", where=type(self).__name__)
        terms = [self.of(_namespace(w), w) for path, w in params.items() if selects(self.applies_to, path, w)]
        if not terms:
            w = next(iter(params.values()))
            return _namespace(w).zeros((), dtype=w.dtype, device=array_api_compat.device(w))
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def gradient(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """The derivative by path, zero where the penalty does not apply."""
        return {
            path: self.slope(_namespace(w), w) if selects(self.applies_to, path, w) else _namespace(w).zeros_like(w)
            for path, w in params.items()
        }


@dataclass(frozen=True)
class L2(Penalty):
    """½ λ Σ w², with λ = ``strength``; its gradient is λ w.

    >>> import numpy as np
    >>> float(L2(0.5)({"weight": np.asarray([[1.0, -2.0]]), "bias": np.asarray([9.0])}))
    1.25

    Added to the loss it is not the same as decoupled weight decay (``nnx.optim.AdamW``) except under plain gradient
    descent.
    """

    def of(self, xp: Namespace, w: Array) -> Array:
        return 0.5 * float(self.strength) * xp.sum(w * w)

    def slope(self, xp: Namespace, w: Array) -> Array:
        return float(self.strength) * w


@dataclass(frozen=True)
class L1(Penalty):
    """λ Σ abs(w), with λ = ``strength``; its gradient is λ sign(w), 0 at 0.

    >>> import numpy as np
    >>> float(L1(0.5)({"weight": np.asarray([[1.0, -2.0]])}))
    1.5
    """

    def of(self, xp: Namespace, w: Array) -> Array:
        return float(self.strength) * xp.sum(xp.abs(w))

    def slope(self, xp: Namespace, w: Array) -> Array:
        return float(self.strength) * xp.sign(w)


@dataclass(frozen=True)
class ElasticNet(Penalty):
    """λ Σ (α abs(w) + (1 − α) ½ w²), with λ = ``strength`` and α = ``mix``: L1 at α = 1, L2 at α = 0.

    The notes write it without λ and ½, as Σ (α abs(w) + (1 − α) w²): that is another weighting of the two terms.

    >>> import numpy as np
    >>> float(ElasticNet(1.0, mix=0.5)({"weight": np.asarray([[1.0, -2.0]])}))
    2.75

    Source: Zou and Hastie, 2005, in scikit-learn's parametrisation.
    """

    mix: float = 0.5

    def __post_init__(self) -> None:
        Penalty.__post_init__(self)
        _check_number(self.mix, "mix", "a number in [0, 1]", type(self).__name__, lambda value: 0 <= value <= 1)

    def of(self, xp: Namespace, w: Array) -> Array:
        return float(self.strength) * (self.mix * xp.sum(xp.abs(w)) + 0.5 * (1 - self.mix) * xp.sum(w * w))

    def slope(self, xp: Namespace, w: Array) -> Array:
        return float(self.strength) * (self.mix * xp.sign(w) + (1 - self.mix) * w)


@dataclass(frozen=True)
class MaxNorm:
    """Pull the weights of each unit back to ‖w‖ ≤ c: ``w ← w · c / max(‖w‖, c)``, with c = ``limit``.

    A unit is one entry of the last axis (``Linear.weight`` is (in, out), a convolution's (…, in, out)); its norm runs
    over all other axes. It is a function from parameters to parameters, applied after a step; weights within the limit
    keep their bits.

    >>> import numpy as np
    >>> MaxNorm(1.0)({"weight": np.asarray([[3.0, 0.6], [4.0, 0.0]])})["weight"].tolist()
    [[0.6000000000000001, 0.6], [0.8, 0.0]]

    Source: Srebro and Shraibman, 2005; Srivastava and others, Dropout, 2014, section 5.1.
    """

    limit: float
    applies_to: Selection = "weights"

    def __post_init__(self) -> None:
        _check_number(self.limit, "limit", "a number > 0", "MaxNorm", lambda value: value > 0)
        check_selection(self.applies_to, "MaxNorm")

    def __call__(self, params: Mapping[str, Array]) -> dict[str, Array]:
        return {path: self._project(w) if selects(self.applies_to, path, w) else w for path, w in params.items()}

    def _project(self, w: Array) -> Array:
        xp, others = _namespace(w), tuple(range(w.ndim - 1))
        norm = xp.sqrt(xp.sum(w * w, axis=others, keepdims=True)) if others else xp.abs(w)
        return w * (float(self.limit) / xp.maximum(norm, float(self.limit)))


def _namespace(w: Array) -> Namespace:
    return array_api_compat.array_namespace(w)


def _check_number(value: Any, name: str, expected: str, where: str, holds: Callable[[float], bool]) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value) or not holds(float(value)):
        raise ConfigError(
            f"{name} is out of range", expected=expected, got=repr(value), where=where, fix=f"Pass {expected}."
        )
