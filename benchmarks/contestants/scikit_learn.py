"""scikit-learn's ``MLPClassifier``: a step is ``partial_fit`` on a batch, inference ``predict_proba``."""

from typing import Any

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

from benchmarks.networks import Network


def versions() -> dict[str, Any]:
    """What it runs on."""
    return {"sklearn": sklearn.__version__, "numpy": np.__version__}


def make(question: str, network: Network) -> Any:
    """The job of a question."""
    return {"step": Step, "inference": Inference}[question](network)


class Step:
    """One batch through ``partial_fit``, with its Adam and without its default weight decay, which others do not do."""

    def __init__(self, network: Network) -> None:
        self.network, self.batches = network, network.batches()
        self.reset()

    def reset(self) -> None:
        """The first step again: a first call makes the arrays, which then get the common weights and zero moments."""
        network = self.network
        self.model = MLPClassifier(network.widths[1:-1], solver="adam", alpha=0.0, batch_size=network.batch)
        x, y = self.batches[0]
        self.model.partial_fit(x, y, classes=np.arange(network.widths[-1]))
        values = network.weights()
        for target, value in zip(
            self.model.coefs_ + self.model.intercepts_, [w for w, _ in values] + [b for _, b in values]
        ):
            target[...] = value
        optimizer = self.model._optimizer
        optimizer.t = self.model.t_ = 0
        for moment in (*optimizer.ms, *optimizer.vs):
            moment[...] = 0
        self.number = 0

    def run(self) -> None:
        """One training step."""
        x, y = self.batches[self.number % len(self.batches)]
        self.model.partial_fit(x, y)
        self.number += 1

    def synchronize(self) -> None:
        """It always waits."""

    def loss(self) -> float:
        """Train once more; the loss before it."""
        self.run()
        return float(self.model.loss_)


class Inference(Step):
    """Probabilities of one batch."""

    def run(self) -> None:
        """One answer."""
        self.out = self.model.predict_proba(self.batches[0][0])

    def outputs(self) -> Any:
        """The answer as logits up to a constant per row."""
        self.run()
        return np.log(self.out)
