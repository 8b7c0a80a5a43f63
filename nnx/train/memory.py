"""How much memory a training needs: counted from the operations of a step on a few rows, which is recorded and never run at full size.

::

    resident      weights, buffers and optimizer state, and once more those of the last clean look where they are kept
    step(n)       the most that is alive at once of what a step on n rows makes: max over its calls of a + b n, from two small recordings
    update        the new weights and the new optimizer state beside the old, where they are not written over them

What a library keeps for itself (a pool, the workspace of a product, columns of a convolution within a hook) is not seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nnx import tree
from nnx.backends.recorded.program import VIEWS, Program, needed, values_in
from nnx.backends.recorded.recording import record
from nnx.train.plans import Plan
from nnx.train.problem import Problem
from nnx.train.trouble.watch import SMALL


@dataclass(frozen=True)
class Memory:
    """Bytes of a training."""

    parameters: int
    """All of them; ``gradients`` are those of the ones that are trained."""
    buffers: int
    optimizer: int
    gradients: int
    course: tuple[tuple[float, float], ...]
    """What is alive at each call of a step on n rows: a + b n."""
    copies: int = 1
    """2 where steps are replayed: the first replay is made in memory of its own, beside the step as it is written."""
    in_place: bool = False
    """Whether updates are written over weights and state, of which only those of the last clean look are kept besides."""

    @property
    def held(self) -> int:
        """Weights, buffers and optimizer state, once."""
        return self.parameters + self.buffers + self.optimizer

    @property
    def resident(self) -> int:
        """What is there between two steps."""
        return self.held * (2 if self.held <= SMALL or self.in_place else 1)

    @property
    def update(self) -> int:
        """The new weights and the new optimizer state, beside the old."""
        return 0 if self.in_place else self.copies * (self.gradients + self.optimizer)

    def intermediates(self, rows: int) -> int:
        """The most that is alive at once of what a step on so many rows makes, its gradients among it."""
        return int(max(a + b * rows for a, b in self.course))

    def step(self, rows: int) -> int:
        """What a step on so many rows needs besides: for its intermediates, gradients and the update."""
        return self.copies * self.intermediates(rows) + self.update

    def fitting(self, room: float, below: int) -> int:
        """The largest power of two of rows, less than ``below``, whose step fits into ``room`` bytes; 0 if none does."""
        rows = 1 << max(below - 1, 1).bit_length() - 1
        while rows and (rows >= below or self.step(rows) > room):
            rows //= 2
        return rows


def memory_of(problem: Problem, optimizer_state: Any, step: int = 0, *, recorded: bool) -> Memory:
    """The memory of a training of this problem. What the recording refuses (see ``nnx.train.stepper``) is raised."""
    model = problem.model
    trained = sum(map(nbytes, model.parameters().values()))
    few, more = (_alive(_recorded(problem, rows, step), model) for rows in (2, 4))
    if len(few) != len(more):  # what it calls depends on the number of rows
        few, more = [max(few)], [max(more)]
    slopes = [(b - a) / 2 for a, b in zip(few, more)]
    return Memory(
        parameters=trained + sum(map(nbytes, model.parameters(frozen=True).values())),
        buffers=sum(map(nbytes, model.buffers().values())),
        optimizer=sum(nbytes(leaf) for leaf in tree.leaves(optimizer_state) if hasattr(leaf, "shape")),
        gradients=trained,
        course=tuple((a - 2 * slope, slope) for a, slope in zip(few, slopes)),
        copies=2 if recorded and problem.device.jit is None else 1,
        in_place=recorded and problem.device.over is not None,
    )  # fmt: skip


def _recorded(problem: Problem, rows: int, step: int) -> Program:
    """The calls of a step on so many rows, noted and not compiled."""
    x, y = problem.rows(np.arange(rows) % len(problem.train))

    def noted(function: Callable[..., Any], given: Any, backend: Any, borrowed: Any) -> Any:
        return record(function, given, backend)[1]

    program: Program = Plan(problem.model, problem.loss, x, y, problem.seed, step, compiler=noted)._run
    return program


def _alive(program: Program, model: Any) -> list[int]:
    """The bytes alive at each call: an array lives from the call that makes it to the last that looks at it or at a view of it."""
    calls = needed(program)
    root: dict[int, int] = {}
    size: dict[int, int] = {}
    last: dict[int, int] = {}
    for value in program.inputs[
        len(model.state()) :
    ]:  # the batch and the draws; the arrays of the model are counted as such
        root[value.number], size[value.number] = value.number, _size(value)
    for index, call in enumerate(calls):
        given = [value.number for value in values_in((call.args, call.kwargs))]
        for value in values_in(call.out):
            seen = call.name.rpartition(".")[2] in VIEWS and given
            root[value.number] = root.get(given[0], -1) if seen else value.number
            if root[value.number] == value.number:
                size[value.number] = _size(value)
        for number in [*given, *(value.number for value in values_in(call.out))]:
            last[root.get(number, -1)] = index
    for value in values_in(program.outputs):
        last[root.get(value.number, -1)] = len(calls)
    alive = sum(size[value.number] for value in program.inputs if value.number in size)
    course = [alive]
    ends: dict[int, list[int]] = {}
    for number, index in last.items():
        ends.setdefault(index, []).append(number)
    for index, call in enumerate(calls):
        alive += sum(size[value.number] for value in values_in(call.out) if root[value.number] == value.number)
        course.append(alive)
        alive -= sum(size.get(number, 0) for number in ends.get(index, ()))
    return course


def _size(value: Any) -> int:
    return int(prod(value.shape)) * _width(value.dtype)


def _width(dtype: Any) -> int:
    name = str(dtype).rpartition(".")[2]
    digits = "".join(c for c in name if c.isdigit())
    return int(digits) // 8 if digits else 1


def nbytes(array: Any) -> int:
    """The bytes of an array of any library."""
    return int(prod(array.shape)) * _width(array.dtype)


def spoken(size: float) -> str:
    """Bytes as people say them.

    >>> spoken(3.3e9), spoken(1_500_000)
    ('3.1 GiB', '1.4 MiB')
    """
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
