"""What a training will take of memory, part by part, before it begins."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnx import losses, optim
from nnx.data import Dataset
from nnx.errors import ConfigError
from nnx.layers import Module
from nnx.train import checks
from nnx.train.evaluation import outputs_in_batches
from nnx.train.given import check_model
from nnx.train.memory import memory_of, spoken
from nnx.train.problem import Problem
from nnx.train.stepper import known
from nnx.typing import Array

LABELS = checks.SUITABLE["classification"]
"""The losses that take labels."""


@dataclass(frozen=True)
class Footprint:
    """Bytes of a training on batches of so many rows. Their sum is the estimated peak."""

    backend: str
    batch_size: int
    optimizer: str
    """Its name."""
    parameters: int
    buffers: int
    gradients: int
    state: int
    """The optimizer's; that of L-BFGS when its memory is full."""
    activations: int
    """The batch and what forward and backward pass keep of it: the most that is alive at once, less the gradients."""
    copies: int
    """New weights and state beside the old, those of the last step that was looked at, and the intermediates of the first replay."""

    @property
    def peak(self) -> int:
        """The sum."""
        return self.parameters + self.buffers + self.gradients + self.state + self.activations + self.copies

    def __str__(self) -> str:
        parts = {
            "parameters": self.parameters,
            "buffers": self.buffers,
            "gradients": self.gradients,
            f"state of {self.optimizer}": self.state,
            "activations": self.activations,
            "copies": self.copies,
        }
        rows = f"{self.batch_size} row{'s' * (self.batch_size != 1)}"
        title = f"memory of a training in batches of {rows} on {self.backend}"
        sizes = [f"{size:,}" for size in (*parts.values(), self.peak)]
        names, last = max(map(len, parts)), max(map(len, sizes))
        lines = [f"{name.ljust(names)}  {size.rjust(last)}" for name, size in zip((*parts, "peak"), sizes)]
        rule = "─" * len(lines[0])
        return "\n".join([title, rule, *lines[:-1], rule, f"{lines[-1]} bytes, {spoken(self.peak)}"])


def footprint(
    model: Module,
    input_shape: tuple[int, ...],
    *,
    optimizer: Any = None,
    loss: str | Callable[..., Array] | None = None,
    compile: bool | None = None,
) -> Footprint:
    """How much memory ``nnx.fit`` needs for this model, where the model is; nothing of that size is computed.

    ``input_shape`` is that of a batch: its first number is the batch size. ``optimizer`` is by default ``Adam(1e-3)``;
    ``loss`` is cross-entropy for a model with several outputs and the squared error for one with a single one, unless
    another is said. A step on two rows and one on four are noted, and what is alive at each call of them is taken
    further to the batch size. Within 25 % of what is measured on NumPy for a multilayer perceptron, a convolutional
    network and a transformer (``tests/train/test_footprint.py``). What a library keeps for itself is not seen (a pool,
    the workspace of a product), nor is the data set, nor the judging of validation rows, a thousand at once.

    Errors: ``ConfigError`` for a shape or an optimizer that is none; ``ShapeError`` if the shape does not fit the model.

    >>> import nnx
    >>> found = footprint(nnx.Sequential(nnx.Linear(64, 256), nnx.ReLU(), nnx.Linear(256, 10)), (128, 64))
    >>> found.parameters, found.gradients, found.state
    (76840, 76840, 153680)
    >>> found.batch_size, found.backend, found.peak == sum([2 * 76840, 153680, found.activations, found.copies])
    (128, 'numpy', True)
    """
    check_model(model, "footprint")
    rows = _rows(input_shape)
    if optimizer is not None and not isinstance(optimizer, (optim.Optimizer, optim.LBFGS)):
        raise ConfigError(
            expected="an optimizer", got=repr(optimizer), where="footprint", fix="Write optimizer=nnx.optim.Adam(1e-3)."
        )
    taken = optimizer or optim.Adam(1e-3)
    few, loss_of = _some(model, input_shape[1:], loss)
    problem = Problem(model, few, loss_of, rows, 0, compile)
    full = isinstance(taken, optim.LBFGS)
    recorded = not full and (bool(compile) if compile is not None else known(model, loss_of))
    params = model.parameters()
    memory = memory_of(problem, {} if full else taken.init(params), recorded=recorded)
    if isinstance(taken, optim.LBFGS):  # pairs of steps and of gradients, and the gradient
        memory = replace(memory, optimizer=(2 * taken.history + 1) * memory.gradients)
    # in the line search of L-BFGS: the place, the direction, and the gradient there
    copies = 3 * memory.gradients if full else memory.update + memory.resident - memory.held
    intermediates = memory.intermediates(rows)
    return Footprint(
        backend=problem.device.spec,
        batch_size=rows,
        optimizer=_name(taken),
        parameters=memory.parameters,
        buffers=memory.buffers,
        gradients=memory.gradients,
        state=memory.optimizer,
        activations=max(intermediates - memory.gradients, 0),
        copies=copies + (memory.copies - 1) * intermediates,
    )


def _name(optimizer: Any) -> str:
    last = getattr(optimizer, "optimizer", optimizer)  # that of a chain
    return str(getattr(last, "name", None) or type(last).__name__)


def _rows(input_shape: Any) -> int:
    sound = isinstance(input_shape, tuple) and all(type(n) is int and n > 0 for n in input_shape)
    if not sound or not input_shape:
        raise ConfigError(
            expected="the shape of a batch, rows first",
            got=repr(input_shape)[:60],
            where="footprint",
            fix="Write for example footprint(model, (64, 28, 28, 1)).",
        )
    return int(input_shape[0])


def _some(model: Module, shape: tuple[int, ...], loss: Any) -> tuple[Dataset, Callable[..., Array]]:
    """Four rows of zeros, with targets for the loss."""
    x = np.zeros((4, *shape), dtype=np.float32)
    _, out = next(outputs_in_batches(model, x[:1], 1))
    several = out.ndim == 2 and out.shape[1] > 1
    loss_of = losses.get(loss or ("cross_entropy" if several else "mse"))
    if loss_of in [losses.LOSSES[name] for name in LABELS]:
        classes = tuple(map(str, range(out.shape[1] if out.ndim == 2 else 1)))
        return Dataset(x, np.zeros(4, dtype=np.int64), "classification", classes), loss_of
    return Dataset(x, np.zeros((4, *out.shape[1:]), dtype=np.float32), "regression"), loss_of
