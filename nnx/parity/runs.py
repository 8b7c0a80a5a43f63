"""One step, and several, of the same model on one backend and in one dtype, with everything brought to the host."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnx import backends, tree
from nnx.autodiff import value_and_grad
from nnx.autodiff.tensor import value_of
from nnx.data import Dataset
from nnx.layers import Module, observing, training
from nnx.layers.places import Places
from nnx.parity.watch import Follower, Reference, watched
from nnx.train.evaluation import looks_up, targets
from nnx.train.objective import minimised
from nnx.typing import Array

Outcome = dict[tuple[str, str], np.ndarray]
"""Host arrays by (kind, path): forward, loss, gradient, statistics."""


class Contestant:
    """The model on a backend in a dtype, its optimizer, its data; the steps are those of ``nnx.fit``, each as written."""

    def __init__(
        self,
        model: Module,
        data: Dataset,
        loss: Callable[..., Array],
        optimizer: Any,
        backend: Any,
        dtype: str,
        seed: int,
    ) -> None:
        self.backend, self.dtype, self.data, self.seed = backends.get(backend), dtype, data, seed
        self.model, self.loss, self.optimizer = model.copy().to(self.backend, dtype), loss, optimizer
        self.slots = optimizer.init(self.model.parameters())

    def batch(self, rows: Any) -> tuple[Array, Array]:
        """Rows of the data on the device; whole numbers that are looked up stay what they are."""
        dtype = None if looks_up(self.model) else self.dtype
        x = self.backend.asarray(self.data.x[rows, ...], dtype=dtype)
        return x, targets(self.data, rows, self.backend, self.dtype)

    def outcome(self, rows: Any) -> Outcome:
        """Everything that one step computes, before the update."""
        found: dict[tuple[str, str], Any] = {}
        calls: dict[str, int] = {}

        def note(module: Module, args: tuple[Any, ...], out: Any) -> None:
            path = module._path
            number = calls[path] = calls.get(path, 0) + 1
            outputs = [leaf for leaf in tree.leaves(out) if hasattr(leaf, "shape")]
            for place, leaf in enumerate(outputs):
                name = path + (f"#{number}" if number > 1 else "") + (f"[{place}]" if len(outputs) > 1 else "")
                found["forward", name] = value_of(leaf)

        with observing(note), self.backend.use(), training(self.seed, 0, write_back=False) as this:
            loss, grads = value_and_grad(self._loss)(self.model, *self.batch(rows))
        found["loss", "loss"] = loss
        found |= {("gradient", path): g for path, g in grads.items()}
        found |= {("statistics", path): array for path, array in this.buffers.items()}
        return {key: self.host(array) for key, array in found.items()}

    def _loss(self, model: Module, x: Array, y: Array) -> Array:
        return minimised(self.loss)(model, x, y)[0]

    def step(self, rows: Any, number: int) -> float:
        """One step of the training; its loss."""
        with self.backend.use():
            with training(seed=self.seed, step=number):
                loss, grads = value_and_grad(self._loss)(self.model, *self.batch(rows))
            params, self.slots = self.optimizer.update(grads, self.slots, self.model.parameters())
            self.model.load(params)
        return float(self.host(loss))

    def take(self, state: Mapping[str, Any], slots: Any) -> None:
        """Stand where another contestant stood: its state and its optimizer's slots, from the host."""
        with self.backend.use():
            self.model.load({path: self._placed(array) for path, array in state.items()})
            self.slots = tree.map(lambda leaf: self._placed(leaf) if isinstance(leaf, np.ndarray) else leaf, slots)

    def where(self) -> tuple[dict[str, Any], Any]:
        """State and slots on the host."""
        state = {path: self.host(array) for path, array in self.model.state().items()}
        return state, tree.map(lambda leaf: self.host(leaf) if hasattr(leaf, "shape") else leaf, self.slots)

    def host(self, array: Array) -> np.ndarray:
        """A copy on the host."""
        return np.array(self.backend.to_numpy(array))

    def _placed(self, array: np.ndarray) -> Array:
        return self.backend.asarray(array, dtype=self.dtype if array.dtype.kind == "f" else None)

    def watched(self, rows: Any, reference: Reference | None) -> Any:
        """The same step operation by operation: to be a reference, or in lockstep with one."""
        watching = Reference(self.backend) if reference is None else Follower(self.backend, reference)
        places = Places(self.model, self.model.state())

        def step(*arrays: Array) -> None:
            with training(self.seed, 0, write_back=False):
                value_and_grad(self._loss)(places.twin(arrays[:-2]), *arrays[-2:])

        with self.backend.use():
            watched(step, [*places.take(), *self.batch(rows)], self.backend, watching)
        return watching
