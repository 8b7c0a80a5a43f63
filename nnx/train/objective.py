"""What a training minimises: a loss by name or a function, in the unit that the network works in."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from nnx import losses
from nnx.autodiff import namespace
from nnx.layers import Module, Sequential, Unstandardize
from nnx.layers.sequential import through
from nnx.typing import Array

DISTANCES = (losses.mse, losses.l1, losses.huber)
"""The losses whose value depends on the unit of the targets."""


def objective(
    model: Module, loss: str | Callable[..., Array] | None = None, task: str | None = None
) -> Callable[..., Array]:
    """The function f(outputs, targets) that ``nnx.fit`` minimises for this model and that ``nnx.evaluate`` gives::

        loss((y − μ)/σ, (t − μ)/σ)    for a model that ends in ``nnx.Unstandardize`` with μ and σ
        loss(y, t)                    for any other

    The first holds for mse, l1 and huber, by name or as functions (``functools.partial`` of them, too). So a learning rate,
    a penalty and the delta of huber mean the same whatever the unit of the targets, several targets count alike, and a
    squared error of 1 is that of their mean. A function of one's own gets outputs and targets as they are. Without a
    loss it is cross-entropy for the task "classification", else the squared error.

    Errors: ``ConfigError`` for a name that is no loss.

    >>> import numpy as np, nnx
    >>> y = np.asarray([[1000.0], [3000.0]], dtype="float32")
    >>> model = nnx.Sequential(nnx.Linear(1, 1), nnx.Unstandardize(1).fit(y))
    >>> float(objective(model, "mse")(np.full_like(y, 2000.0), y))
    1.0
    """
    function = losses.get(loss or default_loss(task))
    unit = unit_of(model)
    if unit is None or (function.func if isinstance(function, partial) else function) not in DISTANCES:
        return function
    return InUnit(function, unit)


def minimised(loss: Callable[..., Array]) -> Callable[[Module, Array, Array], tuple[Array, Array]]:
    """(model, x, y) → (objective, outputs): what is differentiated, without going to the targets' unit and back.

    The unit is that of the model at hand, whose arrays may be traced.
    """

    def loss_of(model: Module, x: Array, y: Array) -> tuple[Array, Array]:
        taken = objective(model, loss)
        if isinstance(taken, InUnit) and isinstance(model, Sequential) and type(model).forward is Sequential.forward:
            inner = through(model.layers[:-1], x)
            return taken.of_standardized(inner, y), taken.unit(inner)
        outputs = model(x)
        return taken(outputs, y), outputs

    return loss_of


def default_loss(task: str | None) -> str:
    """The usual loss of a task."""
    return "cross_entropy" if task == "classification" else "mse"


def unit_of(model: Module) -> Unstandardize | None:
    """The last layer, where it gives the outputs in the targets' own unit."""
    last = model.layers[-1] if isinstance(model, Sequential) and model.layers else None
    return last if isinstance(last, Unstandardize) else None


@dataclass(frozen=True)
class InUnit:
    """A loss of standardised outputs and targets."""

    loss: Callable[..., Array]
    unit: Unstandardize

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """The loss, 0-d."""
        return self.of_standardized(self._standardized(outputs), targets)

    def of_standardized(self, inner: Array, targets: Array) -> Array:
        """The same of what the last layer is given."""
        if tuple(inner.shape) != tuple(targets.shape):
            return self.loss(inner, targets)  # which says what is wrong
        return self.loss(inner, self._standardized(targets))

    def _standardized(self, y: Array) -> Array:
        xp = namespace(y, self.unit.mean)
        mean, scale = (xp.astype(array, y.dtype, copy=False) for array in (self.unit.mean, self.unit.scale))
        return (y - mean) / scale
