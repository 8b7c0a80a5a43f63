"""An element-wise rule whose results are written over its operands, where the reference counts tell that nobody else sees them.

What somebody holds is never written. So the caller says how many holders of each array it knows of, and one more is enough
for the rule to be taken as ever, into other arrays.
"""

from collections.abc import Callable, Sequence
from operator import is_
from typing import Any

import numpy as np

from nnx.backends.compiled import Fused
from nnx.backends.together import BLOCK, COUNTED, Set, joined, known
from nnx.typing import Array, Namespace

Group = tuple[Sequence[Sequence[Array]], Sequence[Sequence[int]]]
"""Arrays that take the same numbers: columns of the rule's operands, the second (gradients) only read; and how many hold each
array of the columns, the second left out."""


def over(rule: Callable[..., Any], xp: Namespace, groups: Sequence[Group]) -> "Over | None":
    """The ``over`` hook of NumPy: the rule for such arrays; none where they do not lie as ``each`` leaves them."""
    made = [_Part.of(rule, xp, group) for group in groups] if COUNTED else []
    parts = [part for part in made if part is not None]
    return Over(parts) if parts and len(parts) == len(made) else None


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
        if not all(map(_Part.free, self.parts, params, numbers)):
            return False
        for part, column, own in zip(self.parts, gradients, numbers, strict=True):
            part.run(column, own)
        return True


class _Part:
    """One group. It holds the sets, and nothing of them: whoever holds the whole of one counts."""

    def __init__(self, rule: Any, xp: Namespace, sets: list[Set], holders: Sequence[Sequence[int]]) -> None:
        self.rule, self.xp, self.sets = rule, xp, sets
        self.holders = [made.holders(by) for made, by in zip(sets, holders, strict=True)]
        self._loop: Any = None

    @staticmethod
    def of(rule: Any, xp: Namespace, group: Group) -> "_Part | None":
        """None where the arrays of a column are not all of a set, or not alike those of the others."""
        columns, holders = group
        first, gradients, *slots = columns
        sets = [made for made in map(known, (first, *slots)) if made is not None]
        shapes, dtype = tuple([g.shape for g in gradients]), first[0].dtype
        alike = all(made.shapes == shapes and made.flat.dtype == dtype for made in sets)
        plain = all(type(g) is np.ndarray and g.dtype == dtype for g in gradients)
        return _Part(rule, xp, sets, holders) if plain and alike and len(sets) > len(slots) else None

    def free(self, first: Sequence[Array], numbers: Sequence[float]) -> bool:
        """Whether these are the arrays, nobody else holds one, and the rule can be taken to its end.

        Without a compiler long arrays are taken block by block: between two, memory may run out.
        """
        if self._loop is None:
            self._loop = self._found(numbers)
            if self._loop is None and self.sets[0].flat.size > BLOCK:
                return False
        return all(map(is_, first, self.sets[0].pieces)) and all(map(Set.held, self.sets, self.holders))

    def _found(self, numbers: Sequence[float]) -> Any:
        """The compiled loop, once there is one."""
        return self.rule.loop_for([*self._vectors(self.sets[0].flat), *numbers]) if type(self.rule) is Fused else None

    def _vectors(self, gradient: Array) -> list[Array]:
        first, *slots = [made.flat for made in self.sets]
        return [first, gradient, *slots]

    def run(self, gradients: Sequence[Array], numbers: Sequence[float]) -> None:
        """Write."""
        vectors = self._vectors(joined(gradients))
        if self._loop is not None:
            self._loop.over(vectors, numbers)
            return
        results = self.rule(self.xp, *vectors, *numbers)
        for made, result in zip(self.sets, results, strict=True):
            np.copyto(made.flat, result)
