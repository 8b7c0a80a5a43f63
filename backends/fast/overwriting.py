"""An element-wise rule whose results are written over its operands, where the reference counts tell that nobody else sees them.

What somebody holds is never written. So the caller says how many holders of each array it knows of, and one more is enough
for the rule to be taken as ever, into other arrays.
"""

from collections.abc import Callable, Sequence
from operator import is_
from typing import Any

import numpy as np

from nnx.backends.fast import together
from nnx.backends.fast.compiled import loop_of
from nnx.backends.fast.together import BLOCK, COUNTED, Set, joined, known
from nnx.typing import Array, Namespace

Group = tuple[Sequence[Sequence[Array]], Sequence[Sequence[int]]]
"""Arrays that take the same numbers: columns of the rule's operands, the second (gradients) only read; and how many
hold each array of the columns, the second left out."""


def over(rule: Callable[..., Any], xp: Namespace, groups: Sequence[Group]) -> "Over | None":
    """The ``over`` hook of NumPy: the rule for such arrays; none where they do not lie as ``each`` leaves them."""
    parts: list[_Part] = []
    for number, group in enumerate(groups):
        found = _parts(rule, xp, group, number) if COUNTED else []
        if not found:
            return None
        parts += found
    return Over(parts)


class Over:
    """A rule over certain arrays, as often as they come again."""

    def __init__(self, parts: list["_Part"]) -> None:
        self.parts = parts

    def __call__(
        self,
        params: Sequence[Sequence[Array]],
        gradients: Sequence[Sequence[Array]],
        numbers: Sequence[Sequence[float]],
    ) -> bool:
        """With first columns, gradients and numbers of each group: whether the results were written. Of all groups or of none."""
        for part in self.parts:
            if not part.free(params[part.group], numbers[part.group]):
                return False
        for part in self.parts:
            part.run(gradients[part.group], numbers[part.group])
        return True


def _parts(rule: Any, xp: Namespace, group: Group, number: int) -> "list[_Part]":
    """The rows of a group by the sets in which they lie; nothing where one lies in none, or its columns lie otherwise."""
    (first, gradients, *slots), holders = group
    dtype, parts = first[0].dtype, []
    left = {id(array): row for row, array in enumerate(first)}
    while left:
        begins = together.beginning(next(iter(left)))
        rows = [left.pop(id(piece), -1) for piece in begins.pieces] if begins else [-1]
        if -1 in rows:
            return []
        sets = [known([column[row] for row in rows]) for column in (first, *slots)]
        shapes = tuple([gradients[row].shape for row in rows])
        if any(made is None or made.shapes != shapes or made.flat.dtype != dtype for made in sets):
            return []
        if any(type(gradients[row]) is not np.ndarray or gradients[row].dtype != dtype for row in rows):
            return []
        own = [[count[row] for row in rows] for count in holders]
        parts.append(_Part(rule, xp, number, rows, [made for made in sets if made], own))
    return parts


class _Part:
    """Some rows of a group. It holds the sets, and nothing of them: whoever holds the whole of one counts."""

    def __init__(
        self, rule: Any, xp: Namespace, group: int, rows: list[int], sets: list[Set], holders: list[list[int]]
    ) -> None:
        self.rule, self.xp, self.group, self.rows, self.sets = rule, xp, group, rows, sets
        self.holders = [made.holders(by) for made, by in zip(sets, holders, strict=True)]
        self._loop: Any = None

    def free(self, first: Sequence[Array], numbers: Sequence[float]) -> bool:
        """Whether these are the arrays, nobody else holds one, and the rule can be taken to its end.

        Without a compiler long arrays are taken block by block: between two, memory may run out.
        """
        if self._loop is None:
            self._loop = loop_of(self.rule, [*self._vectors(self.sets[0].flat), *numbers])
            if self._loop is None and self.sets[0].flat.size > BLOCK:
                return False
        same = all(map(is_, map(first.__getitem__, self.rows), self.sets[0].pieces))
        return same and all(map(Set.held, self.sets, self.holders))

    def _vectors(self, gradient: Array) -> list[Array]:
        first, *slots = [made.flat for made in self.sets]
        return [first, gradient, *slots]

    def run(self, gradients: Sequence[Array], numbers: Sequence[float]) -> None:
        """Write."""
        vectors = self._vectors(joined([gradients[row] for row in self.rows]))
        if self._loop is not None:
            self._loop.over(vectors, numbers)
            return
        results = self.rule(self.xp, *vectors, *numbers)
        for made, result in zip(self.sets, results, strict=True):
            np.copyto(made.flat, result)
