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
            self._paths = list(self.model.parameters())
            self._places = Places(self.model, self._paths)
            self._in_place = InPlace(backends.of(found.loss), self._places, self._paths)
        params = self._places.take()
        new = self._in_place(optimizer, state, params, [found.grads[path] for path in self._paths])
        if new is None:
            made, new = optimizer.update(found.grads, state, dict(zip(self._paths, params)))
            self._places.put(made)
        self._places.put(found.buffers)
        return Step(found.loss, found.outputs, new)
