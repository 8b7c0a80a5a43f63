"""Keras 3 as its users have it: ``Sequential``, ``compile``, ``train_on_batch``. It runs on KERAS_BACKEND, else on what is there."""

import os
from importlib.util import find_spec
from typing import Any

os.environ.setdefault(
    "KERAS_BACKEND", next((name for name in ("tensorflow", "jax", "torch") if find_spec(name)), "tensorflow")
)

import keras

from benchmarks.networks import Network


def versions() -> dict[str, Any]:
    """What it runs on."""
    return {"keras": keras.__version__, "backend": keras.backend.backend()}


def make(question: str, network: Network) -> Any:
    """The job of a question."""
    return {"step": Step, "inference": Inference}[question](network)


def build(network: Network) -> Any:
    """The network with the common weights."""
    layers: list[Any] = [keras.Input((network.widths[0],))]
    last = len(network.widths) - 2
    for index, n in enumerate(network.widths[1:]):
        hidden = index < last
        if hidden and network.regular:
            layers += [
                keras.layers.Dense(n, use_bias=False),
                keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            ]
            layers += [keras.layers.ReLU(), keras.layers.Dropout(0.2)]
        else:
            layers.append(keras.layers.Dense(n, activation="relu" if hidden else None))
    model = keras.Sequential(layers)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, (weight, bias) in zip(dense, network.weights(), strict=True):
        layer.set_weights([weight, bias][: len(layer.weights)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8), loss)
    return model


class Step:
    """``train_on_batch``, which tells the loss and so waits."""

    def __init__(self, network: Network) -> None:
        self.model, self.batches, self.number = build(network), network.batches(), 0
        self.start = self.model.get_weights()

    def reset(self) -> None:
        """The first step again; building anew would compile anew."""
        self.model.set_weights(self.start)
        for variable in self.model.optimizer.variables if self.number else ():
            if variable is not self.model.optimizer.learning_rate:
                variable.assign(variable * 0)
        self.number = 0

    def run(self) -> None:
        """One training step."""
        x, y = self.batches[self.number % len(self.batches)]
        self.last = self.model.train_on_batch(x, y)
        self.number += 1

    def synchronize(self) -> None:
        """It always waits."""

    def loss(self) -> float:
        """Train once more; the loss before it."""
        self.model.reset_metrics()
        self.run()
        return float(self.last)


class Inference:
    """``predict_on_batch``."""

    def __init__(self, network: Network) -> None:
        self.model, self.x = build(network), network.batches(1)[0][0]

    def reset(self) -> None:
        """Nothing changes."""

    def run(self) -> None:
        """One answer, on the host."""
        self.out = self.model.predict_on_batch(self.x)

    def synchronize(self) -> None:
        """Each answer was waited for."""

    def outputs(self) -> Any:
        """The answer."""
        self.run()
        return self.out
