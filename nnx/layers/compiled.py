"""Inference without the Python in it: a model's call is recorded for each shape of inputs, and replayed."""

import threading
from typing import Any

from nnx import backends, tree
from nnx.autodiff.transforms import is_array
from nnx.backends.recorded.recording import compiled
from nnx.errors import ConfigError
from nnx.layers.module import Module
from nnx.layers.observing import current_observer
from nnx.layers.places import Places
from nnx.layers.training import current_pass
from nnx.typing import Array

KINDS = 32
"""Of so many shapes of inputs a recording is kept; others are computed as written."""


class Compiled:
    """What :func:`compile` gives: called like the model, and always with its present values."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self._plans: dict[Any, _Plan] = {}
        self._one_at_a_time = threading.Lock()

    def __call__(self, *inputs: Array) -> Any:
        """The model's outputs, bit for bit (on JAX, which compiles by itself, within a few roundings)."""
        kind = tuple([(type(x), x.shape, x.dtype) for x in inputs])
        plan = self._plans.get(kind)
        if current_pass() is not None or current_observer() is not None or (plan is None and not self._plain(inputs)):
            return self.model(*inputs)
        with self._one_at_a_time:
            if plan is None or not plan.places.fit():
                if plan is None and len(self._plans) >= KINDS:
                    return self.model(*inputs)
                plan = self._plans[kind] = _Plan(self.model, inputs)
            return plan(*inputs)

    def _plain(self, inputs: tuple[Array, ...]) -> bool:
        """Whether all are arrays, none traced: a derivative needs the model as it is written."""
        return all(is_array(x) and not hasattr(type(x), "__nnx_tensor__") for x in inputs)

    def __repr__(self) -> str:
        return f"compile({self.model!r})"


class _Plan:
    """A recorded call, and where the model's arrays are found."""

    def __init__(self, model: Module, inputs: tuple[Array, ...]) -> None:
        self.places = Places(model, model.state())
        self.nest: Any = None
        self._run = compiled(self._pure, [*self.places.take(), *inputs], backends.of(inputs[0]))

    def _pure(self, *arrays: Array) -> list[Array]:
        count = len(self.places.paths)
        out = self.places.twin(arrays[:count])(*arrays[count:])
        self.nest = tree.map(lambda _: 0, out)
        return tree.leaves(out)

    def __call__(self, *inputs: Array) -> Any:
        leaves = iter(self._run(*self.places.take(), *inputs))
        return tree.map(lambda _: next(leaves), self.nest)


def compile(model: Module) -> Compiled:
    """The model as a function for inference that is recorded once for each shape of inputs, and replayed: for serving.

    It gives what ``model(x)`` gives, several times faster for small inputs, always with the model's present values; a
    model whose structure has changed is recorded anew. What its layers compute in Python is fixed by the recording, so
    it must depend on shapes alone. Inside ``nnx.training``, under an observer and for traced inputs the model itself is
    called.

    Errors: ``ConfigError`` for something else than a module; ``TracingError`` where a layer looks at values.

    >>> import numpy as np, nnx
    >>> model = nnx.Sequential(nnx.Linear(4, 8), nnx.ReLU(), nnx.Linear(8, 2)).initialize(0)
    >>> predict, x = nnx.compile(model), np.ones((1, 4), dtype="float32")
    >>> bool((predict(x) == model(x)).all())
    True
    """
    if not isinstance(model, Module):
        raise ConfigError(
            expected="a model",
            got=type(model).__name__,
            where="compile",
            fix="Pass a Module, e.g. nnx.Sequential(...).",
        )
    return Compiled(model)
