"""How modules nest: as attributes, and in lists, tuples and dictionaries of attributes."""

from collections.abc import Callable, Iterator
from operator import is_
from typing import Any

from nnx.autodiff.transforms import is_module
from nnx.errors import StateError
from nnx.layers.parameter import Parameter
from nnx.typing import Array

Slots = dict[str, tuple[Parameter, list[tuple[Any, str]]]]
"""Path -> (declaration, all places that hold the array: module and attribute)."""

OWN = {"_arguments", "_declared", "_frozen", "_known", "_known_slots", "_origin", "_path", "_ready", "_trusted"}
"""A module's own bookkeeping; every other attribute, private or not, may hold modules."""


def modules_in(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The modules in a nest of attributes, with their paths."""
    if is_module(value):
        yield path, value
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from modules_in(item, f"{path}.{index}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from modules_in(item, f"{path}.{key}")


def holds_parameters(value: Any) -> bool:
    """Whether a list, tuple or dictionary has bare declarations of arrays in it."""
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, (list, tuple)) and any(isinstance(x, Parameter) or holds_parameters(x) for x in value)


def containers(attributes: dict[str, Any]) -> Iterator[Any]:
    """The lists and dictionaries among attributes, also inside one another."""
    waiting = [value for name, value in attributes.items() if name not in OWN]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (list, tuple, dict)):
            waiting.extend(value.values() if isinstance(value, dict) else value)
            if not isinstance(value, tuple):
                yield value


def items(container: Any) -> list[Any]:
    """What is in a list or dictionary now."""
    return [*container, *container.values()] if isinstance(container, dict) else list(container)


def unchanged(container_and_items: tuple[Any, list[Any]]) -> bool:
    """Whether the very same objects are in it as before."""
    container, before = container_and_items
    now = items(container)
    return len(now) == len(before) and all(map(is_, now, before))


def copied(
    value: Any, path: str, fn: Callable[[str, Array], Array], modules: dict[int, Any], arrays: dict[int, Array]
) -> Any:
    """The nest with each module replaced by its copy; see ``Module.map_arrays``."""
    if is_module(value):
        return value._copy(path, fn, modules, arrays)
    if isinstance(value, (list, tuple)):
        twins = [copied(item, f"{path}.{index}", fn, modules, arrays) for index, item in enumerate(value)]
        return type(value)(*twins) if hasattr(value, "_fields") else type(value)(twins)
    if isinstance(value, dict):
        return {key: copied(item, f"{path}.{key}", fn, modules, arrays) for key, item in value.items()}
    return value


def slots(root: Any) -> Slots:
    """Each declared array of a tree once, by its first path, with all the places that hold it (tied arrays have several).

    Errors: ``StateError`` where two arrays come to the same path.
    """
    places: dict[int, tuple[str, Parameter, list[tuple[Any, str]]]] = {}
    for path, module in root.modules():
        for name, declaration in module._declared.items():
            full = f"{path}.{name}" if path else name
            places.setdefault(id(declaration), (full, declaration, []))[2].append((module, name))
    found = {path: (declaration, holders) for path, declaration, holders in places.values()}
    if len(found) < len(places):
        paths = [path for path, _, _ in places.values()]
        raise StateError(
            expected="one path for each array",
            got=f"two arrays at {next(path for path in paths if paths.count(path) > 1)}",
            where=root._place(),
            fix="Choose keys without dots for modules in dictionaries.",
        )
    return found
