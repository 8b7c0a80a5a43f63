"""What a person would write in plain NumPy (or CuPy): the derivative by hand, Adam in place on one flat array."""

from importlib import import_module
from typing import Any

from benchmarks.networks import Network


def versions() -> dict[str, Any]:
    """What it runs on: said by nnx, which uses the same library."""
    return {}


def make(question: str, network: Network, *, library: str) -> Any:
    """The job of a question."""
    return {"step": Step, "inference": Inference, "update": Update}[question](network, import_module(library))


class Step:
    """Parameters, gradients and moments are flat arrays; weights and biases are views of them."""

    def __init__(self, network: Network, xp: Any) -> None:
        self.network, self.xp = network, xp
        self.batches = [(xp.asarray(x), xp.asarray(y)) for x, y in network.batches()]
        self.rows = xp.arange(network.batch)
        self.flat, self.g, self.m, self.v = (xp.zeros(network.parameters, dtype="float32") for _ in range(4))
        self.layers, self.grads = self._views(self.flat), self._views(self.g)
        self.reset()

    def _views(self, flat: Any) -> list[tuple[Any, Any]]:
        views, at = [], 0
        for m, n in zip(self.network.widths, self.network.widths[1:]):
            views.append((flat[at : at + m * n].reshape(m, n), flat[at + m * n : at + m * n + n]))
            at += m * n + n
        return views

    def reset(self) -> None:
        """The first step again."""
        for (w, b), (weight, bias) in zip(self.layers, self.network.weights(), strict=True):
            w[...], b[...] = self.xp.asarray(weight), self.xp.asarray(bias)
        self.m[...], self.v[...], self.number, self.last = 0, 0, 0, None

    def run(self) -> None:
        """One training step."""
        xp, n = self.xp, self.network.batch
        x, y = self.batches[self.number % len(self.batches)]
        inputs = []
        for index, (w, b) in enumerate(self.layers):
            inputs.append(x)
            x = x @ w
            x += b
            if index < len(self.layers) - 1:
                xp.maximum(x, 0, out=x)
        x -= x.max(axis=1, keepdims=True)
        g = xp.exp(x)
        total = g.sum(axis=1, keepdims=True)
        self.last = (xp.log(total[:, 0]) - x[self.rows, y]).mean()
        g /= total
        g[self.rows, y] -= 1
        g *= 1 / n
        for index in reversed(range(len(self.layers))):
            dw, db = self.grads[index]
            xp.matmul(inputs[index].T, g, out=dw)
            g.sum(axis=0, out=db)
            if index:
                g = g @ self.layers[index][0].T
                g *= inputs[index] > 0
        self.adam()

    def adam(self) -> None:
        """The update, in place."""
        xp, g, m, v = self.xp, self.g, self.m, self.v
        self.number += 1
        m *= 0.9
        m += 0.1 * g
        v *= 0.999
        v += 0.001 * (g * g)
        root = xp.sqrt(v)
        root *= (1 - 0.999**self.number) ** -0.5
        root += 1e-8
        xp.divide(m, root, out=root)
        root *= 1e-3 / (1 - 0.9**self.number)
        self.flat -= root

    def synchronize(self) -> None:
        """Wait for the device, if there is one."""
        if self.xp.__name__ == "cupy":
            self.xp.cuda.Device().synchronize()

    def loss(self) -> float:
        """Train once more; the loss before it."""
        self.run()
        return float(self.last)


class Inference(Step):
    """The forward half, the answer waited for each time."""

    def run(self) -> None:
        """One answer."""
        x = self.batches[0][0]
        for index, (w, b) in enumerate(self.layers):
            x = x @ w
            x += b
            if index < len(self.layers) - 1:
                self.xp.maximum(x, 0, out=x)
        self.out = x
        self.synchronize()

    def outputs(self) -> Any:
        """The answer, on the host."""
        self.run()
        return self.out if self.xp.__name__ == "numpy" else self.xp.asnumpy(self.out)


class Update(Step):
    """Adam alone, with gradients that are given."""

    def reset(self) -> None:
        """The first step again."""
        super().reset()
        self.g[...] = self.flat * 0.01 + 0.001

    def run(self) -> None:
        """One update."""
        self.adam()
