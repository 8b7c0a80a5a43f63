"""Nested lists, tuples and dictionaries of arrays: walk them, map over them, name their leaves."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def map(fn: Callable[[Any], Any], tree: Any) -> Any:
    """The same nest with ``fn`` applied to every leaf. ``None`` is an empty nest, not a leaf.

    >>> map(lambda leaf: leaf + 1, {"a": [1, 2], "b": (3, None)})
    {'a': [2, 3], 'b': (4, None)}
    """
    if tree is None:
        return None
    if isinstance(tree, Mapping):
        return {key: map(fn, branch) for key, branch in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map(fn, branch) for branch in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(fn, branch) for branch in tree)
    return fn(tree)


def paths(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf with its dotted path, in order.

    >>> list(paths({"layers": [{"weight": 1}, {"weight": 2}]}))
    [('layers.0.weight', 1), ('layers.1.weight', 2)]
    """
    if tree is None:
        return
    if isinstance(tree, Mapping):
        branches: Any = tree.items()
    elif isinstance(tree, (list, tuple)):
        branches = enumerate(tree)
    else:
        yield prefix, tree
        return
    for key, branch in branches:
        yield from paths(branch, f"{prefix}.{key}" if prefix else str(key))


def leaves(tree: Any) -> list[Any]:
    """All leaves in order.

    >>> leaves([1, {"a": (2, 3)}])
    [1, 2, 3]
    """
    return [leaf for _, leaf in paths(tree)]


def pairs(tree: Any, other: Any) -> list[tuple[Any, Any]] | None:
    """Each leaf of a nest with what stands in the same place of another; ``None`` where they do not nest alike.

    Dictionaries are alike when they have the same keys, in whatever order; a list is like a tuple.

    >>> pairs({"a": 1, "b": (2, 3)}, {"b": [20, 30], "a": 10})
    [(1, 10), (2, 20), (3, 30)]
    """
    if tree is None:
        return [] if other is None else None
    if isinstance(tree, Mapping):
        if not isinstance(other, Mapping) or tree.keys() != other.keys():
            return None
        branches = [(branch, other[key]) for key, branch in tree.items()]
    elif isinstance(tree, (list, tuple)):
        if not isinstance(other, (list, tuple)) or len(tree) != len(other):
            return None
        branches = list(zip(tree, other, strict=True))
    else:
        return [(tree, other)]
    found = [pairs(*branch) for branch in branches]
    return None if any(part is None for part in found) else [pair for part in found for pair in part or ()]
