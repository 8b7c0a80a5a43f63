"""The training pass: training is a place, not a switch.

Inside ``with nnx.training(seed=…, step=…)`` dropout draws its mask and batch norm uses the statistics of the batch;
outside, every call is inference. New values of buffers are collected by the pass and written to the model when the
block ends without an error, so what happens inside stays a pure function of (parameters, buffers, batch, seed, step).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, NamedTuple

from nnx import random
from nnx.autodiff.tensor import value_of
from nnx.typing import Array

Module = Any
"""A module: this file stands below the class."""


class Draw(NamedTuple):
    """One draw of a pass: ``function(key, *args)`` with the key of (seed, purpose, path, step)."""

    purpose: str
    path: str
    function: Callable[..., Array]
    args: tuple[Any, ...]

    def at(self, seed: int, step: int) -> Array:
        """What it gives in this step."""
        return self.function(random.key(seed, self.purpose, self.path, step), *self.args)


class Pass:
    """One training pass: the seed and step that its draws are keyed by, and the buffers it has computed anew.

    ``draws`` are those made so far, by purpose and path. ``drawn`` may give their values beforehand: so a compiled step
    gets as inputs what differs from step to step.
    """

    def __init__(self, seed: int, step: int, drawn: Mapping[tuple[str, str], Array] | None = None) -> None:
        self.seed, self.step, self.drawn = seed, step, drawn
        self.draws: dict[tuple[str, str], Draw] = {}
        self.keys = 0
        """How many keys were handed out: draws that are not known here."""
        self._updates: dict[tuple[int, str], tuple[Module, str, str, list[Array]]] = {}

    def key(self, purpose: str, module: Module) -> random.Key:
        """The key of the next draw of this module: one for each call of it within the pass. Better :meth:`draw`."""
        self.keys += 1
        return random.key(self.seed, purpose, _numbered(purpose, module), self.step)

    def draw(self, purpose: str, module: Module, function: Callable[..., Array], *args: Any) -> Array:
        """``function(key, *args)`` with the key of the next draw of this module, e.g. ``nnx.random.bernoulli``."""
        path = _numbered(purpose, module)
        if self.drawn is not None:
            return self.drawn[purpose, path]
        made = self.draws[purpose, path] = Draw(purpose, path, function, args)
        return made.at(self.seed, self.step)

    def buffer(self, module: Module, name: str) -> Array:
        """The value of a buffer to build on, without its derivative: the last one of this pass, else the module's."""
        owner = module._origin or module
        number = _counts.get().get((id(owner), name), 0)
        return self._updates[id(owner), name][3][number - 1] if number else value_of(getattr(module, name))

    def update(self, module: Module, name: str, value: Array) -> None:
        """Remember a new value for a buffer, without its derivative."""
        owner = module._origin or module
        path = f"{module._path}.{name}" if module._path else name
        values = self._updates.setdefault((id(owner), name), (owner, name, path, []))[3]
        number = _count((id(owner), name))
        values[number : number + 1] = [value_of(value)]

    @property
    def buffers(self) -> dict[str, Array]:
        """The buffers computed in this pass, by path."""
        return {path: values[-1] for _, _, path, values in self._updates.values()}

    def write_back(self) -> None:
        """Give the model its new buffers."""
        for owner, name, _, values in self._updates.values():
            owner.__dict__[name] = owner._declared[name].checked(values[-1], f"{owner._place()}.{name}")


_pass: ContextVar[Pass | None] = ContextVar("nnx_training_pass", default=None)
# How often each module drew in this pass, and gave a buffer a value. The mapping is never changed in place, so a copy of
# the context keeps it as it was: a checkpoint that runs a part again draws the same masks again, and moves no running
# statistics twice.
_counts: ContextVar[Mapping[Any, int]] = ContextVar("nnx_draw_counts", default=MappingProxyType({}))


def _numbered(purpose: str, module: Module) -> str:
    """The module's path, with a number from its second draw on."""
    number = _count((purpose, module._path))
    return f"{module._path}#{number}" if number else module._path


def _count(what: Any) -> int:
    """How often this was counted before in the pass."""
    counts = _counts.get()
    number = counts.get(what, 0)
    _counts.set(MappingProxyType({**counts, what: number + 1}))
    return number


def current_pass() -> Pass | None:
    """The innermost training pass, ``None`` in inference."""
    return _pass.get()


@contextmanager
def inference() -> Iterator[None]:
    """Calls of modules inside are inference, also within a training pass."""
    token = _pass.set(None)
    try:
        yield
    finally:
        _pass.reset(token)


@contextmanager
def training(
    seed: int = 0, step: int = 0, *, write_back: bool = True, drawn: Mapping[tuple[str, str], Array] | None = None
) -> Iterator[Pass]:
    """Calls of modules inside are training calls, with draws keyed by (seed, step).

    Without ``write_back`` the new buffers stay in ``pass.buffers`` and the model keeps its old ones. Blocks nest; the
    innermost counts. Each thread has its own. ``drawn`` gives draws by (purpose, path) instead of the generator.

    >>> import numpy as np, nnx
    >>> layer, x = nnx.Dropout(0.5), np.ones((1, 6))
    >>> layer(x)
    array([[1., 1., 1., 1., 1., 1.]])
    >>> with nnx.training(seed=0, step=0):
    ...     np.unique(layer(x))
    array([0., 2.])
    """
    this = Pass(seed, step, drawn)
    tokens = _pass.set(this), _counts.set(MappingProxyType({}))
    try:
        yield this
    finally:
        _pass.reset(tokens[0])
        _counts.reset(tokens[1])
    if write_back:
        this.write_back()
