"""One call of the model, seen layer by layer."""

from dataclasses import dataclass
from typing import Any

from nnx.autodiff.transforms import is_array
from nnx.layers import (
    ELU,
    GELU,
    LeakyReLU,
    Maxout,
    Module,
    Preparation,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    observing,
    training,
)  # fmt: skip
from nnx.layers.training import inference
from nnx.typing import Array

ACTIVATIONS = (ReLU, LeakyReLU, ELU, GELU, SiLU, Softplus, Sigmoid, Tanh, Maxout)
SQUASHING = (*ACTIVATIONS, Softmax)


@dataclass(frozen=True)
class Call:
    """A call of a layer without layers inside: where, what, its input and its output."""

    path: str
    module: Module
    x: Array
    out: Array

    @property
    def trained(self) -> bool:
        """Whether the layer has parameters of its own."""
        return any(declaration.trained for declaration in self.module._declared.values())

    @property
    def weights(self) -> bool:
        """Whether one of them has two or more axes."""
        return any(d.trained and len(d.shape) > 1 for d in self.module._declared.values())

    @property
    def activates(self) -> bool:
        """Whether this is an activation of nnx's, other than softmax."""
        return isinstance(self.module, ACTIVATIONS)

    @property
    def named(self) -> str:
        """Path and kind."""
        return f"{self.path} ({type(self.module).__name__})" if self.path else type(self.module).__name__


def walk(model: Module, x: Array, *, train_seed: int | None = None) -> tuple[list[Call], Array]:
    """The calls of layers in their order and the model's output; in training where a seed is given, buffers left alone."""
    calls: list[Call] = []

    def note(module: Module, args: Any, out: Any) -> None:
        if args and is_array(args[0]) and is_array(out) and not any(True for _ in module._children()):
            calls.append(Call(module._path, module, args[0], out))

    with observing(note):
        if train_seed is None:
            with inference():
                return calls, model(x)
        with training(seed=train_seed, step=0, write_back=False):
            return calls, model(x)


def first_trained(calls: list[Call]) -> Call | None:
    """The first layer with parameters."""
    return next((call for call in calls if call.trained), None)


def before_activations(calls: list[Call]) -> list[tuple[str, Array]]:
    """What goes into each activation; for models that have no activation layers, what their weight layers but the last give."""
    found = [(call.named, call.x) for call in calls if call.activates]
    return found or [(call.named, call.out) for call in calls if call.weights][:-1]


def hidden(calls: list[Call]) -> list[Call]:
    """The calls after the first layer with parameters: its output and on."""
    start = next((index for index, call in enumerate(calls) if call.trained), len(calls))
    return [call for call in calls[start:] if not isinstance(call.module, Preparation)]
