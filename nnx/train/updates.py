"""What a training makes of gradients: new parameters, buffers and optimizer state."""

from typing import Any

from nnx import backends
from nnx.layers import Module
from nnx.layers.places import Places
from nnx.train.in_place import InPlace
from nnx.train.step import Found, Step


class Updates:
    """The updates of one model: written over its parameters where nobody else holds them, else beside them."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self._places: Places | None = None

    def __call__(self, optimizer: Any, state: dict[str, Any], found: Found) -> Step:
        """The model has its new parameters and buffers afterwards. The state is taken over: its arrays may be those of the new one."""
        if self._places is None or not self._places.stand():
            self._places = Places(self.model, self.model.parameters())
            self._in_place = InPlace(backends.of(found.loss), self._places)
        made, new = self._in_place(optimizer, state, self._places.take(), found.grads)
        if made is not None:
            self._places.put(made)
        self._places.put(found.buffers)
        return Step(found.loss, found.outputs, new)
