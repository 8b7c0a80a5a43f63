"""One training step: what a loop written by hand does, and nothing more."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nnx.autodiff import value_and_grad
from nnx.layers import Module, training
from nnx.train.objective import minimised
from nnx.typing import Array


class Step(NamedTuple):
    """What a step gives: the loss and the outputs stay on the device."""

    loss: Array
    outputs: Array
    state: dict[str, Any]


class Found(NamedTuple):
    """What a batch or a part of one gives: loss and outputs, gradients and new buffers by path."""

    loss: Array
    outputs: Array
    grads: Mapping[str, Array]
    buffers: Mapping[str, Array]

    @property
    def arrays(self) -> list[Array]:
        """All but the outputs."""
        return [self.loss, *self.buffers.values(), *self.grads.values()]


def gradient(model: Module, loss: Callable[..., Array], x: Array, y: Array, seed: int, step: int) -> Found:
    """Forward, loss, backward. The model stays as it is."""
    with training(seed=seed, step=step, write_back=False) as this:
        (value, outputs), grads = value_and_grad(minimised(loss), has_aux=True)(model, x, y)
    return Found(value, outputs, grads, this.buffers)


def train_step(
    model: Module,
    loss: Callable[..., Array],
    optimizer: Any,
    state: dict[str, Any],
    x: Array,
    y: Array,
    seed: int,
    step: int,
) -> Step:
    """Forward, loss, backward, update. The model has its new parameters and buffers afterwards."""
    found = gradient(model, loss, x, y, seed, step)
    params, state = optimizer.update(found.grads, state, model.parameters())
    model.load(params)
    if found.buffers:
        model.load({**model.buffers(), **found.buffers})
    return Step(found.loss, found.outputs, state)
