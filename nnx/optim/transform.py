"""Gradient transforms, and ``chain``: what is done to the gradients before an optimizer takes them."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, overload

from nnx.errors import ConfigError, StateError
from nnx.optim.base import Arrays, Optimizer, State, need
from nnx.optim.config import Configured
from nnx.optim.lbfgs import LBFGS
from nnx.typing import Array


class GradientTransform(Configured):
    """The abstract base: ``init(params) -> state``, ``transform(grads, state, params) -> (grads, state)``, both pure."""

    def init(self, params: Arrays) -> State:
        """The state before the first step; empty unless the transform remembers something."""
        return {}

    def transform(self, grads: Arrays, state: State, params: Arrays) -> tuple[dict[str, Array], State]:
        """The gradients that the next in the chain is to see."""
        raise self.undefined("transform(self, grads, state, params)")


@dataclass(frozen=True)
class Chain(Optimizer):
    """An optimizer behind gradient transforms; made by ``chain``. Its state nests theirs by position: "0", "1", …"""

    transforms: tuple[GradientTransform, ...]
    optimizer: Optimizer
    name: ClassVar[str] = "chain"

    def __post_init__(self) -> None:
        fix = "Write chain(clip_by_global_norm(1.0), Adam(1e-3)): transforms first, the optimizer last."
        need(Optimizer, self.optimizer, "the last of the chain", "chain", fix)
        need(tuple, self.transforms, "transforms", "chain", fix)
        for index, transform in enumerate(self.transforms):
            need(GradientTransform, transform, f"link {index}", "chain", fix)

    def with_steps_per_epoch(self, n: int) -> "Chain":
        return replace(self, optimizer=self.optimizer.with_steps_per_epoch(n))

    def rate(self, state: State) -> float:
        return self.optimizer.rate(self.nested(state)[-1])

    def with_rate_factor(self, state: State, factor: float) -> State:
        last = self.optimizer.with_rate_factor(self.nested(state)[-1], factor)
        return {**state, str(len(self.transforms)): last}

    def init(self, params: Arrays) -> State:
        links: list[GradientTransform | Optimizer] = [*self.transforms, self.optimizer]
        return {"step": 0} | {str(index): link.init(params) for index, link in enumerate(links)}

    def update(self, grads: Arrays, state: State, params: Arrays) -> tuple[dict[str, Array], State]:
        grads, nested = self.transformed(grads, state, params)
        updated, last = self.optimizer.update(grads, nested.pop(), params)
        return updated, self.joined(nested, last)

    def transformed(self, grads: Arrays, state: State, params: Arrays) -> tuple[Arrays, list[State]]:
        """The gradients that the optimizer is to see, and the states of the links: the transforms' new ones, the optimizer's own."""
        *inner, last = self.nested(state)
        new: list[State] = []
        for transform, nested in zip(self.transforms, inner):
            grads, nested = transform.transform(grads, nested, params)
            new.append(nested)
        return grads, [*new, last]

    def joined(self, links: list[State], last: State) -> State:
        """The chain's state of its links'."""
        return {"step": last["step"]} | {str(index): nested for index, nested in enumerate([*links, last])}

    def nested(self, state: State) -> list[State]:
        """The states of the links, the optimizer's last."""
        # A transform that remembers nothing has an empty state, which a file of named arrays does not show.
        count = len(self.transforms)
        if str(count) not in state:
            raise StateError(
                "the state is not of this chain",
                expected=f"the optimizer's state under {str(count)!r}",
                got=f"the keys {', '.join(map(repr, state)) or 'of an empty state'}",
                where="chain",
                fix="Make it with init(params), or load the state that was saved with this chain.",
            )
        return [state.get(str(index), {}) for index in range(count + 1)]


@overload
def chain(*links: *tuple[*tuple[GradientTransform, ...], LBFGS]) -> LBFGS: ...
@overload
def chain(*links: Any) -> Chain: ...
def chain(*links: Any) -> Chain | LBFGS:  # type: ignore[misc]  # mypy does not see that these are any links
    """An optimizer that passes the gradients through transforms first: ``chain(clip_by_global_norm(1.0), Adam(1e-3))``.

    Before ``LBFGS`` only penalties make sense: they become a part of its objective, and an ``LBFGS`` comes back.

    >>> from nnx.optim import SGD, clip_by_value
    >>> import numpy as np
    >>> optimizer = chain(clip_by_value(1.0), SGD(0.5))
    >>> params = {"w": np.asarray([1.0])}
    >>> params, state = optimizer.update({"w": np.asarray([80.0])}, optimizer.init(params), params)
    >>> params["w"].tolist(), state
    ([0.5], {'step': 1, '0': {}, '1': {'step': 1}})
    """
    if not links:
        raise ConfigError(
            expected="an optimizer",
            got="nothing",
            where="chain",
            fix="Write chain(clip_by_global_norm(1.0), Adam(1e-3)).",
        )
    if isinstance(links[-1], LBFGS):
        return links[-1].behind(links[:-1])
    return Chain(links[:-1], links[-1])
