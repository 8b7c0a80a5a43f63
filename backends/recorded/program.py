"""A program: library calls in order, as a recording left them, and its plain replay."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nnx.typing import Array

VIEWS = {
    "reshape", "matrix_transpose", "permute_dims", "expand_dims", "squeeze", "broadcast_to", "flip", "moveaxis", "getitem",
}  # fmt: skip
"""They may give a view of their first argument; whether they did is looked at."""


class Value(NamedTuple):
    """An array that is another at every run: its number, shape and dtype, and whether it lies in order, row after row."""

    number: int
    shape: tuple[int, ...]
    dtype: Any
    ordered: bool = True


class Call(NamedTuple):
    """``out = function(*args, **kwargs)``, with values in place of arrays; ``name`` is the standard's, or that of a hook."""

    name: str
    function: Callable[..., Any]
    args: Any
    kwargs: dict[str, Any]
    out: Any


class Program(NamedTuple):
    """Inputs, calls and outputs. An output that never changes is the array itself."""

    inputs: list[Value]
    calls: tuple[Call, ...]
    outputs: list[Any]


def nested(function: Callable[[Any], Any], x: Any) -> Any:
    """``x`` with ``function`` of every leaf of its lists, tuples and dictionaries."""
    kind = type(x)
    if kind is Value:
        return function(x)
    if kind in (tuple, list):
        return kind(nested(function, item) for item in x)
    if kind is dict:
        return {key: nested(function, item) for key, item in x.items()}
    if isinstance(x, tuple):  # a named one, such as the results of eigh
        made = [nested(function, item) for item in x]
        return kind(*made) if hasattr(x, "_fields") else kind(made)
    return function(x)


def values_in(x: Any) -> list[Value]:
    """The values among nested arguments."""
    found: list[Value] = []

    def note(leaf: Any) -> Any:
        if type(leaf) is Value:
            found.append(leaf)
        return leaf

    nested(note, x)
    return found


def needed(program: Program) -> list[Call]:
    """The calls that the outputs depend on."""
    wanted = {value.number for value in values_in(program.outputs)}
    kept = []
    for call in reversed(program.calls):
        if any(value.number in wanted for value in values_in(call.out)):
            kept.append(call)
            wanted.update(value.number for value in values_in((call.args, call.kwargs)))
    return kept[::-1]


class Source:
    """Straight-line Python that is written call by call and compiled once. It names objects; it contains no text of others."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.lines: list[str] = []

    def name(self, thing: Any) -> str:
        """A name for an object that the lines use."""
        if thing is None or type(thing) in (bool, int):
            return repr(thing)
        name = f"k{len(self.scope)}"
        self.scope[name] = thing
        return name

    def expression(self, x: Any, names: dict[int, str]) -> str:
        """Nested arguments as an expression, values by their names."""
        if type(x) is Value:
            return names[x.number]
        if not values_in(x):
            return self.name(x)
        if type(x) is dict:
            return "{" + ", ".join(f"{self.name(key)}: {self.expression(item, names)}" for key, item in x.items()) + "}"
        inside = "".join(f"{self.expression(item, names)}, " for item in x)
        return f"[{inside}]" if type(x) is list else f"({inside})"

    def call(self, call: Call, names: dict[int, str]) -> str:
        """The call as an expression."""
        parts = [self.expression(arg, names) for arg in call.args]
        parts += [f"{key}={self.expression(arg, names)}" for key, arg in call.kwargs.items()]
        return f"{self.name(call.function)}({', '.join(parts)})"

    def function(self, arguments: Sequence[str], result: str) -> Callable[..., Any]:
        """The lines as a function."""
        free = ", ".join(f"{name}={name}" for name in self.scope)
        head = f"def run({', '.join([*arguments, '*', free] if free else arguments)}):"
        body = "".join(f"    {line}\n" for line in self.lines)
        exec(f"{head}\n{body}    return {result}\n", self.scope)
        run: Callable[..., Any] = self.scope["run"]
        return run


def replay(program: Program, borrowed: Sequence[int] = ()) -> Callable[..., list[Array]]:
    """The program as a function of the input arrays: the same calls, and every array let go after its last use.

    Outputs named in ``borrowed`` may be changed by the next run, which an override makes use of.
    """
    source, calls = Source(), needed(program)
    names = {value.number: f"v{value.number}" for value in program.inputs}
    last: dict[int, int] = {}
    for index, call in enumerate(calls):
        last |= {value.number: index for value in values_in((call.args, call.kwargs, call.out))}
    kept = {value.number for value in values_in(program.outputs)}
    for index, call in enumerate(calls):
        expression = source.call(call, names)
        names |= {value.number: f"v{value.number}" for value in values_in(call.out)}
        source.lines.append(f"{_target(call.out, names)} = {expression}")
        over = [names[number] for number, at in last.items() if at == index and number not in kept]
        if over:
            source.lines.append(f"del {', '.join(over)}")
    return source.function([names[v.number] for v in program.inputs], source.expression(list(program.outputs), names))


def _target(out: Any, names: dict[int, str]) -> str:
    if type(out) is Value:
        return names[out.number]
    if isinstance(out, (tuple, list)):
        return f"({''.join(f'{_target(item, names)}, ' for item in out)})"
    return "_"
