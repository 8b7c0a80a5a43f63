"""What every optimizer is: ``init(params) -> state`` and ``update(grads, state, params) -> (params, state)``.

Parameters, gradients and state are dictionaries from path to array, so a state is saved by the same names as the model::

    state = {"step": 3, "m": {"layers.0.weight": array, ...}, "v": {"layers.0.weight": array, ...}}

An optimizer adds to this file three things: the names of its slots (arrays kept per parameter, zero at the start), one
element-wise rule written as the paper's equations, and the numbers of this step for it. Those numbers are Python floats
computed once per step; a rule holds no number of its own, for a literal beside a float32 array is float64 to some fusing
compilers. ``backend.fuse`` runs the rule the fastest way the array library has.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from nnx import backends
from nnx.errors import DtypeError, ShapeError, StateError
from nnx.optim.schedules import Schedule
from nnx.typing import Array

Rule = Callable[..., tuple[Array, ...]]
"""``rule(xp, p, g, *slots, *numbers) -> (p, *slots)``, element by element."""

Arrays = Mapping[str, Array]
State = dict[str, Any]



class _Plain:  # stands in until backends.of is there
    def __init__(self, array: Array) -> None:
        import array_api_compat

        self.xp = array_api_compat.array_namespace(array)
        self.name = self.xp.__name__

    def fuse(self, rule: Rule) -> Rule:
        return rule


def _backend(array: Array) -> Any:
    return backends.of(array) if hasattr(backends, "of") else _Plain(array)


_fused: dict[tuple[str, Rule], Rule] = {}


def fused(backend: Any, rule: Rule) -> Rule:
    """``rule`` as the backend runs it fastest; made once per backend and rule."""
    key = (backend.name, rule)
    if key not in _fused:
        _fused[key] = backend.fuse(rule)
    return _fused[key]


class Optimizer:
    """The abstract base of the optimizers, which are frozen dataclasses: an optimizer holds settings, never state."""

    learning_rate: float | Schedule
    name: ClassVar[str]
    slots: ClassVar[tuple[str, ...]] = ()

    def rule(self) -> Rule:
        """The element-wise update."""
        raise NotImplementedError

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        """The rule's Python floats at this step (the first is 0); ``decays``: whether the parameter is to be decayed."""
        raise NotImplementedError

    def kept(self) -> tuple[str, ...]:
        """The names of the arrays that are kept for each parameter with these settings."""
        return self.slots

    def decays(self, path: str, p: Array) -> bool:
        """Whether weight decay acts on this parameter."""
        return False

    def rate(self, state: State) -> float:
        """The learning rate of the next update."""
        return _at(self.learning_rate, state["step"])

    def init(self, params: Arrays) -> State:
        """The state before the first step: zeros beside every parameter, of its shape, dtype and device."""
        return {"step": 0} | {slot: {path: _zeros(path, p, self) for path, p in params.items()} for slot in self.kept()}

    def update(self, grads: Arrays, state: State, params: Arrays) -> tuple[dict[str, Array], State]:
        """One step. Nothing is changed in place: new parameters and a new state come back.

        Raises ``StateError`` when a path is missing or unknown in ``grads`` or ``state``, ``ShapeError`` and ``DtypeError``
        when a gradient is not like its parameter.
        """
        slots = self.kept()
        _check_paths(grads, params, "grads", type(self).__name__)
        for slot in slots:
            _check_paths(state.get(slot, {}), params, f"state[{slot!r}]", type(self).__name__)
        if not params:
            return {}, {**state, "step": state["step"] + 1}
        step, rate = state["step"], self.rate(state)
        numbers = {decays: self.numbers(step, rate, decays) for decays in (False, True)}
        backend = _backend(next(iter(params.values())))
        xp, rule = backend.xp, fused(backend, self.rule())
        new_params: dict[str, Array] = {}
        new_slots: dict[str, dict[str, Array]] = {slot: {} for slot in slots}
        for path, p in params.items():
            g = grads[path]
            _check_like(path, g, p, type(self).__name__)
            new = rule(xp, p, g, *(state[slot][path] for slot in slots), *numbers[self.decays(path, p)])
            if not p.shape:  # NumPy gives scalars for 0-d arithmetic
                new = tuple(xp.asarray(array) for array in new)
            new_params[path] = new[0]
            for slot, array in zip(slots, new[1:]):
                new_slots[slot][path] = array
        return new_params, {**state, "step": step + 1, **new_slots}


def _at(value: float | Schedule, step: int) -> float:
    return float(value(step)) if isinstance(value, Schedule) else float(value)


def _zeros(path: str, p: Array, optimizer: Optimizer) -> Array:
    xp = _backend(p).xp
    if not xp.isdtype(p.dtype, "real floating"):
        raise DtypeError(
            f"{path} cannot be trained",
            expected="float32 or float64",
            got=str(p.dtype),
            where=f"{type(optimizer).__name__}.init",
            fix="Make it a buffer, or convert it with xp.astype.",
        )
    return xp.zeros_like(p)


def _check_paths(given: Arrays, params: Arrays, what: str, where: str) -> None:
    if given.keys() == params.keys():
        return
    missing, unknown = sorted(params.keys() - given.keys()), sorted(given.keys() - params.keys())
    got = " and ".join(
        part for part in (missing and f"none for {_some(missing)}", unknown and f"unknown {_some(unknown)}") if part
    )
    raise StateError(
        f"{what} does not fit the parameters",
        expected=f"one array for each of the {len(params)} parameters",
        got=got,
        where=f"{where}.update",
        fix="Pass what value_and_grad and init returned for these same parameters.",
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _check_like(path: str, g: Array, p: Array, where: str) -> None:
    if getattr(g, "shape", None) != p.shape:
        raise ShapeError(
            f"the gradient of {path} is not like its parameter",
            expected=f"shape {tuple(p.shape)}",
            got=str(tuple(g.shape)) if hasattr(g, "shape") else repr(g),
            where=f"{where}.update",
            fix="Pass the gradient with respect to this parameter, summed over the batch.",
        )
    if g.dtype != p.dtype:
        raise DtypeError(
            f"the gradient of {path} is not like its parameter",
            expected=str(p.dtype),
            got=str(g.dtype),
            where=f"{where}.update",
            fix="Convert it with xp.astype: an optimizer keeps the dtype of the parameters.",
        )
