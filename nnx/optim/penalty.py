"""Penalties on the weights as a gradient transform: their derivative is added before clipping and before the optimizer."""

from dataclasses import dataclass
from typing import ClassVar

from nnx.optim import check
from nnx.optim.base import Arrays, State
from nnx.optim.transform import GradientTransform
from nnx.regularizers import L1, L2, Selection, check_selection
from nnx.typing import Array


@dataclass(frozen=True)
class penalize(GradientTransform):  # noqa: N801 (used as a verb: chain(penalize(l2=1e-4), Adam()))
    """g ← g + λ₂ w + λ₁ sign(w): the gradient of the loss + ½ λ₂ Σ w² + λ₁ Σ abs(w), with λ₂ = ``l2`` and λ₁ = ``l1``.

    The same step as with ``nnx.regularizers`` in the loss, and the reported loss stays that of the data. It acts on weights
    and not on biases or batch-norm scales unless ``applies_to`` says so.

    >>> import numpy as np
    >>> w = {"w": np.asarray([[2.0, -4.0]])}
    >>> penalize(l2=0.5).transform({"w": np.zeros((1, 2))}, {}, w)[0]["w"].tolist()
    [[1.0, -2.0]]
    """

    l2: float = 0.0
    l1: float = 0.0
    applies_to: Selection = "weights"
    name: ClassVar[str] = "penalize"

    def __post_init__(self) -> None:
        check.not_negative(self.l2, name="l2", where=self.name, example="1e-4")
        check.not_negative(self.l1, name="l1", where=self.name, example="1e-4")
        check_selection(self.applies_to, self.name)

    def value(self, params: Arrays) -> Array:
        """½ λ₂ Σ w² + λ₁ Σ abs(w), 0-d: the function whose gradient :meth:`transform` adds."""
        return L2(self.l2, self.applies_to)(params) + L1(self.l1, self.applies_to)(params)

    def transform(self, grads: Arrays, state: State, params: Arrays) -> tuple[dict[str, Array], State]:
        new = dict(grads)
        for penalty in (L2(self.l2, self.applies_to), L1(self.l1, self.applies_to)):
            if penalty.strength:
                slopes = penalty.gradient(params)
                new = {path: g + slopes[path] for path, g in new.items()}
        return new, state
