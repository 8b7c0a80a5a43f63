"""Programs on NumPy whose runs of element-by-element calls become compiled loops, when they have run often enough for that.

What such calls do in a pass over memory each, a loop does in one for each phase of its group (``groups.py``), with the
calls' bits: no fast-math, and no function that does not round alike compiled and not. As other compiled loops these
warn of nothing. A loop is compiled (``loops.py``) once for all groups of its kind, whatever their sizes and numbers,
and as soon as the runs so far would have saved a quarter of what compiling takes: what was compiled is kept for later
trainings. Its first results are held against those of the calls. If anything goes wrong, or an array comes in another
memory layout, the calls run again.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from nnx.backends.fast import crew
from nnx.backends.recorded import buffers, loops
from nnx.backends.recorded.buffers import LOOP
from nnx.backends.recorded.elementwise import frame, is_sum
from nnx.backends.recorded.groups import Group, Plan
from nnx.backends.recorded.loops import Loop
from nnx.backends.recorded.program import Call, Program
from nnx.typing import Array

SHARED_FROM = 100_000
"""Elements of a matrix from which a loop is shared among threads."""

FIRST = 16
"""Runs after which a program is looked at."""

CALL, ELEMENT = 1.0e-6, 0.4e-9
"""Seconds that NumPy takes for a call and for each element of it."""

LOOP_CALL, LOOP_ARRAY, LOOP_ELEMENT = 0.5e-6, 0.1e-6, 0.25e-9
"""Seconds that a loop takes for its call, for each array and for each element in each pass."""

IMPORT, COMPILE, LOAD = 0.7, 0.6 / 4, 0.02
"""Seconds for numba to start, a quarter of those to compile a loop, and those to find it on the disk."""

MOST, LEAST = 4, 0.1
"""Kinds of loops that are compiled for one program, and the part of what all loops save that one of these must save."""


def assemble(program: Program, borrowed: Sequence[int] = ()) -> "Looped":
    """The ``assemble`` hook of NumPy where numba is installed."""
    return Looped(program, borrowed)


class Looped:
    """A program as a function of its input arrays. ``declined`` says why there are no loops, if it came to that."""

    def __init__(self, program: Program, borrowed: Sequence[int]) -> None:
        self.program, self.borrowed = program, borrowed
        self.declined = ""
        self._run: Callable[..., list[Array]] = buffers.assemble(program, borrowed)
        self._runs, self._next = 0, float(FIRST)
        self._chosen: Chosen | None = None

    def __call__(self, *arrays: Array) -> list[Array]:
        if self._runs < 0:
            try:
                return self._run(*arrays)
            except Exception as error:
                self._decline(error)
                self._run = buffers.assemble(self.program, self.borrowed)
        elif self._runs < self._next:
            self._runs += 1
        else:
            return self._looked_at(arrays)
        return self._run(*arrays)

    def _looked_at(self, arrays: Sequence[Array]) -> list[Array]:
        """One run, and whether the next has loops."""
        out = self._run(*arrays)
        try:
            chosen = self._chosen = self._chosen or Chosen(self.program)
            due = chosen.cost() / chosen.saved if chosen.saved else float("inf")
            if self._runs < due:
                self._next = min(due, 2 * self._runs) if chosen.saved else due  # numba may be there by then
                return out
            run = buffers.assemble(chosen.program(), self.borrowed)
            if not all(map(_same, out, run(*arrays))):
                raise ArithmeticError("a loop gave other bits than the calls")
        except Exception as error:  # whatever stops the compiler, the calls still run
            self._decline(error)
            return out
        self._run, self._runs, self._chosen = run, -1, None
        return out

    def _decline(self, error: Exception) -> None:
        self.declined = f"{type(error).__name__}: {error}".partition("\n")[0]
        self._runs, self._next, self._chosen = 0, float("inf"), None


class Chosen:
    """The groups of a program that are worth a loop, and the seconds that they save in a run."""

    def __init__(self, program: Program) -> None:
        self.plan = Plan(program)
        written = [(group, loops.write(self.plan, group)) for group in self.plan.groups()]
        saved: dict[str, float] = {}
        for group, loop in written:
            saved[loop.name] = saved.get(loop.name, 0.0) + max(_saved(group, loop), 0.0)
        best = sorted(saved, key=saved.__getitem__, reverse=True)[:MOST]
        worth = {name for name in best if saved[name] > LEAST * sum(saved.values())}
        self.loops = [(group, loop) for group, loop in written if loop.name in worth and _saved(group, loop) > 0]
        self.saved = sum(_saved(group, loop) for group, loop in self.loops)

    def cost(self) -> float:
        """Seconds to compile them."""
        start = 0.0 if "numba" in sys.modules else IMPORT
        new = {loop.name: loop for _, loop in self.loops}.values()
        return start + sum(LOAD if start == 0.0 and loop.is_known() else COMPILE for loop in new)

    def program(self) -> Program:
        """The program with the loops in it, compiled."""
        return self.plan.ordered([(group, _call(group, loop)) for group, loop in self.loops])


def _saved(group: Group, loop: Loop) -> float:
    """Seconds that a run is shorter by with the loop than with its calls, if there are several."""
    if len(group.calls) == 1:
        return 0.0
    matrix = group.frame[0] * group.frame[1]
    calls = 0.0
    for call in group.calls:
        rows, columns = frame((call.args[0] if is_sum(call) else call.out).shape)
        calls += CALL + rows * columns * ELEMENT
    return calls - LOOP_CALL - LOOP_ARRAY * len(loop.shapes) - LOOP_ELEMENT * matrix * max(loop.passes, 1)


def _call(group: Group, loop: Loop) -> Call:
    rows, columns = loop.frame
    large = rows * columns >= SHARED_FROM
    kernel = partial(_shared, loop.kernel(), loop.by_rows) if large else loop.kernel()
    return Call(LOOP, kernel, (loop.numbers, loop.reads, loop.shapes, (0, rows, 0, columns)), {}, loop.writes)


def _shared(kernel: Callable[..., None], by_rows: bool, *given: Any) -> None:
    """The loop in parts that threads take."""
    *arrays, top, bottom, first, last = given
    least = SHARED_FROM // 2
    if by_rows and bottom > 1:
        parts = [(*arrays, p.start, p.stop, first, last) for p in crew.cut(bottom, least // last)]
    else:
        parts = [(*arrays, top, bottom, p.start, p.stop) for p in crew.cut(last, least // bottom, 16)]
    crew.share(kernel, parts)


def _same(ours: Array, theirs: Array) -> bool:
    return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")
