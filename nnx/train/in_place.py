"""Updates written over the arrays that they begin from, where the training alone holds them.

An optimizer's ``update`` gives new arrays and leaves the old ones as they are. A training's own parameters and moments
of a step ago are nobody's concern any more, and to write over them takes two thirds of the traffic with the memory.
Whether somebody else holds one is for the backend to know (its hook ``over``): then the update is taken as ever.
"""

from collections.abc import Callable
from operator import is_
from typing import Any

from nnx.backends import Backend
from nnx.layers.places import Places
from nnx.optim import Chain
from nnx.optim.base import Arrays, State, fused
from nnx.train.whole import settled
from nnx.typing import Array


class InPlace:
    """The updates of a model whose trained parameters have these places."""

    def __init__(self, backend: Backend, places: Places) -> None:
        self.backend, self.paths, self.holders = backend, places.paths, places.holders
        self._rule: _Rule | None = None

    def __call__(
        self, optimizer: Any, state: State, params: list[Array], grads: Arrays
    ) -> tuple[dict[str, Array] | None, State]:
        """New parameters and the state after an update; no parameters where they and the arrays of the state are the
        same ones with new values.

        ``params`` must be a list of the caller's own, the only one that holds them besides the model.
        """
        if type(optimizer) is Chain:
            grads, links = optimizer.transformed(grads, state, dict(zip(self.paths, params)))
            made, last = self(optimizer.optimizer, links.pop(), params, grads)
            return made, optimizer.joined(links, last)
        if self.backend.over is not None:
            if self._rule is None or self._rule.optimizer is not optimizer:
                self._rule = _Rule(self, optimizer, params)
            if (new := self._rule(state, params, [grads[path] for path in self.paths])) is not None:
                return None, new
        return optimizer.update(grads, state, dict(zip(self.paths, params)))  # type: ignore[no-any-return]


class _Rule:
    """One optimizer, and what its rule is written over."""

    def __init__(self, owner: InPlace, optimizer: Any, params: list[Array]) -> None:
        self.owner, self.optimizer = owner, optimizer
        self.groups: list[tuple[bool, list[int]]] = []
        self._over: Callable[..., bool] | None = None
        self._slots: list[Any] = []
        if settled(optimizer):
            self.names = optimizer.kept()
            for decays, paths in optimizer.by_decay(dict(zip(owner.paths, params))):
                self.groups.append((decays, [owner.paths.index(path) for path in paths]))

    def __call__(self, state: State, params: list[Array], grads: list[Array]) -> State | None:
        """The state after an update written over its operands; none if nothing was done."""
        if not self.groups or "step" not in state:
            return None
        optimizer, slots = self.optimizer, [state.get(name) for name in self.names]
        columns, gradients = [params], [grads]
        if len(self.groups) > 1:
            columns = [[params[i] for i in rows] for _, rows in self.groups]
            gradients = [[grads[i] for i in rows] for _, rows in self.groups]
        if self._over is None or not all(map(is_, slots, self._slots)):
            self._slots, self._over = slots, self._prepared(slots, columns, gradients)
            if self._over is None:
                return None
        step, rate = state["step"], optimizer.rate(state)
        if not self._over(columns, gradients, [optimizer.numbers(step, rate, decays) for decays, _ in self.groups]):
            self._slots, self._over = [], None
            return None
        return {**state, "step": step + 1}

    def _prepared(
        self, slots: list[Any], columns: list[list[Array]], gradients: list[list[Array]]
    ) -> Callable[..., bool] | None:
        owner, groups = self.owner, []
        if any(type(slot) is not dict or slot.keys() != {*owner.paths} for slot in slots):
            return None
        lists = 1 if len(self.groups) == 1 else 2  # that hold the parameters: the caller's, and a column's beside it
        for (_, rows), first, given in zip(self.groups, columns, gradients, strict=True):
            own = [[slot[owner.paths[i]] for i in rows] for slot in slots]
            holders = [[owner.holders[i] + lists for i in rows], *[[1] * len(rows)] * len(slots)]
            groups.append(([first, given, *own], holders))
        assert owner.backend.over is not None
        return owner.backend.over(fused(owner.backend, self.optimizer.rule()), owner.backend.xp, groups)
