"""nnx on any of its backends: the step that ``nnx.fit`` takes, and ``nnx.compile`` of a model; or each as it is written."""

from typing import Any

import nnx
from benchmarks.networks import Convolutional, Network
from nnx.train.step import Found
from nnx.train.stepper import stepper
from nnx.train.updates import Updates


def versions() -> dict[str, Any]:
    """What nnx runs on."""
    return {"nnx": nnx.__version__, **nnx.backends.get("numpy").info()}


def make(question: str, network: Network, *, backend: str, written: bool = False) -> Any:
    """The job of a question."""
    place = nnx.backends.get(backend)
    if question == "update":
        return Update(network, place)
    return {"step": Step, "inference": Inference}[question](network, place, written)


def build(network: Network, backend: Any) -> Any:
    """The network as an nnx model with the common weights."""
    layers = convolutional(network) if isinstance(network, Convolutional) else dense(network)
    model = nnx.Sequential(*layers).initialize(seed=0)
    weighted = [(path, layer) for path, layer in model.modules() if isinstance(layer, (nnx.Linear, nnx.Conv2d))]
    values = {}
    for (path, layer), (weight, bias) in zip(weighted, network.weights(), strict=True):
        values[f"{path}.weight"] = weight
        if layer.bias is not None:
            values[f"{path}.bias"] = bias
    model.load({**model.parameters(), **values})
    return model.to(backend)


def dense(network: Network) -> list[Any]:
    """The layers of a multi-layer perceptron."""
    layers: list[Any] = []
    last = len(network.widths) - 2
    for index, (m, n) in enumerate(zip(network.widths, network.widths[1:])):
        hidden = index < last
        layers.append(nnx.Linear(m, n, bias=not (hidden and network.regular)))
        if hidden:
            layers += [nnx.BatchNorm(n), nnx.ReLU(), nnx.Dropout(0.2)] if network.regular else [nnx.ReLU()]
    return layers


def convolutional(network: Convolutional) -> list[Any]:
    """The layers of a convolutional network."""
    layers: list[Any] = []
    for m, n in zip((1, *network.channels), network.channels):
        layers += [nnx.Conv2d(m, n, 3, padding=1), nnx.ReLU(), nnx.MaxPool2d(2)]
    return [*layers, nnx.Flatten(), nnx.Linear(network.rest, network.classes)]


class Step:
    """Forward, cross-entropy, backward, Adam; batches already on the device."""

    def __init__(self, network: Network, backend: Any, written: bool = False) -> None:
        self.backend, self.model = backend, build(network, backend)
        self.take = stepper(self.model, nnx.losses.cross_entropy, not written)
        self.batches = [(backend.asarray(x), backend.asarray(y)) for x, y in network.batches()]
        self.start, self.optimizer = self.model.state(), nnx.optim.Adam(1e-3)
        self.reset()

    def reset(self) -> None:
        """The first step again."""
        self.model.load(self.start)
        self.state, self.number, self.last = self.optimizer.init(self.model.parameters()), 0, None

    def run(self) -> None:
        """One training step."""
        x, y = self.batches[self.number % len(self.batches)]
        step = self.take(self.optimizer, self.state, x, y, 0, self.number)
        self.state, self.last, self.number = step.state, step.loss, self.number + 1

    def synchronize(self) -> None:
        """Wait for the parameters too, not for the loss alone."""
        self.backend.synchronize(*self.model.parameters().values())

    def loss(self) -> float:
        """Train once more; the loss before it."""
        self.run()
        return float(self.backend.to_numpy(self.last))


class Inference:
    """The model on one batch, the answer waited for each time."""

    def __init__(self, network: Network, backend: Any, written: bool = False) -> None:
        self.backend, model = backend, build(network, backend)
        self.model = model if written else nnx.compile(model)
        self.x = backend.asarray(network.batches(1)[0][0])

    def reset(self) -> None:
        """Nothing changes."""

    def run(self) -> None:
        """One answer."""
        self.out = self.model(self.x)
        self.backend.synchronize(self.out)

    def synchronize(self) -> None:
        """Each answer was waited for."""

    def outputs(self) -> Any:
        """The answer, on the host."""
        self.run()
        return self.backend.to_numpy(self.out)


class Update:
    """Adam alone on the parameters of the network, with gradients that are given, as a training takes it."""

    def __init__(self, network: Network, backend: Any) -> None:
        self.backend, self.optimizer, self.model = backend, nnx.optim.Adam(1e-3), build(network, backend)
        self.start, self.updates, self.memory = self.model.parameters(), Updates(self.model), backend.memory()
        grads = {path: backend.asarray(backend.to_numpy(p) * 0.01 + 0.001) for path, p in self.start.items()}
        self.found = Found(next(iter(grads.values())), None, grads, {})
        self.reset()

    def reset(self) -> None:
        """The first step again."""
        self.model.load(self.start)
        self.state = self.optimizer.init(self.start)

    def run(self) -> None:
        """One update."""
        with self.memory:
            self.state = self.updates(self.optimizer, self.state, self.found).state

    def synchronize(self) -> None:
        """Wait for the new parameters."""
        self.backend.synchronize(*self.model.parameters().values())
