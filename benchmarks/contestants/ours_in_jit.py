"""nnx on JAX arrays with the step wrapped in ``jax.jit`` by hand. Without dropout: its masks are drawn on the host by step."""

from typing import Any

import jax

import nnx
from benchmarks.contestants import ours
from benchmarks.networks import Network
from nnx.train.step import train_step

versions = ours.versions


def make(question: str, network: Network, *, backend: str) -> Any:
    """The job of a question."""
    return {"step": Step, "inference": Inference}[question](network, nnx.backends.get(backend))


class Step(ours.Step):
    """The step as one compiled function of parameters, optimizer state and batch; the old ones are given up to it."""

    def __init__(self, network: Network, backend: Any) -> None:
        model, optimizer = ours.build(network, backend), nnx.optim.Adam(1e-3)

        def step(params: Any, state: Any, x: Any, y: Any) -> Any:
            model.load(params)
            done = train_step(model, nnx.losses.cross_entropy, optimizer, state, x, y, seed=0, step=0)
            return done.params, done.state, done.loss

        self.compiled = jax.jit(step, donate_argnums=(0, 1))
        super().__init__(network, backend)

    def reset(self) -> None:
        """The first step again, on copies: what is given to the function is gone afterwards."""
        self.params = {path: array.copy() for path, array in self.start.items()}
        self.state, self.number, self.last = self.optimizer.init(self.params), 0, None

    def run(self) -> None:
        """One training step."""
        x, y = self.batches[self.number % len(self.batches)]
        self.params, self.state, self.last = self.compiled(self.params, self.state, x, y)
        self.number += 1

    def synchronize(self) -> None:
        """Wait for the parameters."""
        self.backend.synchronize(*self.params.values())


class Inference(ours.Inference):
    """The model as one compiled function of parameters and batch."""

    def __init__(self, network: Network, backend: Any) -> None:
        super().__init__(network, backend)
        model, params = self.model, self.model.parameters()

        def answer(params: Any, x: Any) -> Any:
            model.load(params)
            return model(x)

        compiled = jax.jit(answer)
        self.model = lambda x: compiled(params, x)
