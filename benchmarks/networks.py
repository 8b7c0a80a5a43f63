"""The networks that are timed, as numbers alone: every contestant builds them in its own way from the same values."""

from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

BATCHES = 8
"""Batches that a training step goes through in turn, so that no contestant sees the same one twice in a row."""


@dataclass(frozen=True)
class Network:
    """A multi-layer perceptron for classification, ReLU between its layers, float32.

    With ``regular`` each hidden layer is Linear without bias, BatchNorm, ReLU, Dropout(0.2).
    """

    widths: tuple[int, ...]
    batch: int
    regular: bool = False

    @property
    def title(self) -> str:
        """Its name in the tables.

        >>> Network((64, 32, 10), 16).title
        'MLP 64-32-10, batch 16'
        """
        shown = "-".join(map(str, self.widths)) if len(self.widths) < 7 else _many(self.widths)
        return f"MLP {shown}, batch {self.batch}{', BN+dropout' if self.regular else ''}"

    @property
    def parameters(self) -> int:
        """How many numbers are trained, batch norm aside."""
        return sum(m * n + n for m, n in pairwise(self.widths))

    def at(self, batch: int) -> "Network":
        """The same network on batches of another size."""
        return replace(self, batch=batch)

    def weights(self) -> list[tuple[Any, Any]]:
        """(W, b) of each layer on the host, W (in, out) drawn by He's rule; the same for every contestant."""
        return _weights(self.widths)

    def batches(self, count: int = BATCHES) -> list[tuple[Any, Any]]:
        """``count`` pairs of inputs (batch, features) float32 and labels (batch,) int64, on the host."""
        draw = np.random.default_rng(1)
        return [
            (
                draw.normal(size=(self.batch, self.widths[0])).astype("float32"),
                draw.integers(0, self.widths[-1], self.batch),
            )
            for _ in range(count)
        ]


@dataclass(frozen=True)
class Convolutional:
    """A convolutional network for square images of one channel, float32: 3×3 convolutions with zeros around, each with
    ReLU and 2×2 max pooling, and one dense layer."""

    channels: tuple[int, ...]
    batch: int
    side: int = 28
    classes: int = 10
    regular: bool = False

    @property
    def title(self) -> str:
        """Its name in the tables.

        >>> Convolutional((16, 32), 32).title
        'CNN 28×28-16-32-10, batch 32'
        """
        return f"CNN {self.side}×{self.side}-{'-'.join(map(str, self.channels))}-{self.classes}, batch {self.batch}"

    @property
    def rest(self) -> int:
        """Features that reach the dense layer."""
        return int((self.side // 2 ** len(self.channels)) ** 2) * self.channels[-1]

    def at(self, batch: int) -> "Convolutional":
        """The same network on batches of another size."""
        return replace(self, batch=batch)

    def weights(self) -> list[tuple[Any, Any]]:
        """(W, b) of each layer on the host: W (3, 3, in, out), the last (in, out) with its rows by height, width, channel."""
        draw = np.random.default_rng(0)
        shapes = [(3, 3, m, n) for m, n in pairwise((1, *self.channels))] + [(self.rest, self.classes)]
        return [
            (draw.normal(0, (2 / np.prod(s[:-1])) ** 0.5, s).astype("float32"), np.zeros(s[-1], "float32"))
            for s in shapes
        ]

    def batches(self, count: int = BATCHES) -> list[tuple[Any, Any]]:
        """``count`` pairs of images (batch, side, side, 1) float32 and labels (batch,) int64, on the host."""
        draw = np.random.default_rng(1)
        return [
            (
                draw.normal(size=(self.batch, self.side, self.side, 1)).astype("float32"),
                draw.integers(0, self.classes, self.batch),
            )
            for _ in range(count)
        ]


def described(network: Network | Convolutional) -> dict[str, Any]:
    """A network as JSON holds it.

    >>> of(described(CNN)) == CNN
    True
    """
    return {"kind": type(network).__name__, **asdict(network)}


def of(description: dict[str, Any]) -> Network | Convolutional:
    """The network that was described."""
    kind: Any = {"Network": Network, "Convolutional": Convolutional}[description["kind"]]
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in description.items() if k != "kind"})


@cache
def _weights(widths: tuple[int, ...]) -> list[tuple[Any, Any]]:
    draw = np.random.default_rng(0)
    return [
        (draw.normal(0, (2 / m) ** 0.5, (m, n)).astype("float32"), np.zeros(n, "float32")) for m, n in pairwise(widths)
    ]


def _many(widths: tuple[int, ...]) -> str:
    return f"{widths[0]}-({widths[1]})×{len(widths) - 2}-{widths[-1]}"


TINY = Network((64, 64, 64, 10), 32)
SMALL = Network((64, 128, 64, 10), 64)
MIDDLE = Network((784, 512, 256, 10), 128)
LARGE = Network((1024, 2048, 2048, 100), 512)

CNN = Convolutional((16, 32), 32)

TABLE = (TINY, SMALL, MIDDLE, LARGE)
REGULAR = tuple(replace(network, regular=True) for network in TABLE)
