"""Models written by hand, as users write them."""

from typing import Any

import numpy as np

import nnx


def mlp(dropout: float = 0.0) -> nnx.Sequential:
    """A small classifier with every kind of array."""
    return nnx.Sequential(
        nnx.Linear(4, 6, bias=False), nnx.BatchNorm(6), nnx.ReLU(), nnx.Dropout(dropout), nnx.Linear(6, 3)
    )


STATE = [
    "layers.0.weight", "layers.1.gamma", "layers.1.beta", "layers.1.running_mean", "layers.1.running_variance", "layers.4.weight",
    "layers.4.bias",
]  # fmt: skip
"""The paths of ``mlp``."""


class Scale(nnx.Module):
    """A layer of one's own, by ``__call__``."""

    def __init__(self, n: int) -> None:
        self.factor = nnx.Parameter((n,), nnx.init.constant(2.0))

    def __call__(self, x: Any) -> Any:
        return x * self.factor


class Residual(nnx.Module):
    """Submodules in lists and dictionaries, loops and branches."""

    def __init__(self, n: int, depth: int) -> None:
        self.blocks = [nnx.Linear(n, n) for _ in range(depth)]
        self.heads = {"class": nnx.Linear(n, 3), "value": [nnx.Linear(n, 1), Scale(1)]}
        self._hidden = Scale(n)

    def forward(self, x: Any, head: str = "class") -> Any:
        for index, block in enumerate(self.blocks):
            x = x + nnx.ops.tanh(block(x)) if index % 2 else block(x)
        x = self._hidden(x)
        if head == "class":
            return self.heads["class"](x)
        linear, scale = self.heads["value"]
        return scale(linear(x))


class Tied(nnx.Module):
    """One declaration in two places: an encoder and, transposed, a decoder."""

    def __init__(self) -> None:
        self.encode = nnx.Linear(4, 3, bias=False)
        self.again = self.encode
        self.mine = nnx.Parameter((3,), nnx.init.ones())
        self.other = Holder(self.__dict__["_declared"]["mine"])

    def forward(self, x: Any) -> Any:
        return self.again(x * 1.0) * self.mine + self.encode(x) * self.other.array


class Holder(nnx.Module):
    def __init__(self, declaration: Any) -> None:
        self.array = declaration


class Counter(nnx.Module):
    """A buffer of one's own, moved by assignment in a training pass."""

    def __init__(self) -> None:
        self.total = nnx.Buffer((2,), nnx.init.zeros())
        self.calls = nnx.Buffer(np.asarray(0))

    def forward(self, x: Any) -> Any:
        xp = nnx.namespace(x)
        if nnx.layers.current_pass() is not None:
            self.total = self.total + xp.sum(x, axis=0)
            self.calls = self.calls + 1
        return x - self.total
