"""Runs of element-by-element calls in a program that may be one loop each: what they compute, and what they leave behind.

A value that only such calls use is not stored: it is computed again wherever it is used, unless that takes more than
:data:`AGAIN` additions. Calls have levels: what a product, or any other call that can be no part of a loop, gives is of
the next level; all element-by-element calls of one level and frame may run together, and sums over rows among them.
What is computed from such a sum comes in the loop's next phase.
"""

from typing import Any, NamedTuple

from nnx.backends.recorded.elementwise import (
    EXPRESSIONS,
    RESHAPES,
    Frame,
    fits,
    frame,
    is_number,
    is_sum,
    is_view,
    operands,
    precision,
    spelled,
)
from nnx.backends.recorded.program import VIEWS, Call, Program, Value, needed, values_in

AGAIN = 8
"""Additions up to which a value is computed again rather than stored: about as long as it takes to write and read it."""


class Home(NamedTuple):
    """Where a value is computed first."""

    level: int
    frame: Frame
    dtype: Any
    phase: int


class Group(NamedTuple):
    """Calls that may be one loop, in order; ``kept``: the numbers of the values that it stores."""

    calls: list[Call]
    kept: set[int]
    level: int
    frame: Frame
    dtype: Any


class Plan:
    """A program read forwards, to find where each value may be computed, and backwards, to find which are stored."""

    def __init__(self, program: Program) -> None:
        self.program, self.calls = program, needed(program)
        self.homes: dict[int, Home] = {}
        self._maker = {v.number: call for call in self.calls for v in values_in(call.out)}
        self._levels: dict[int, int] = {}
        self._scattered: set[int] = set()
        for call in self.calls:
            self._place(call)
        self.kept = self._stored()

    def groups(self) -> list[Group]:
        """All of them, whether they are worth a loop or not. What computes a value in common is one."""
        found: list[tuple[Any, set[int]]] = []
        for root in sorted(self.kept):
            key, members = self.homes[root][:3], self._tree(root)
            joined = [group for group in found if group[0] == key and group[1] & members]
            found = [group for group in found if group not in joined]
            found.append((key, members.union(*(group[1] for group in joined))))
        order = {call.out.number: index for index, call in enumerate(self.calls) if type(call.out) is Value}
        return [
            Group([self.calls[index] for index in sorted(order[n] for n in members)], members & self._at(key), *key)
            for key, members in found
        ]

    def ordered(self, loops: list[tuple[Group, Call]]) -> Program:
        """The program with loops in place of these groups."""
        kept = set[int]().union(*(group.kept for group, _ in loops))
        steps = [((group.level, 0, index), call) for index, (group, call) in enumerate(loops)]
        for index, call in enumerate(self.calls):
            values = values_in(call.out)
            if not any(value.number in kept for value in values) or self._is_alias(call):
                level = max((self.level(value) for value in values), default=0)
                steps.append(((level, 1 if values[0].number in self.homes else 2, index), call))
        program = self.program._replace(calls=tuple(call for _, call in sorted(steps, key=lambda step: step[0])))
        return program._replace(calls=tuple(needed(program)))

    def level(self, value: Value) -> int:
        """Of the call that made it; an input is of level 0."""
        home = self.homes.get(value.number)
        return home.level if home else self._levels.get(value.number, 0)

    def source(self, x: Any) -> Any:
        """The value that ``x`` is another shape of, if it is computed in a group; else ``x``."""
        while type(x) is Value and x.number in self.homes and self._is_alias(self._maker[x.number]):
            x = self._maker[x.number].args[0]
        return x

    # forwards --------------------------------------------------------------------------------------------------------
    def _place(self, call: Call) -> None:
        home = self.homes.get(call.args[0].number) if is_view(call) else self._home(call)
        if home is not None:
            self.homes[call.out.number] = home
            return
        level = max((self.level(value) for value in values_in((call.args, call.kwargs))), default=0)
        for value in values_in(call.out):
            self._levels[value.number] = level
            view = call.name in VIEWS and (call.name not in RESHAPES or call.args[0].number in self._scattered)
            if view or not value.ordered:
                self._scattered.add(value.number)

    def _home(self, call: Call) -> Home | None:
        summed = is_sum(call)
        if type(call.out) is not Value or not call.out.ordered:
            return None
        dtype = call.out.dtype if summed else precision(call)
        if dtype is False or (summed and call.args[0].number not in self._maker):  # an input may lie in any order
            return None
        given = [x for x in operands(call) if not is_number(x)]
        if any(x.number in self._scattered if type(x) is Value else not x.flags.c_contiguous for x in given):
            return None
        made = [self.homes[x.number] for x in given if type(x) is Value and x.number in self.homes]
        inside = frame((call.args[0] if summed else call.out).shape)
        if inside[0] == 1:  # a row belongs to the matrix that it was summed from
            nearest = max((home for home in made if home.frame[1] == inside[1]), key=lambda h: h.level, default=None)
            inside = nearest.frame if nearest else inside
        dtype = made[0].dtype if dtype is None and made else dtype
        if dtype is None or not all(fits(x, inside) for x in given):
            return None
        level = phase = 0
        for x in given:
            if type(x) is Value and x.number in self._maker:
                home = self.homes.get(x.number)
                here = home is not None and home[1:3] == (inside, dtype)
                level, phase = max(
                    (level, phase), (home.level, home.phase) if home and here else (self.level(x) + 1, 0)
                )
        return Home(level, inside, dtype, phase + summed)

    # backwards -------------------------------------------------------------------------------------------------------
    def _stored(self) -> set[int]:
        kept = {self.source(v).number for v in values_in(self.program.outputs) if v.number in self.homes}
        costs: dict[int, int] = {}
        for call in self.calls:
            for x in map(self.source, values_in((call.args, call.kwargs))):
                if x.number in self.homes and self._is_met_elsewhere(x, call):
                    kept.add(x.number)
        for call in self._computed():
            own = 1 if is_sum(call) else EXPRESSIONS[spelled(call)][3]
            given = [self.source(x).number for x in operands(call) if type(x) is Value]
            costs[call.out.number] = own + sum(costs.get(n, 0) for n in given if n not in kept)
            if is_sum(call):
                kept.add(call.out.number)
        places: dict[int, set[Home]] = {}
        for call in reversed(self._computed()):
            number, home = call.out.number, self.homes[call.out.number]
            if costs[number] > AGAIN and len(places.get(number, ())) > 1:
                kept.add(number)
            wanted = {home._replace(phase=home.phase - is_sum(call))} if number in kept else places.get(number, set())
            for x in operands(call):
                if type(x) is Value:
                    places.setdefault(self.source(x).number, set()).update(wanted)
        return kept

    def _is_met_elsewhere(self, x: Value, call: Call) -> bool:
        """Whether a call needs a computed value as an array: it is no part of a group, or a row meets a matrix in it."""
        if type(call.out) is not Value or call.out.number not in self.homes:
            return True
        if self._is_alias(call):
            return False
        matrix = frame((call.args[0] if is_sum(call) else call.out).shape)
        return frame(x.shape)[0] != matrix[0] or self.homes[x.number].dtype != self.homes[call.out.number].dtype

    def _tree(self, root: int) -> set[int]:
        """What is computed for a stored value, and the stored values of the same level and frame that it is computed from."""
        members, todo = {root}, [root]
        while todo:
            for x in map(self.source, operands(self._maker[todo.pop()])):
                if type(x) is Value and x.number in self.homes and x.number not in members:
                    stored = x.number in self.kept
                    if not stored:
                        todo.append(x.number)
                    if not stored or self.homes[x.number][:3] == self.homes[root][:3]:
                        members.add(x.number)
        return members

    def _at(self, key: Any) -> set[int]:
        return {number for number in self.kept if self.homes[number][:3] == key}

    def _computed(self) -> list[Call]:
        """The calls that are parts of groups, without those that only give another shape."""
        return [c for c in self.calls if type(c.out) is Value and c.out.number in self.homes and not self._is_alias(c)]

    def _is_alias(self, call: Call) -> bool:
        return type(call.out) is Value and call.out.number in self.homes and is_view(call)
