"""The whole step as one compiled function: gradient and update, where the library compiles by itself.

What is compiled is ``optimizer.update`` as it is written, with the rule's numbers as inputs: learning rate, schedules
and corrections are computed on the host in double precision at every step, and another rate needs no other function.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from nnx.optim import SGD, Chain, Constrained, Optimizer, clip_by_global_norm, clip_by_norm, clip_by_value, penalize
from nnx.optim.base import Rule, State, check_state
from nnx.train.pieces import Laid, Pieces, layout
from nnx.train.step import Step
from nnx.typing import Array

TRANSFORMS = (clip_by_value, clip_by_norm, clip_by_global_norm, penalize)
"""The gradient transforms that compute the same at every step and remember nothing."""

FUNCTIONS = 8
"""Of so many kinds of updates a compiled step is kept; further ones are taken with the gradient alone compiled."""


class Taken(NamedTuple):
    """A step that the model has not been given yet: its new arrays are in the order of the plan's places."""

    step: Step
    arrays: list[Array]


class Whole:
    """The compiled steps of a plan, one for each kind of update."""

    def __init__(self, plan: Any) -> None:
        self.plan = plan
        self._functions: dict[Any, Callable[..., Any]] = {}
        self._optimizer: Any = None
        self._update: Update | None = None

    def __call__(self, optimizer: Any, state: State, x: Array, y: Array, seed: int, number: int) -> Taken | None:
        """A step, not yet given to the model; none where the update is not known to be the same at every step but for its numbers."""
        if optimizer is not self._optimizer:
            self._optimizer, self._update = optimizer, self._prepared(optimizer)
        return None if self._update is None else self._update(state, x, y, seed, number)

    def _prepared(self, optimizer: Any) -> "Update | None":
        found, trained = _innermost(optimizer), self.plan.trained
        params = dict(zip(trained, self.plan.places.take()))
        if found is None or len({p.dtype for p in params.values()}) != 1:
            return None
        rule, kind = found
        decays = rule.by_decay(params)
        key = (kind, rule.rule(), rule.kept(), tuple((on, tuple(paths)) for on, paths in decays))
        if key not in self._functions and len(self._functions) >= FUNCTIONS:
            return None
        update = Update(self.plan, optimizer, rule, [on for on, _ in decays])
        update.run = self._functions.setdefault(key, self.plan.backend.jit(update.pure))
        return update


class Update:
    """A step with an optimizer, without the Python in it."""

    run: Callable[..., Any]

    def __init__(self, plan: Any, optimizer: Optimizer, rule: Optimizer, decays: list[bool]) -> None:
        self.plan, self.optimizer, self.rule, self.decays = plan, optimizer, rule, decays
        self.plain, self.slots = rule is optimizer, rule.kept()
        self.changed = len(plan.trained) + len(plan.moved)
        params = plan.places.take()[: len(plan.trained)]
        self.dtype = params[0].dtype
        self.layout = layout(plan.backend, tuple(plan.trained), tuple(tuple(p.shape) for p in params), len(self.slots))

    def __call__(self, state: State, x: Array, y: Array, seed: int, number: int) -> Taken | None:
        """One step, not yet given to the model; none if the state is not like what ``init`` gives."""
        plan = self.plan
        own = state if self.plain else _inside(self.optimizer, state)
        parts = self._parts(own)
        if parts is None or "step" not in own:
            return None
        arrays = plan.places.take()
        step, rate = own["step"], self.rule.rate(own)
        numbers = np.array([self.rule.numbers(step, rate, on) for on in self.decays], self.dtype)
        loss, outputs, *made = self.run(numbers, x, y, *arrays, *parts, *plan.drawn(seed, number))
        own, laid = {**own, "step": step + 1}, Laid(self.layout, made[self.changed :])
        del made[self.changed :]
        for index, slot in enumerate(self.slots):
            own[slot] = Pieces(laid, index)
        state = own if self.plain else _around(self.optimizer, state, own)
        return Taken(Step(loss, outputs, state), made)

    def _parts(self, own: State) -> list[Array] | None:
        """The slots as the compiled step takes them; none where they are not as ``init`` makes them."""
        layout = self.layout
        laid = None
        for number, name in enumerate(self.slots):
            slot = own.get(name)
            if type(slot) is not Pieces or slot.slot != number or (laid is not None and slot.laid is not laid):
                break
            laid = slot.laid
        else:
            if laid is None:
                return []
            if laid.layout is layout:
                return laid.parts
        params = dict(zip(layout.paths, self.plan.places.take()))
        check_state(own, self.slots, params, f"{type(self.rule).__name__}.update")
        columns = [[own[slot][path] for path in layout.paths] for slot in self.slots]
        for column in columns:
            if any(a.dtype != self.dtype or tuple(a.shape) != s for a, s in zip(column, layout.shapes)):
                return None
        return layout.joined(columns)  # type: ignore[no-any-return]

    def pure(self, numbers: Any, x: Array, y: Array, *arrays: Array) -> list[Array]:
        """(numbers of the rule, x, y, parameters, other arrays, parts of the slots, draws) → (loss, outputs, parameters, buffers, parts)."""
        trained, held, count = self.plan.trained, len(self.plan.places.paths), self.layout.count
        params, parts, draws = arrays[: len(trained)], arrays[held : held + count], arrays[held + count :]
        loss, outputs, *rest = self.plan.pure(*arrays[:held], x, y, *draws)
        slots = zip(self.slots, self.layout.cut(parts))
        own: State = {"step": 0} | {slot: dict(zip(trained, arrays)) for slot, arrays in slots}
        given = {on: [numbers[i, j] for j in range(numbers.shape[1])] for i, on in enumerate(self.decays)}
        optimizer = _with_rule(self.optimizer, Numbered(self.rule, given))
        state = _around(self.optimizer, {}, own)
        new, state = optimizer.update(dict(zip(trained, rest)), state, dict(zip(trained, params)))
        own = _inside(self.optimizer, state)
        joined = self.layout.join([[own[slot][path] for path in trained] for slot in self.slots])
        return [loss, outputs, *(new[path] for path in trained), *rest[len(trained) :], *joined]


@dataclass(frozen=True, eq=False)
class Numbered(Optimizer):
    """``plain``, its numbers given: arrays that a compiler traces."""

    plain: Optimizer
    given: dict[bool, list[Array]]

    def rate(self, state: State) -> float:
        return 1.0

    def rule(self) -> Rule:
        return self.plain.rule()

    def kept(self) -> tuple[str, ...]:
        return self.plain.kept()

    def decays(self, path: str, p: Array) -> bool:
        return self.plain.decays(path, p)

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        return tuple(self.given[decays])


# optimizers around others -------------------------------------------------------------------------------------------------
def _innermost(optimizer: Any) -> tuple[Optimizer, Any] | None:
    """The optimizer whose rule it is, and what else makes the update what it is; none if something may change between steps."""
    if type(optimizer) in (Chain, Constrained):
        within = _innermost(optimizer.optimizer)
        links = optimizer.transforms if type(optimizer) is Chain else (replace(optimizer, optimizer=_NONE),)
        same = all(type(link) in (*TRANSFORMS, Constrained) and _settled(link) for link in links)
        return (within[0], (type(optimizer), links, within[1])) if within and same else None
    return (optimizer, type(optimizer)) if settled(optimizer) else None


def settled(optimizer: Any) -> bool:
    """Whether its update is the rule on every parameter, and paths and shapes alone say on which of them weight decay acts."""
    own = isinstance(optimizer, Optimizer) and type(optimizer).update is Optimizer.update
    chosen = type(optimizer).decays is Optimizer.decays or hasattr(optimizer, "applies_to")
    return own and chosen and _settled(optimizer)


_NONE = SGD(1.0)


def _settled(settings: Any) -> bool:
    """Whether paths and shapes alone say what it acts on: a function could look at values."""
    return not callable(getattr(settings, "applies_to", None))


def _with_rule(optimizer: Any, rule: Optimizer) -> Any:
    if type(optimizer) in (Chain, Constrained):
        return replace(optimizer, optimizer=_with_rule(optimizer.optimizer, rule))
    return rule


def _inside(optimizer: Any, state: State) -> State:
    """The state of the optimizer whose rule it is."""
    if type(optimizer) is Chain:
        state = optimizer.nested(state)[-1]
    return _inside(optimizer.optimizer, state) if type(optimizer) in (Chain, Constrained) else state


def _around(optimizer: Any, state: State, own: State) -> State:
    """The state of the whole with this in its place, as the update would leave it."""
    if type(optimizer) is Constrained:
        return _around(optimizer.optimizer, state, own)
    if type(optimizer) is not Chain:
        return own
    *links, last = (state.get(str(i), {}) for i in range(len(optimizer.transforms) + 1))
    return optimizer.joined(links, _around(optimizer.optimizer, last, own))
