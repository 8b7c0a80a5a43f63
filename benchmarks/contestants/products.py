"""The floor: the matrix products of a step and nothing else, into arrays made beforehand, by the same library."""

from importlib import import_module
from typing import Any

from benchmarks.networks import Network


def versions() -> dict[str, Any]:
    """What it runs on: said by nnx, which uses the same library."""
    return {}


def make(question: str, network: Network, *, library: str) -> Any:
    """The job of a question."""
    return Products(network, import_module(library), backward=question == "step")


class Products:
    """x W for each layer; with ``backward`` also xᵀ g for each, and g Wᵀ for each but the first."""

    def __init__(self, network: Network, xp: Any, backward: bool) -> None:
        self.xp, self.backward = xp, backward
        self.weights = [xp.asarray(weight) for weight, _ in network.weights()]
        draw = xp.asarray(network.batches(1)[0][0])
        self.x = [draw, *(xp.ones((network.batch, n), dtype="float32") for n in network.widths[1:])]
        self.dx = [xp.empty_like(x) for x in self.x]
        self.dw = [xp.empty_like(weight) for weight in self.weights]

    def reset(self) -> None:
        """Nothing changes: what is multiplied does not matter."""

    def run(self) -> None:
        """All products once."""
        product = self.xp.matmul
        for i, weight in enumerate(self.weights):
            product(self.x[i], weight, out=self.dx[i + 1])
        if self.backward:
            for i in reversed(range(len(self.weights))):
                product(self.x[i].T, self.x[i + 1], out=self.dw[i])
                if i:
                    product(self.x[i + 1], self.weights[i].T, out=self.dx[i])
        elif self.xp.__name__ == "cupy":
            self.synchronize()

    def synchronize(self) -> None:
        """Wait for the device, if there is one."""
        if self.xp.__name__ == "cupy":
            self.xp.cuda.Device().synchronize()
