"""A short training on a copy, and what is written down about each step: figures stay on the device until the end."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nnx import optim, random
from nnx.autodiff import value_and_grad
from nnx.doctor.measure import norm, pull_rows, stack
from nnx.doctor.rows import Rows
from nnx.doctor.subject import Subject
from nnx.layers import Module, training
from nnx.typing import Array

Host = np.ndarray[Any, Any]
PER_PARAMETER = ("gradient", "mean_gradient", "update", "weight")


@dataclass(frozen=True)
class Course:
    """What a trial wrote down: (steps,) and, for each parameter, (steps, parameters) in the order of ``paths``."""

    paths: tuple[str, ...]
    axes: tuple[int, ...]
    loss: Host
    penalty: Host
    gradient: Host
    mean_gradient: Host
    update: Host
    weight: Host

    @cached_property
    def weights(self) -> list[int]:
        """The columns of parameters with two axes or more."""
        return [column for column, axes in enumerate(self.axes) if axes >= 2]

    @property
    def norms(self) -> Host:
        """The norm of the whole gradient at each step."""
        return np.asarray(np.sqrt(np.sum(self.gradient**2, axis=1)))


class Trial:
    """A training run of the doctor's own: keyed by a purpose, on a fresh copy, never on the user's model."""

    def __init__(
        self,
        subject: Subject,
        purpose: str,
        *,
        optimizer: optim.Optimizer | None = None,
        dropout: bool = True,
        penalise: bool = True,
        rows: Rows | None = None,
        whole: bool = False,
        zeroed: bool = False,
    ) -> None:
        self.subject, self.purpose, self.zeroed = subject, purpose, zeroed
        self.rows = subject.train if rows is None else rows
        self.batch_size = len(self.rows) if whole else min(subject.batch_size, len(self.rows))
        self.model: Module = subject.fresh(dropout=dropout)
        self.optimizer = optimizer or (subject.optimizer if penalise else subject.core)
        self.extra = subject._penalty if penalise else None
        self.params: Mapping[str, Array] = self.model.parameters()
        self.state = self.optimizer.init(self.params)
        self.step = 0
        self.losses: list[Array] = []
        self.written: list[Array] = []
        self._kept: dict[int, tuple[Array, Array]] = {}

    def run(self, steps: int, *, write: bool = False, rates: list[float] | None = None) -> "Trial":
        """Take steps; with ``write`` everything a :class:`Course` holds is noted. ``rates`` multiply the learning rate, step by step."""

        def loss_of(model: Module, x: Array, y: Array) -> tuple[Array, Array]:
            value = self.subject.loss_of(model, x, y)
            return (value if self.extra is None else value + self.extra(model.parameters())), value

        derive = value_and_grad(loss_of, has_aux=True)
        for number in range(steps):
            x, y = self.batch(self.step)
            if rates is not None:
                self.state = self.optimizer.with_rate_factor(self.state, rates[number])
            with training(seed=self.subject.seed, step=self.step):
                (_, value), grads = derive(self.model, x, y)
            before = self.params
            self.params, self.state = self.optimizer.update(grads, self.state, before)
            self.model.load(dict(self.params))
            self.losses.append(value)
            if write:
                self._write(value, grads, before)
            self.step += 1
        return self

    def batch(self, step: int) -> tuple[Array, Array]:
        """The rows of a step; a short last batch is left out."""
        count = len(self.rows) // self.batch_size
        epoch, number = divmod(step, count)
        if self.batch_size == len(self.rows):
            if 0 not in self._kept:
                self._kept[0] = self._rows(np.arange(len(self.rows)))
            return self._kept[0]
        order = random.permutation(random.key(self.subject.seed, f"doctor {self.purpose}", step=epoch), len(self.rows))
        return self._rows(order[number * self.batch_size : (number + 1) * self.batch_size])

    def _rows(self, index: Host) -> tuple[Array, Array]:
        x = self.inputs(self.rows, index)
        return x if self.subject.augment is None or self.zeroed else self.subject.augment(x), self.subject.targets(
            self.rows, index
        )

    def inputs(self, rows: Rows, index: Any = slice(None)) -> Array:
        """Inputs as this trial sees them."""
        x = self.subject.inputs(rows, index)
        return self.subject.backend.xp.zeros_like(x) if self.zeroed else x

    def _write(self, loss: Array, grads: Mapping[str, Array], before: Mapping[str, Array]) -> None:
        xp = self.subject.backend.xp
        penalty = self._penalty_norm(before, loss)
        figures = [loss, penalty]
        for path, w in before.items():
            g = grads[path]
            figures += [norm(g), xp.mean(xp.abs(g)), norm(self.params[path] - w), norm(w)]
        self.written.append(stack(figures))

    def _penalty_norm(self, params: Mapping[str, Array], loss: Array) -> Array:
        xp, penalty = self.subject.backend.xp, self.subject.penalty
        if penalty is None:
            return xp.zeros_like(loss)
        slopes = value_and_grad(lambda p: penalty(p))(dict(params))[1]
        total = sum((xp.sum(g * g) for g in slopes.values()), start=xp.zeros_like(loss))
        return xp.sqrt(total)

    @cached_property
    def course(self) -> Course:
        """Everything written, in one transfer."""
        table = pull_rows(self.written)
        each = {name: table[:, 2 + i :: len(PER_PARAMETER)] for i, name in enumerate(PER_PARAMETER)}
        axes = tuple(w.ndim for w in self.params.values())
        return Course(tuple(self.params), axes, table[:, 0], table[:, 1], **each)

    def pulled_losses(self) -> Host:
        """The loss of each step, in one transfer."""
        return np.asarray(self.subject.backend.to_numpy(stack(self.losses)), dtype=np.float64)
