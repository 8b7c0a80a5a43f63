"""Healthy programs: a model, data, loss and settings of different kinds that train well. ``faults.py`` breaks them.

B is an MLP with ReLU on digits, D a deeper one with batch norm and dropout, R a regression with tanh, C a convolutional net
on the digits as images. ``healthy(seed)`` has
more, by optimizer, by initialisation, by what prepares the inputs; the doctor must find nothing wrong with any of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

import nnx
from nnx.layers import Preparation
from nnx.train.step import train_step


@dataclass(frozen=True)
class Program:
    """What a user would give to ``nnx.fit``, and rows that judge it honestly, with inputs as the model will meet them."""

    name: str
    model: nnx.Module
    train: Any
    val: Any
    test: Any
    optimizer: Any
    loss: Any = None
    batch_size: int = 64
    epochs: int = 12
    augment: Callable[[Any], Any] | None = None
    penalty: Any = None
    seed: int = 0

    @property
    def classes(self) -> bool:
        """Whether the honest rows have labels."""
        return self.test[1].dtype.kind in "iu"

    def examine(self, check: str = "full", backend: Any = None, **options: Any) -> Any:
        """What the doctor says."""
        return nnx.doctor(
            self.model, self.train, self.val, loss=self.loss, optimizer=self.optimizer, batch_size=self.batch_size,
            augment=self.augment, penalty=self.penalty, seed=self.seed, check=check, backend=backend, **options,
        )  # fmt: skip

    def scores(self) -> tuple[float, float]:
        """Train by hand for the program's epochs, as its author would: accuracy or R² on test and on validation rows.

        What cannot train at all scores −1.
        """
        try:
            with np.errstate(all="ignore"):
                return self._scores()
        except (nnx.errors.NnxError, IndexError, ValueError):
            return -1.0, -1.0

    def _scores(self) -> tuple[float, float]:
        model = self.model.copy() if self.model.initialized else self.model.map_arrays(lambda _, a: a)
        x, y = self.train
        for layer in getattr(model, "layers", []):
            if isinstance(layer, Preparation) and not layer.is_fitted:
                layer.fit(y if isinstance(layer, nnx.Unstandardize) else x)
        loss = nnx.losses.get(self.loss or ("cross_entropy" if self.classes else "mse"))
        optimizer = self.optimizer.with_steps_per_epoch(max(len(x) // self.batch_size, 1))
        state, step = optimizer.init(model.parameters()), 0
        for epoch in range(self.epochs):
            for rows in nnx.data.batches(len(x), self.batch_size, seed=self.seed, epoch=epoch, drop_last=True):
                batch = x[rows] if self.augment is None else self.augment(x[rows])
                state = train_step(model, loss, optimizer, state, batch, y[rows], self.seed, step).state
                step += 1
        return self.score(model, self.test, 2), self.score(model, self.val)

    def score(self, model: nnx.Module, rows: Any, batch: int = 10_000) -> float:
        """Accuracy or R² of a model on rows that it meets in small batches, as in use."""
        x, y = rows
        out = np.concatenate([model(x[i : i + batch]) for i in range(0, len(x), batch)])
        if not np.isfinite(out).all() or out.shape[0] != len(y):
            return -1.0
        if y.dtype.kind in "iu":
            return float(np.mean(np.argmax(out, axis=1) == y)) if out.ndim == 2 else -1.0
        y = y.reshape(len(y), -1)
        out = out.reshape(len(y), -1) if out.size == y.size else np.zeros_like(y)
        return max(-1.0, float(1 - np.mean((out - y) ** 2) / np.var(y)))


# data -----------------------------------------------------------------------------------------------------------------
@cache
def digits(seed: int = 0) -> tuple[Any, Any, Any]:
    """The digits, in three parts of raw (x, y)."""
    parts = nnx.data.split(nnx.data.load("digits"), (0.7, 0.15, 0.15), seed=seed)
    return tuple((part.x, part.y) for part in parts)  # type: ignore[return-value]


@cache
def friedman(seed: int = 0, rows: int = 1400) -> tuple[Any, Any, Any]:
    """Friedman's first function of 10 uniform inputs with noise, standardised target, in three parts."""
    x = nnx.random.uniform(nnx.random.key(seed, "friedman x"), (rows, 10), low=0.0, high=1.0)
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    y = y + nnx.random.normal(nnx.random.key(seed, "friedman y"), (rows,))
    y = (y - y.mean()) / y.std()
    x, y = x.astype(np.float32), y.astype(np.float32)[:, None]
    a, b = int(0.7 * rows), int(0.85 * rows)
    return (x[:a], y[:a]), (x[a:b], y[a:b]), (x[b:], y[b:])


@cache
def images(seed: int = 0) -> tuple[Any, Any, Any]:
    """The digits as (N, 8, 8, 1)."""
    return tuple((x.reshape(-1, 8, 8, 1), y) for x, y in digits(seed))  # type: ignore[return-value]


# models ---------------------------------------------------------------------------------------------------------------
GLOROT = nnx.init.glorot_normal()


def mlp(*widths: int, between: Any = nnx.ReLU, init: Any = None, first: Any = None) -> nnx.Sequential:
    """Linear layers with an activation between; ``init`` for the hidden ones, Glorot for the last."""
    layers: list[nnx.Module] = [first if first is not None else nnx.Standardize(widths[0])]
    for before, after in pairwise(widths[:-1]):
        layers += [nnx.Linear(before, after, init=init), between()]
    return nnx.Sequential(*layers, nnx.Linear(widths[-2], widths[-1], init=GLOROT))


def deep(
    *widths: int, dropout: float = 0.2, init: Any = None, momentum: float = 0.9, norm: bool = True
) -> nnx.Sequential:
    """Linear, BatchNorm, ReLU, Dropout, again and again; Linear last."""
    layers: list[nnx.Module] = [nnx.Standardize(widths[0])]
    for before, after in pairwise(widths[:-1]):
        layers.append(nnx.Linear(before, after, bias=not norm, init=init))
        layers += [nnx.BatchNorm(after, momentum=momentum)] if norm else []
        layers += [nnx.ReLU()] + ([nnx.Dropout(dropout)] if dropout else [])
    return nnx.Sequential(*layers, nnx.Linear(widths[-2], widths[-1], init=GLOROT))


def convolutions(
    between: Any, pool: Any, *, channels: tuple[int, ...] = (12, 24), init: Any = None, norm: bool = False
) -> nnx.Sequential:
    """Conv2d, activation, pooling, again and again; then Linear, drawn small: of four values a maximum is a large one."""
    layers: list[nnx.Module] = [nnx.Standardize(1)]
    for before, after in pairwise((1, *channels)):
        layers.append(nnx.Conv2d(before, after, 3, padding="same", bias=not norm, init=init))
        layers += ([nnx.BatchNorm(after)] if norm else []) + [between(), pool()]
    rest = (8 // 2 ** len(channels)) ** 2 * channels[-1]
    return nnx.Sequential(*layers, nnx.Flatten(), nnx.Linear(rest, 10, init=nnx.init.glorot_normal(0.5)))


# programs -------------------------------------------------------------------------------------------------------------
def basic(seed: int = 0) -> Program:
    """B: an MLP with ReLU on digits, Adam."""
    return Program("B", mlp(64, 64, 32, 10).initialize(seed), *digits(seed), nnx.optim.Adam(1e-3), seed=seed)


def deeper(seed: int = 0) -> Program:
    """D: four hidden layers with batch norm and dropout on digits, Adam."""
    return Program(
        "D", deep(64, 64, 64, 64, 32, 10).initialize(seed), *digits(seed), nnx.optim.Adam(2e-3), epochs=6, seed=seed
    )


def regression(seed: int = 0) -> Program:
    """R: a tanh net on Friedman's function, momentum."""
    model = mlp(10, 32, 32, 1, between=nnx.Tanh, init=GLOROT).initialize(seed)
    return Program("R", model, *friedman(seed), nnx.optim.SGD(0.05, momentum=0.9), batch_size=32, epochs=30, seed=seed)


def convolutional(seed: int = 0) -> Program:
    """C: two convolutions with ReLU and max pooling on the digits as images, Adam."""
    model = convolutions(nnx.ReLU, lambda: nnx.MaxPool2d(2)).initialize(seed)
    return Program("C", model, *images(seed), nnx.optim.Adam(3e-3), epochs=8, seed=seed)


PROGRAMS = {"B": basic, "D": deeper, "R": regression, "C": convolutional}


def healthy(seed: int = 0) -> Iterator[Program]:
    """Programs that there is nothing wrong with, by one seed."""
    b, d, r = basic(seed), deeper(seed), regression(seed)
    c = convolutional(seed)
    yield from (b, d, r, c)
    yield replace(
        c,
        name="C, batch norm, average pooling, momentum",
        model=convolutions(nnx.ReLU, lambda: nnx.AvgPool2d(2), norm=True).initialize(seed),
        optimizer=nnx.optim.SGD(0.05, momentum=0.9),
    )
    yield replace(
        c,
        name="C, global average, in groups",
        model=nnx.Sequential(
            nnx.Standardize(1), nnx.Conv2d(1, 16, 3, padding="same"), nnx.GELU(), nnx.Conv2d(16, 16, 3, groups=16, stride=2, init=nnx.init.lecun_normal()), nnx.Conv2d(16, 32, 1), nnx.GELU(), nnx.GlobalAvgPool(), nnx.Linear(32, 10, init=GLOROT),
        ).initialize(seed),
        optimizer=nnx.optim.Adam(1e-2),
    )  # fmt: skip
    yield replace(b, name="B, SGD 0.1", optimizer=nnx.optim.SGD(0.1))
    yield replace(
        b,
        name="B, RMSprop, LeCun",
        optimizer=nnx.optim.RMSprop(1e-3),
        model=mlp(64, 64, 10, init=nnx.init.lecun_normal()).initialize(seed),
    )
    yield replace(
        b,
        name="B, AdamW 1e-2, L2, clip",
        optimizer=nnx.optim.chain(
            nnx.optim.penalize(l2=1e-4), nnx.optim.clip_by_global_norm(5.0), nnx.optim.AdamW(1e-2)
        ),
    )
    yield replace(
        b, name="B, in [0, 1]", model=mlp(64, 64, 32, 10, first=nnx.MinMaxScale(64, 0.0, 1.0)).initialize(seed)
    )
    yield replace(
        b,
        name="B, logistic",
        model=nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 10, init=nnx.init.zeros())).initialize(seed),
    )
    yield replace(
        b,
        name="B, GELU",
        model=mlp(64, 48, 48, 10, between=nnx.GELU).initialize(seed),
        batch_size=128,
        optimizer=nnx.optim.Adam(3e-3),
    )
    yield replace(
        d,
        name="D, SGD 0.1, momentum",
        optimizer=nnx.optim.SGD(0.1, momentum=0.9),
        model=deep(64, 64, 64, 10, dropout=0.0).initialize(seed),
    )
    yield replace(
        d,
        name="D, cosine, dropout 0.5",
        optimizer=nnx.optim.AdamW(nnx.optim.CosineDecay(3e-3, length=30)),
        model=deep(64, 128, 64, 10, dropout=0.5).initialize(seed),
    )
    yield replace(r, name="R, Adam 1e-2", optimizer=nnx.optim.Adam(1e-2))
    yield replace(
        r, name="R, ReLU, huber", model=mlp(10, 64, 1).initialize(seed), loss="huber", optimizer=nnx.optim.Adam(3e-3)
    )
    far = tuple((x, 300 + 40 * y) for x, y in friedman(seed))
    model = nnx.Sequential(*mlp(10, 32, 32, 1, between=nnx.Tanh, init=GLOROT).layers, nnx.Unstandardize(1)).initialize(
        seed
    )
    yield replace(
        r, name="R, Unstandardize", model=model, train=far[0], val=far[1], test=far[2], optimizer=nnx.optim.Adam(1e-2)
    )


__all__ = [
    "PROGRAMS",
    "Program",
    "basic",
    "convolutional",
    "convolutions",
    "deeper",
    "digits",
    "friedman",
    "healthy",
    "regression",
]
