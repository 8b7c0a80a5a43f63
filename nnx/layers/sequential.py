"""A chain of modules."""

from typing import Any, overload

from nnx.errors import ConfigError
from nnx.layers.activation import ReLU
from nnx.layers.module import Module
from nnx.layers.observing import current_observer
from nnx.layers.pooling import MaxPool1d, MaxPool2d
from nnx.typing import Array


class Sequential(Module):
    """Each module applied to the result of the one before; ``model[i]`` and ``len(model)`` look inside.

    >>> import nnx
    >>> model = Sequential(nnx.Linear(4, 8), nnx.ReLU(), nnx.Linear(8, 2))
    >>> list(model.parameters())
    ['layers.0.weight', 'layers.0.bias', 'layers.2.weight', 'layers.2.bias']
    """

    def __init__(self, *layers: Module) -> None:
        for index, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise _no_module(layer, index)
        self.layers = list(layers)

    @property
    def _arguments(self) -> tuple[tuple[Module, ...], dict[str, Any]]:  # the layers as they are now
        return tuple(self.layers), {}

    def forward(self, x: Array) -> Array:
        """The composition of all layers."""
        return through(self.layers, x)

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index: Any) -> Any:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]


def through(layers: list[Module], x: Array) -> Array:
    """What comes out behind these layers, one after another."""
    for layer in _pooled_first(layers) if current_observer() is None else layers:
        x = layer(x)
    return x


def _pooled_first(layers: list[Module]) -> list[Module]:
    """The layers with every ReLU after the max poolings that follow it: max(max(x, 0)) is max(max(x), 0), and there are fewer left.

    Values and derivatives are the same, for where the largest is no more than 0 ReLU's derivative is 0. Who observes is
    shown the layers as they are written.
    """
    order = list(layers)
    for i in range(len(order) - 1):
        if type(order[i]) is ReLU and type(order[i + 1]) in (MaxPool1d, MaxPool2d):
            order[i : i + 2] = [order[i + 1], order[i]]
    return order


def _no_module(layer: Any, index: int) -> ConfigError:
    got = f"the class {layer.__name__}" if isinstance(layer, type) else type(layer).__name__
    fix = "A function becomes a layer in the forward of a Module of its own."
    if isinstance(layer, type):
        fix = f"Make one of it: nnx.{layer.__name__}()."
    elif isinstance(layer, (list, tuple)):
        fix = "Write nnx.Sequential(*layers), with a star."
    elif isinstance(layer, str):
        fix = "Write the layer itself, such as nnx.ReLU()."
    return ConfigError(expected="modules", got=f"{got} at position {index}", where="Sequential", fix=fix)
