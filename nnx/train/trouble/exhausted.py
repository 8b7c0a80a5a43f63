"""What is told of a training that ran out of memory: what a step needs, what is free, and how many rows would fit."""

import traceback
from collections.abc import Callable

from nnx.errors import OutOfMemoryError
from nnx.train.files.checkpoint import CHECKPOINTS
from nnx.train.memory import Memory, memory_of, spoken
from nnx.train.problem import Problem
from nnx.train.run import Run

ROWS = 1024
"""Rows that are judged at once, as by ``nnx.evaluate``."""

SHARE = 0.6
"""Of what is free, so much is given to a step: the rest is for what no count sees."""


def explained(problem: Problem, run: Run, *, epoch: int, batch: int, saved: bool, recorded: bool) -> OutOfMemoryError:
    """The error. It needs little memory itself: a step on four rows, without its update."""
    rows, room = min(problem.batch_size, len(problem.train)), problem.device.room()
    memory = _counted(problem, run, recorded)
    need = memory.step(rows) if memory else None
    fits = memory.fitting(SHARE * room, rows) if memory and room is not None else None
    return OutOfMemoryError(
        f"out of memory in step {run.step + 1} (batch {batch} of epoch {epoch}, {rows} rows)",
        expected="" if room is None else f"a need of at most {spoken(room)}, which are free",
        got="" if need is None else f"about {spoken(need)}",
        where="fit",
        fix=f"{_kept(run, saved)}{_advice(memory, fits, rows)}",
    )


def _counted(problem: Problem, run: Run, recorded: bool) -> Memory | None:
    try:
        return memory_of(problem, run.state, run.step, recorded=recorded)
    except Exception:  # what cannot be counted is not told; the cause is memory, whatever is in the way now
        return None


def _advice(memory: Memory | None, fits: int | None, rows: int) -> str:
    if fits and memory:
        return f"Use batch_size={fits}, which needs about {spoken(memory.step(fits))}."
    if fits == 0 and memory:
        return f"Not even one row fits: use a smaller model, whose weights and optimizer take {spoken(memory.resident)} now, or free memory."
    return f"Use batch_size={max(rows // 4, 1)}, or a smaller model, or free memory."


def _kept(run: Run, saved: bool) -> str:
    if saved and run.directory:
        return f"The state before it is saved in {run.directory / CHECKPOINTS}. "
    return "The model has the weights of the step before. " if run.step else ""


def ran_out(error: BaseException, problem: Problem) -> bool:
    """Whether this is for :func:`explained`: an error of memory that nobody has explained yet."""
    return not isinstance(error, OutOfMemoryError) and problem.device.exhausted(error)


def frugally(problem: Problem, judge: Callable[[int], dict[str, float]]) -> dict[str, float]:
    """``judge(rows)`` with as many rows at once as are usual, and with fewer where memory runs out."""
    rows = ROWS
    while True:
        try:
            return judge(rows)
        except Exception as error:
            if rows == 1 or not ran_out(error, problem):
                raise
            traceback.clear_frames(error.__traceback__)
        rows //= 4
