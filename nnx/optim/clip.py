"""Gradient clipping: by value, by the norm of each array, by the norm of all of them together.

The norms stay on the device as 0-d arrays: nothing waits for them. All scale by c / max(‖g‖, c), which is exactly 1
within the bound and safe for a gradient of zeros. PyTorch's ``clip_grad_norm_`` scales by c / (‖g‖ + 10⁻⁶), at most 1:
a relative difference of 10⁻⁶ / ‖g‖ where it clips. A gradient that is not finite makes the result not finite; it is not
hidden.
"""

from dataclasses import dataclass
from typing import ClassVar

import array_api_compat

from nnx.optim import check
from nnx.optim.base import Arrays, State
from nnx.optim.transform import GradientTransform
from nnx.typing import Array, Namespace


@dataclass(frozen=True)
class clip_by_value(GradientTransform):  # noqa: N801 (used as a verb: chain(clip_by_value(1.0), Adam()))
    """g ← min(max(g, −c), c), element by element, with c = ``limit``.

    >>> import numpy as np
    >>> clip_by_value(1.0).transform({"w": np.asarray([-3.0, 0.5])}, {}, {})[0]["w"].tolist()
    [-1.0, 0.5]
    """

    limit: float
    name: ClassVar[str] = "clip_by_value"

    def __post_init__(self) -> None:
        check.positive(self.limit, name="limit", where=self.name, example="1.0")

    def transform(self, grads: Arrays, state: State, params: Arrays) -> tuple[dict[str, Array], State]:
        if not grads:
            return {}, state
        c, xp = float(self.limit), _namespace(grads)
        return {path: xp.minimum(xp.maximum(g, -c), c) for path, g in grads.items()}, state


@dataclass(frozen=True)
class clip_by_norm(GradientTransform):  # noqa: N801
    """g ← g c / max(‖g‖, c) for each array apart, with c = ``limit``.

    >>> import numpy as np
    >>> clip_by_norm(1.0).transform({"w": np.asarray([3.0, 4.0]), "b": np.asarray([0.0])}, {}, {})[0]
    {'w': array([0.6, 0.8]), 'b': array([0.])}
    """

    limit: float
    name: ClassVar[str] = "clip_by_norm"

    def __post_init__(self) -> None:
        check.positive(self.limit, name="limit", where=self.name, example="1.0")

    def transform(self, grads: Arrays, state: State, params: Arrays) -> tuple[dict[str, Array], State]:
        if not grads:
            return {}, state
        c, xp = float(self.limit), _namespace(grads)
        return {path: g * (c / xp.maximum(xp.sqrt(xp.sum(g * g)), c)) for path, g in grads.items()}, state


@dataclass(frozen=True)
class clip_by_global_norm(GradientTransform):  # noqa: N801
    """g ← g c / max(N, c) for all arrays alike, N = √Σ ‖g‖², with c = ``limit``: the direction of the whole step is kept.

    >>> import numpy as np
    >>> clip_by_global_norm(1.0).transform({"w": np.asarray([3.0]), "b": np.asarray([4.0])}, {}, {})[0]
    {'w': array([0.6]), 'b': array([0.8])}

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, 2013, Algorithm 1.
    """

    limit: float
    name: ClassVar[str] = "clip_by_global_norm"

    def __post_init__(self) -> None:
        check.positive(self.limit, name="limit", where=self.name, example="1.0")

    def transform(self, grads: Arrays, state: State, params: Arrays) -> tuple[dict[str, Array], State]:
        if not grads:
            return {}, state
        c, xp = float(self.limit), _namespace(grads)
        scale = c / xp.maximum(global_norm(grads), c)
        return {path: g * xp.astype(scale, g.dtype, copy=False) for path, g in grads.items()}, state


def global_norm(grads: Arrays) -> Array:
    """√Σ ‖g‖² over all arrays, 0-d and on their device.

    >>> import numpy as np
    >>> float(global_norm({"w": np.asarray([3.0]), "b": np.asarray([4.0])}))
    5.0
    """
    xp = _namespace(grads)
    squares = [xp.sum(g * g) for g in grads.values()]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return xp.sqrt(total)


def _namespace(grads: Arrays) -> Namespace:
    return array_api_compat.array_namespace(next(iter(grads.values())))
