"""Where a model's arrays are: found once, then taken and given without walking the tree."""

from collections.abc import Iterable, Mapping, Sequence
from operator import is_

from nnx.layers.module import Module
from nnx.typing import Array


class Places:
    """The places of the arrays at these paths; good as long as :meth:`fit`."""

    def __init__(self, model: Module, paths: Iterable[str]) -> None:
        self.model, self.slots, self.paths = model, model._filled(), list(paths)
        self._all = [[(module.__dict__, name) for module, name in self.slots[path][1]] for path in self.paths]
        self._first = [holders[0] for holders in self._all]
        self.holders = [len(holders) for holders in self._all]
        """In how many places each of them is."""
        self._dtypes = [array.dtype for array in self.take()]

    def fit(self, left: Sequence[Array] = ()) -> bool:
        """Whether the model is still as it was: the same modules, arrays of the same dtypes. ``left``: those that
        :meth:`give` put there last.
        """
        if not self.stand():
            return False
        arrays = self.take()
        return (len(left) == len(arrays) and all(map(is_, arrays, left))) or [a.dtype for a in arrays] == self._dtypes

    def stand(self) -> bool:
        """Whether the modules are still the same."""
        return self.model._slots() is self.slots

    def take(self) -> list[Array]:
        """The arrays, in the order of the paths."""
        return [values[name] for values, name in self._first]

    def put(self, arrays: Mapping[str, Array]) -> None:
        """Give the model new values by path, of the shapes and dtypes that it has: nothing is checked."""
        for path, array in arrays.items():
            for module, name in self.slots[path][1]:
                module.__dict__[name] = array

    def give(self, arrays: Iterable[Array]) -> None:
        """Give the model new values for the first of the paths, in their order; as with :meth:`put` nothing is checked."""
        for holders, array in zip(self._all, arrays):
            for values, name in holders:
                values[name] = array

    def twin(self, arrays: Sequence[Array]) -> Module:
        """A copy of the model with these arrays in the places; a place that was not asked for keeps its own."""
        values = dict(zip(self.paths, arrays))
        return self.model.map_arrays(lambda path, own: values.get(path, own))
