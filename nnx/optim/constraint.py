"""An optimizer whose steps end inside a set: the max-norm constraint."""

from dataclasses import KW_ONLY, dataclass, replace
from typing import ClassVar

from nnx.optim.base import Arrays, Optimizer, State, need
from nnx.regularizers import MaxNorm, Selection
from nnx.typing import Array


@dataclass(frozen=True)
class Constrained(Optimizer):
    """``optimizer``, and after each of its steps ``nnx.regularizers.MaxNorm(max_norm, applies_to)`` on the parameters.

    The state is that of ``optimizer``: a constraint remembers nothing.

    >>> import numpy as np
    >>> from nnx.optim import SGD
    >>> optimizer = Constrained(SGD(1.0), max_norm=1.0)
    >>> params = {"w": np.zeros((2, 1))}
    >>> params, state = optimizer.update({"w": np.asarray([[-3.0], [-4.0]])}, optimizer.init(params), params)
    >>> params["w"].tolist()
    [[0.6000000000000001], [0.8]]
    """

    optimizer: Optimizer
    _: KW_ONLY
    max_norm: float
    applies_to: Selection = "weights"
    name: ClassVar[str] = "constrained"

    def __post_init__(self) -> None:
        need(Optimizer, self.optimizer, "optimizer", "Constrained", "Write Constrained(SGD(0.1), max_norm=3.0).")
        MaxNorm(self.max_norm, self.applies_to)

    def with_steps_per_epoch(self, n: int) -> "Constrained":
        return replace(self, optimizer=self.optimizer.with_steps_per_epoch(n))

    def rate(self, state: State) -> float:
        return self.optimizer.rate(state)

    def with_rate_factor(self, state: State, factor: float) -> State:
        return self.optimizer.with_rate_factor(state, factor)

    def init(self, params: Arrays) -> State:
        return self.optimizer.init(params)

    def update(self, grads: Arrays, state: State, params: Arrays) -> tuple[dict[str, Array], State]:
        updated, state = self.optimizer.update(grads, state, params)
        return MaxNorm(self.max_norm, self.applies_to)(updated), state
