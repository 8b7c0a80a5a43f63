"""One training step: what a loop written by hand does, and nothing more."""

from collections.abc import Callable
from typing import Any, NamedTuple

from nnx.autodiff import value_and_grad
from nnx.layers import Module, training
from nnx.typing import Array


class Step(NamedTuple):
    """What a step gives: the loss and the outputs stay on the device."""

    loss: Array
    outputs: Array
    params: dict[str, Array]
    state: dict[str, Any]


class Taken(NamedTuple):
    """A step that the model has not been given yet: its new arrays are in the order of the plan's places."""

    step: Step
    arrays: list[Array]


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

    def loss_of(model: Module, x: Array, y: Array) -> tuple[Array, Array]:
        outputs = model(x)
        return loss(outputs, y), outputs

    with training(seed=seed, step=step):
        (value, outputs), grads = value_and_grad(loss_of, has_aux=True)(model, x, y)
        params, state = optimizer.update(
            grads, state, model.parameters()
        )  # within: buffers move when all has gone well
    model.load(params)
    return Step(value, outputs, params, state)
