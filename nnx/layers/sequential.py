"""A chain of modules."""

from typing import Any, overload

from nnx.layers.module import Module
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
                raise TypeError(f"Sequential: expected modules, got {type(layer).__name__} at position {index}")
        self.layers = list(layers)

    @property
    def _arguments(self) -> tuple[tuple[Module, ...], dict[str, Any]]:  # the layers as they are now
        return tuple(self.layers), {}

    def forward(self, x: Array) -> Array:
        """The composition of all layers."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index: Any) -> Any:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]
