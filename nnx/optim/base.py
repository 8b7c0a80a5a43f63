"""What every optimizer is: ``init(params) -> state`` and ``update(grads, state, params) -> (params, state)``.

Parameters, gradients and state are dictionaries from path to array, so a state is saved by the same names as the model::

    state = {"step": 3, "m": {"layers.0.weight": array, ...}, "v": {"layers.0.weight": array, ...}}

An optimizer adds three things to this file: the names of its slots (arrays kept per parameter, zero at the start), one
element-wise rule written as the paper's equations, and the numbers of this step for it. Those numbers are Python floats
computed once per step; a rule holds no number of its own, for a literal beside a float32 array is float64 to some fusing
compilers. ``backend.fuse`` runs the rule the fastest way the array library has.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

import array_api_compat

from nnx import backends
from nnx.backends import portable
from nnx.errors import ConfigError, DtypeError, MixedArraysError, ShapeError, StateError
from nnx.optim import check
from nnx.optim.config import Configured
from nnx.optim.schedules import Schedule
from nnx.typing import Array

Rule = Callable[..., tuple[Array, ...]]
"""``rule(xp, p, g, *slots, *numbers) -> (p, *slots)``, element by element."""

Arrays = Mapping[str, Array]
State = dict[str, Any]

_fused: dict[tuple[str, Rule], Rule] = {}


def fused(backend: Any, rule: Rule) -> Rule:
    """``rule`` as the backend runs it fastest; made once per backend and rule."""
    key = (backend.name, rule)
    if key not in _fused:
        _fused[key] = backend.fuse(rule)
    return _fused[key]


def value_at(value: float | Schedule, step: int) -> float:
    """A setting that may follow a schedule, at this step."""
    return float(value(step)) if isinstance(value, Schedule) else float(value)


def check_rate(value: Any, where: str) -> None:
    """Raise ``ConfigError`` unless ``value`` is a learning rate > 0 or a schedule."""
    if callable(value) and not isinstance(value, Schedule):
        raise ConfigError(
            "learning_rate is not a number",
            expected="a number > 0 or a schedule",
            got=f"{value!r}"[:60],
            where=where,
            fix="Write for example nnx.optim.CosineDecay(1e-3, length=20); docs/recipes.md has a schedule of one's own.",
        )
    if not isinstance(value, Schedule):
        check.positive(value, name="learning_rate", where=where)


def check_momentum(value: Any, where: str) -> None:
    """Raise ``ConfigError`` unless ``value`` is a momentum in [0, 1) or a schedule."""
    if not isinstance(value, Schedule):
        check.fraction(value, name="momentum", where=where)


class Optimizer(Configured):
    """The abstract base of the optimizers, which are frozen dataclasses: an optimizer holds settings, never state."""

    learning_rate: float | Schedule
    slots: ClassVar[tuple[str, ...]] = ()

    def rule(self) -> Rule:
        """The element-wise update ``rule(xp, p, g, *slots, *numbers) -> (p, *slots)``: the same function each time, for
        it is compiled once.
        """
        raise self.undefined("rule(self)")

    def numbers(self, step: int, rate: float, decays: bool) -> tuple[float, ...]:
        """The rule's Python floats at this step (the first is 0); ``decays``: whether weight decay acts on the parameter."""
        raise self.undefined("numbers(self, step, rate, decays)")

    def kept(self) -> tuple[str, ...]:
        """The slots that these settings need."""
        return self.slots

    def decays(self, path: str, p: Array) -> bool:
        """Whether weight decay acts on this parameter."""
        return False

    def with_steps_per_epoch(self, n: int) -> Self:
        """The same optimizer whose schedules by epoch know how many steps an epoch has."""
        bound = {key: value.bind(n) for key, value in vars(self).items() if isinstance(value, Schedule)}
        return replace(self, **bound) if bound else self  # type: ignore[type-var]

    def rate(self, state: State) -> float:
        """The learning rate that the next update will use."""
        return value_at(self.learning_rate, state["step"]) * float(state.get("rate_factor", 1.0))

    def with_rate_factor(self, state: State, factor: float) -> State:
        """A state from which on every learning rate is multiplied by ``factor``: how a plateau, or a person, lowers it."""
        check.positive(factor, name="factor", where=type(self).__name__, example="0.1")
        return {**state, "rate_factor": float(factor)}

    def init(self, params: Arrays) -> State:
        """The state before the first step: zeros beside every parameter, of its shape, dtype and device.

        Raises ``DtypeError`` for a parameter that is not of real floating-point numbers, and for what is no dictionary
        of arrays.
        """
        check_arrays(params, f"{type(self).__name__}.init")
        return {"step": 0} | {slot: {path: _zeros_like(p) for path, p in params.items()} for slot in self.kept()}

    def update(self, grads: Arrays, state: State, params: Arrays) -> tuple[dict[str, Array], State]:
        """One step. Nothing is changed in place: new parameters and a new state come back.

        Raises ``StateError`` when a path is missing or unknown in ``grads`` or ``state``; ``ShapeError``,
        ``DtypeError`` and ``MixedArraysError`` when a gradient is not like its parameter.
        """
        where, slots = f"{type(self).__name__}.update", self.kept()
        _check_paths(grads, params, "grads", where)
        check_state(state, slots, params, where)
        step: int = state["step"]
        if not params:
            return {}, {**state, "step": step + 1}
        for path, p in params.items():
            g = grads[path]
            if type(g) is not type(p) or g.shape != p.shape or g.dtype != p.dtype:
                _check_like(path, g, p, where)
        rate, rule = self.rate(state), self.rule()
        made: list[dict[str, Array]] = [{} for _ in range(1 + len(slots))]
        for decays, paths in self.by_decay(params):
            columns = [[column[path] for path in paths] for column in (params, grads, *(state[slot] for slot in slots))]
            for column, new in zip(made, _each(rule, columns, self.numbers(step, rate, decays))):
                column.update(zip(paths, new))
        if type(self).decays is not Optimizer.decays:  # in the order that they came in
            made = [{path: column[path] for path in params} for column in made]
        return made[0], {**state, "step": step + 1, **dict(zip(slots, made[1:]))}

    def by_decay(self, params: Arrays) -> list[tuple[bool, list[str]]]:
        """The paths on which weight decay acts, and the others: they take different numbers."""
        if type(self).decays is Optimizer.decays:
            return [(False, list(params))]
        groups: dict[bool, list[str]] = {}
        for path, p in params.items():
            groups.setdefault(self.decays(path, p), []).append(path)
        return list(groups.items())


def _each(rule: Rule, columns: list[list[Array]], numbers: tuple[float, ...]) -> list[list[Array]]:
    """The rule on every row: as written where a step is itself being differentiated, else as the backend does it."""
    for array in (columns[1][0], columns[0][0]):
        if getattr(type(array), "__nnx_tensor__", False):
            return portable.each(rule, array.__array_namespace__(), columns, numbers)
    backend = backends.of(columns[0][0])
    return backend.each(fused(backend, rule), backend.xp, columns, numbers)


def _zeros_like(p: Array) -> Array:
    return array_api_compat.array_namespace(p).zeros_like(p)


def check_arrays(params: Any, where: str) -> None:
    """Raise ``DtypeError`` unless it is a dictionary from path to arrays that can be trained."""
    if not isinstance(params, Mapping):
        raise DtypeError(
            expected="a dictionary from path to array",
            got=type(params).__name__,
            where=where,
            fix='Write model.parameters() of a model, {"x": x} of an array alone.',
        )
    for path, p in params.items():
        _check_trainable(path, p, where)


def _check_trainable(path: str, p: Any, where: str) -> None:
    if not (array_api_compat.is_array_api_obj(p) or hasattr(type(p), "__array_namespace__")):
        nest = isinstance(p, (Mapping, list, tuple))
        raise DtypeError(
            f"{path} cannot be trained",
            expected="an array",
            got=type(p).__name__,
            where=where,
            fix="Lay a nest flat: dict(nnx.tree.paths(params))." if nest else "Make one of it: backend.asarray(x).",
        )
    if not array_api_compat.array_namespace(p).isdtype(p.dtype, "real floating"):
        raise DtypeError(
            f"{path} cannot be trained",
            expected="float32 or float64",
            got=str(p.dtype),
            where=where,
            fix="Make it a buffer, or convert it with xp.astype.",
        )


def _check_paths(given: Arrays, params: Arrays, what: str, where: str) -> None:
    for arrays in (given, params):
        if not hasattr(arrays, "keys"):
            check_arrays(arrays, where)
    if given.keys() == params.keys():
        return
    missing, unknown = sorted(params.keys() - given.keys()), sorted(given.keys() - params.keys())
    parts = (missing and f"none for {_some(missing)}", unknown and f"unknown {_some(unknown)}")
    raise StateError(
        f"{what} does not fit the parameters",
        expected=f"one array for each of the {len(params)} parameters",
        got=" and ".join(part for part in parts if part),
        where=where,
        fix="Pass what value_and_grad and init returned for these same parameters.",
    )


def check_state(state: State, slots: tuple[str, ...], params: Arrays, where: str) -> None:
    """Raise ``StateError`` unless the state has a step and these slots, each with an array for every parameter."""
    absent = [key for key in ("step", *slots) if key not in state]
    if absent:
        raise StateError(
            "the state is not of this optimizer",
            expected=f"the keys {', '.join(('step', *slots))}",
            got=f"none for {_some(absent)}",
            where=where,
            fix="Make it with init(params), or load the state that was saved with this optimizer and these settings.",
        )
    for slot in slots:
        _check_paths(state[slot], params, f"state[{slot!r}]", where)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _check_like(path: str, g: Array, p: Array, where: str) -> None:
    what = f"the gradient of {path} is not like its parameter"
    if getattr(g, "shape", None) != p.shape:
        raise ShapeError(
            what,
            expected=f"shape {tuple(p.shape)}",
            got=str(tuple(g.shape)) if hasattr(g, "shape") else repr(g),
            where=where,
            fix="Pass the gradient with respect to this parameter, summed over the batch.",
        )
    if type(g) is not type(p):  # lawful under a tracer; two libraries are not
        try:
            array_api_compat.array_namespace(g, p)
        except TypeError:
            raise MixedArraysError(
                what,
                expected=_kind(p),
                got=_kind(g),
                where=where,
                fix="Convert it with backend.asarray(backend.to_numpy(g)).",
            ) from None
    if g.dtype != p.dtype:
        raise DtypeError(
            what,
            expected=str(p.dtype),
            got=str(g.dtype),
            where=where,
            fix="Convert it with xp.astype: an optimizer keeps the dtype of the parameters.",
        )


def _kind(array: Array) -> str:
    return f"{type(array).__module__}.{type(array).__name__}"


def need(kind: type, value: Any, name: str, where: str, fix: str) -> None:
    """Raise ``ConfigError`` unless ``value`` is a ``kind``."""
    if not isinstance(value, kind):
        raise ConfigError(
            f"{name} is of the wrong kind", expected=f"a {kind.__name__}", got=repr(value), where=where, fix=fix
        )
