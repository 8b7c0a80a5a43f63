"""Arrays by path of which the small ones lie end to end: a compiled function takes and gives one array in less time than a dozen.

They are functions of plain arrays: a state that was given out stays as it is, and is cut into its arrays when somebody
looks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import Any

from nnx.backends.portable.each import SMALL
from nnx.typing import Array

Shapes = tuple[tuple[int, ...], ...]


class Layout:
    """Which of the arrays of so many slots lie end to end, those of up to ``SMALL`` elements, and which apart. Get one from :func:`layout`.

    >>> import numpy as np
    >>> from nnx import backends
    >>> pair = Layout(backends.get("numpy"), ("w", "b"), ((2, 2), (2,)), 1)
    >>> pair.join([[np.zeros((2, 2)), np.ones(2)]])
    [array([0., 0., 0., 0., 1., 1.])]
    >>> pair.cut(pair.join([[np.zeros((2, 2)), np.ones(2)]]))[0][1]
    array([1., 1.])
    """

    def __init__(self, backend: Any, paths: tuple[str, ...], shapes: Shapes, slots: int) -> None:
        self.xp, self.paths, self.shapes, self.slots = backend.xp, paths, shapes, slots
        sizes = [prod(shape) for shape in shapes] * slots
        self.small = [i for i, size in enumerate(sizes) if size <= SMALL]
        self.large = [i for i, size in enumerate(sizes) if size > SMALL]
        self.count = bool(self.small) + len(self.large)
        """How many arrays :meth:`join` makes."""
        self.ends = list(accumulate(sizes[i] for i in self.small))
        compiler: Callable[..., Any] = backend.jit or (lambda function: function)
        self.joined, self.pieces = compiler(self.join), compiler(self.cut)

    def join(self, slots: Sequence[Sequence[Array]]) -> list[Array]:
        """The arrays of each slot in the order of the paths → the small ones as one, if there are any, and the large ones."""
        arrays = [array for slot in slots for array in slot]
        flat = [self.xp.reshape(arrays[i], (-1,)) for i in self.small]
        return ([self.xp.concat(flat)] if flat else []) + [arrays[i] for i in self.large]

    def cut(self, parts: Sequence[Array]) -> list[list[Array]]:
        """The inverse."""
        count = len(self.shapes)
        found = dict(zip(self.large, parts[bool(self.small) :]))
        start = 0
        for i, end in zip(self.small, self.ends):
            found[i] = self.xp.reshape(parts[0][start:end], self.shapes[i % count])
            start = end
        return [[found[slot * count + i] for i in range(count)] for slot in range(self.slots)]


@lru_cache(maxsize=64)
def layout(backend: Any, paths: tuple[str, ...], shapes: Shapes, slots: int) -> Layout:
    """The one layout of these arrays: made and compiled once."""
    return Layout(backend, paths, shapes, slots)


class Laid:
    """The parts of all slots, and their arrays once somebody has asked."""

    __slots__ = ("arrays", "layout", "parts")

    def __init__(self, layout: Layout, parts: list[Array]) -> None:
        self.layout, self.parts = layout, parts
        self.arrays: list[dict[str, Array]] | None = None


class Pieces(Mapping[str, Array]):
    """The arrays of one slot by path, found when they are asked for."""

    __slots__ = ("laid", "slot")

    def __init__(self, laid: Laid, slot: int) -> None:
        self.laid, self.slot = laid, slot

    def _arrays(self) -> dict[str, Array]:
        laid = self.laid
        if laid.arrays is None:
            laid.arrays = [dict(zip(laid.layout.paths, arrays)) for arrays in laid.layout.pieces(laid.parts)]
        return laid.arrays[self.slot]

    def __getitem__(self, path: str) -> Array:
        return self._arrays()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.laid.layout.paths)

    def __len__(self) -> int:
        return len(self.laid.layout.paths)

    def __repr__(self) -> str:
        return repr(self._arrays())

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self._arrays(),)
