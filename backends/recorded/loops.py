"""The text of one loop for a group of element-by-element calls, and its compiled form. numba is imported when one is compiled."""

import threading
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnx.backends.fast import compiled
from nnx.backends.recorded.elementwise import EXPRESSIONS, Frame, frame, is_number, is_sum, operands, spelled
from nnx.backends.recorded.groups import Group, Plan
from nnx.backends.recorded.program import Call, Value

PLACES = {"matrix": "[i, j]", "row": "[j]", "column": "[i]", "point": "[0]"}
"""Where a loop reads an array, by what it is for it."""

_one_at_a_time = threading.Lock()


class Loop(NamedTuple):
    """A loop as it is written: its lines, what it reads and writes, with shapes, and its numbers; its rows and columns; passes over all.

    ``by_rows``: any of its rows may be taken by themselves; else any of its columns may.
    """

    lines: str
    reads: list[Any]
    writes: list[Value]
    shapes: list[tuple[int, ...]]
    numbers: np.ndarray
    frame: Frame
    passes: int
    by_rows: bool

    @property
    def codes(self) -> str:
        """The dtypes and dimensions of its arrays, numbers first: with the lines, what tells one compiled loop from another."""
        arrays = zip([*self.reads, *self.writes], self.shapes, strict=True)
        return f"{self.numbers.dtype.char}1 " + " ".join(f"{np.dtype(x.dtype).char}{len(shape)}" for x, shape in arrays)

    @property
    def name(self) -> str:
        """By which the compiled loop is found on the disk."""
        return f"loop_{blake2b((self.codes + self.lines).encode(), digest_size=8).hexdigest()}"

    def kernel(self) -> Callable[..., None]:
        """``kernel(numbers, *reads, *writes, top, bottom, first, last)`` for these rows and columns."""
        import numba

        kernel = _kernel(self.name, self.lines, self.codes)
        with _one_at_a_time:
            if not kernel.signatures:  # for arrays like these, whose rows lie one after another, and for no others
                kinds = [(numba.from_dtype(np.dtype(code[0])), int(code[1]), "C") for code in self.codes.split()]
                read = len(kinds) - len(self.writes)
                arrays = [numba.types.Array(*kind, readonly=i < read) for i, kind in enumerate(kinds)]
                kernel.compile((*arrays, *[numba.int64] * 4))
                kernel.disable_compile()
        return kernel  # type: ignore[no-any-return]

    def is_known(self) -> bool:
        """Whether it was compiled before, now or by another process that left it on the disk. Imports numba."""
        kernel = _kernel(self.name, self.lines, self.codes)
        place = kernel.stats.cache_path
        return bool(kernel.signatures or (place and any(Path(place).glob(f"*.{self.name}-*.nbi"))))


def write(plan: Plan, group: Group) -> Loop:
    """The loop of a group. Names in it depend on the group's structure alone, so groups that are alike have the same lines."""
    return _Writer(plan, group).loop()


class _Writer:
    def __init__(self, plan: Plan, group: Group) -> None:
        self.plan, self.group = plan, group
        self.maker = {call.out.number: call for call in group.calls}
        met = [x for call in group.calls for x in map(plan.source, operands(call)) if not is_number(x)]
        frames = {frame(tuple(x.shape)) for x in (*met, *(call.out for call in group.calls))}
        self.flat = frames <= {group.frame, (1, 1)}
        self.frame = (1, prod(group.frame)) if self.flat else group.frame
        self.stored = [call for call in group.calls if call.out.number in group.kept]
        self.names = {call.out.number: f"o{i}" for i, call in enumerate(self.stored)}
        self.reads: dict[int, tuple[str, Any]] = {}
        self.numbers: dict[tuple[int, int], float] = {}
        self.count = self.passes = 0

    def loop(self) -> Loop:
        """For each phase what is computed for every column, then what is computed for every element."""
        body: list[str] = []
        for phase in range(1 + max(self._phase(call) for call in self.stored)):
            now = [call for call in self.stored if self._phase(call) == phase]
            sums = [call for call in self.stored if is_sum(call) and self._phase(call) == phase + 1]
            body += self._over_columns([c for c in now if self._role(c.out) == "row"], sums)
            body += self._over_elements([c for c in now if self._role(c.out) == "matrix"], sums)
        by_rows = all(self._role(call.out) == "matrix" for call in self.stored)
        reads = list(self.reads.values())
        outs = [call.out for call in self.stored]
        limits = "top, bottom, first, last"
        names = ["numbers", *(name for name, _ in reads), *self.names.values(), limits]
        start = ["zero, one = number(0), number(1)", f"{limits} = index(top), index(bottom), index(first), index(last)"]
        start += [f"s{i} = numbers[{i}]" for i in range(len(self.numbers))]
        lines = f"({', '.join(names)}):\n" + "".join(f"    {line}\n" for line in [*start, *body])
        arrays = [*(x for _, x in reads), *outs]
        numbers = np.asarray([*self.numbers.values(), 0.0], dtype=self.group.dtype)
        return Loop(
            lines,
            arrays[: len(reads)],
            outs,
            [self._shape(x) for x in arrays],
            numbers,
            self.frame,
            self.passes,
            by_rows,
        )

    def _over_columns(self, targets: list[Call], sums: list[Call]) -> list[str]:
        """The values of rows, and the sums that are taken next at nothing."""
        lines = [*self._compute(targets, matrix=False), *(f"{self.names[c.out.number]}[j] = zero" for c in sums)]
        return ["for j in range(first, last):", *(f"    {line}" for line in lines)] if lines else []

    def _over_elements(self, targets: list[Call], sums: list[Call]) -> list[str]:
        """The values of matrices, and what they add to the sums."""
        lines = self._compute([*targets, *sums], matrix=True)
        self.passes += bool(lines)
        within = [
            "for i in range(top, bottom):",
            "    for j in range(first, last):",
            *(f"        {line}" for line in lines),
        ]
        return within if lines else []

    def _compute(self, targets: list[Call], *, matrix: bool) -> list[str]:
        """The lines for one column, or one element: what is read, computed on the way, and stored."""
        wanted = {call.out.number for call in targets}
        todo = [call for call in targets if matrix or not is_sum(call)]
        while todo:
            for x in map(self.plan.source, operands(todo.pop())):
                if type(x) is Value and x.number in self.maker and x.number not in wanted | self.group.kept:
                    wanted.add(x.number)
                    todo.append(self.maker[x.number])
        lines: list[str] = []
        known: dict[int, str] = {}
        for call in self.group.calls:
            number = call.out.number
            if number not in wanted:
                continue
            if is_sum(call) and matrix:
                lines.append(f"{self.names[number]}[j] += {self._operand(call, 0, lines, known)}")
                continue
            if is_sum(call):
                if call.name == "sum":  # it stands where it was taken
                    continue
                expression = f"{self.names[number]}[j] / {self._number(call, -1, self.frame[0])}"
            else:
                given = [self._operand(call, i, lines, known) for i in range(len(operands(call)))]
                expression = EXPRESSIONS[spelled(call)][2].format(*given)
            known[number] = self._temporary(expression, lines)
            if number in self.group.kept:
                lines.append(f"{self.names[number]}{PLACES[self._role(call.out)]} = {known[number]}")
        return lines

    def _operand(self, call: Call, at: int, lines: list[str], known: dict[int, str]) -> str:
        """A number, what is known here already, or what is read now."""
        x = self.plan.source(operands(call)[at])
        if is_number(x):
            return self._number(call, at, x)
        key = x.number if type(x) is Value else ~id(x)
        if key not in known:
            name = self.names.get(key) or self.reads.setdefault(key, (f"a{len(self.reads)}", x))[0]
            known[key] = self._temporary(f"{name}{PLACES[self._role(x)]}", lines)
        return known[key]

    def _number(self, call: Call, at: int, number: float) -> str:
        """An argument, so that other numbers make no other loop."""
        self.numbers[call.out.number, at] = number
        return f"s{list(self.numbers).index((call.out.number, at))}"

    def _temporary(self, expression: str, lines: list[str]) -> str:
        self.count += 1
        lines.append(f"t{self.count} = {expression}")
        return f"t{self.count}"

    def _phase(self, call: Call) -> int:
        return self.plan.homes[call.out.number].phase

    def _role(self, x: Any) -> str:
        """What an array is in this loop."""
        rows, columns = self._frame(x)
        if columns != self.frame[1]:
            return "column" if rows == self.frame[0] != 1 else "point"
        return "matrix" if rows == self.frame[0] != 1 else "row"

    def _frame(self, x: Any) -> Frame:
        """Its rows and columns; where there are whole matrices only, all are one row."""
        return (1, prod(x.shape)) if self.flat else frame(tuple(x.shape))

    def _shape(self, x: Any) -> tuple[int, ...]:
        rows, columns = self._frame(x)
        return {"matrix": (rows, columns), "row": (columns,), "column": (rows,), "point": (1,)}[self._role(x)]


@cache
def _kernel(name: str, lines: str, codes: str) -> Any:
    """The loop for such arrays, to be compiled by numba."""
    scope: dict[str, Any] = {
        "__name__": __name__,
        "number": np.dtype(codes[0]).type,
        "index": np.uint64,
        "sqrt": np.sqrt,
    }
    exec(compile(f"def {name}{lines}", __file__, "exec"), scope)
    return compiled.njit(scope[name])
