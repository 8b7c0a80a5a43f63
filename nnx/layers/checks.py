"""What several layers ask of their input before they compute."""

import math

from nnx.autodiff.namespace import namespace
from nnx.errors import ConfigError, DtypeError, ShapeError
from nnx.init import is_real
from nnx.typing import Array


def check_features(
    x: Array, features: int, like: Array | None, shape: str = "…", least: int = 1, most: int = 99
) -> None:
    """Errors unless x has shape (``shape``, features), between ``least`` and ``most`` axes, and the dtype of ``like``."""
    if not least <= x.ndim <= most or x.shape[-1] != features:
        raise ShapeError(
            expected=f"x of shape ({shape}, {features})",
            got=f"{tuple(x.shape)}",
            fix="Features come last; build the layer with as many as the layer before gives.",
        )
    if like is None:
        return
    namespace(x, like)
    if x.dtype != like.dtype:
        raise DtypeError(
            expected=f"x of dtype {like.dtype}, as the model",
            got=f"{x.dtype}",
            fix="Cast x with xp.astype, or the model with model.to(backend, dtype=...).",
        )


def probability(p: float, where: str) -> float:
    """``ConfigError`` unless 0 ≤ p < 1: how much dropout takes."""
    if not is_real(p) or not 0 <= p < 1:
        raise ConfigError(
            expected="a probability 0 ≤ p < 1 of dropping a value",
            got=repr(p),
            where=where,
            fix="0.1 to 0.5 are usual.",
        )
    return float(p)


def small(eps: float, where: str) -> float:
    """``ConfigError`` unless ε > 0."""
    if not is_real(eps) or not 0 < eps < math.inf:
        raise ConfigError(expected="eps > 0", got=repr(eps), where=where, fix="1e-5 is usual.")
    return float(eps)


def number(name: str, value: float, where: str) -> float:
    """``ConfigError`` unless it is a finite number."""
    if not is_real(value) or not math.isfinite(value):
        raise ConfigError(
            expected=f"{name} a number", got=repr(value), where=where, fix=f"Write for example {name}=0.01."
        )
    return float(value)
