"""The space of a search: names and their ranges, read from a table as TOML and JSON write it.

==================================================  =====================================================================
``{low = 1e-4, high = 0.1, log = true}``            a number, evenly over orders of magnitude; without ``log`` evenly
``{low = 8, high = 256, whole = true}``             a whole number; so are two whole ends where nothing says otherwise
``{one_minus_log = [-3, -0.3]}``                    1 − 10^s with s between these: here 0.5 to 0.999, for a momentum
``{choices = [16, 32, 64]}``                        one of these
``{layers = [1, 3], low = 16, high = 256}``         widths: first how many, then each; ``layers = 2`` draws the widths alone
==================================================  =====================================================================
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nnx.errors import ConfigError
from nnx.tune.ranges import Box, Choice, Number, OneMinusLog, Range

FORMS = "{low, high, log}, {one_minus_log = [s, s]}, {choices = […]} or {layers = [1, 3], low, high}"
_KEYS = {
    "choices": {"choices"},
    "one_minus_log": {"one_minus_log"},
    "layers": {"layers", "low", "high", "log", "whole"},
    "low": {"low", "high", "log", "whole"},
}


@dataclass(frozen=True)
class Widths:
    """How many, and then each: the widths of hidden layers. The second is drawn only where there are two."""

    count: Number | int
    each: tuple[Number, ...]

    @property
    def drawn(self) -> list[Range]:
        """What is drawn, one by one."""
        return [*self.each] if isinstance(self.count, int) else [self.count, *self.each]


class Space:
    """Names and ranges, in the order of their importance to whoever wrote them.

    >>> space = Space(
    ...     {"lr": {"low": 1e-4, "high": 0.1, "log": True}, "hidden": {"layers": [1, 2], "low": 8, "high": 64}}
    ... )
    >>> [part.name for part in space.ranges]
    ['lr', 'hidden.layers', 'hidden.1', 'hidden.2']

    Errors: ``ConfigError`` for what is no range, at ``where(name)``.
    """

    def __init__(
        self,
        table: Mapping[str, Any],
        kinds: Mapping[str, type] | None = None,
        where: Callable[[str], str] = "space.{}".format,
    ) -> None:
        if not isinstance(table, Mapping) or not table:
            raise ConfigError(
                expected="a table of names and ranges",
                got=repr(table)[:60],
                where="space",
                fix='Write for example {"lr": {"low": 1e-4, "high": 0.1, "log": True}}.',
            )
        kinds = kinds or {}
        for name in table:
            if not isinstance(name, str):
                raise ConfigError(expected="a name", got=repr(name), where=where(name), fix="Write it in quotes.")
        self.entries: dict[str, Range | Widths] = {
            name: _entry(name, row, kinds.get(name), where(name)) for name, row in table.items()
        }

    @property
    def ranges(self) -> list[Range]:
        """All that is drawn, one by one."""
        parts = [entry.drawn if isinstance(entry, Widths) else [entry] for entry in self.entries.values()]
        return [part for group in parts for part in group]

    @property
    def boxes(self) -> dict[str, Box]:
        """The whole of every range, by name."""
        return {part.name: part.whole_box for part in self.ranges}

    def values(self, ask: Callable[[Range], Any]) -> dict[str, Any]:
        """A value for each name; ``ask`` gives the stored value of one range."""
        found: dict[str, Any] = {}
        for name, entry in self.entries.items():
            if isinstance(entry, Widths):
                count = entry.count if isinstance(entry.count, int) else int(entry.count.value(ask(entry.count)))
                found[name] = [int(part.value(ask(part))) for part in entry.each[:count]]
            else:
                found[name] = entry.value(ask(entry))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)


def _entry(name: str, row: Any, kind: type | None, where: str) -> Range | Widths:
    form = next((key for key in _KEYS if isinstance(row, Mapping) and key in row), None)
    if form is None:
        raise ConfigError(expected=f"a range: {FORMS}", got=repr(row)[:60], where=where, fix=_hint(name, row))
    unknown = sorted(set(row) - _KEYS[form])
    if unknown:
        raise ConfigError(
            f"unknown key {unknown[0]!r}",
            expected=", ".join(sorted(_KEYS[form])),
            where=where,
            fix="Correct or leave it out.",
        )
    if form == "choices":
        return Choice(name, _choices(row["choices"], where))
    if form == "one_minus_log":
        return OneMinusLog(name, *_exponents(row["one_minus_log"], where))
    if form == "layers":
        given = row["layers"]
        fixed = isinstance(given, int) and not isinstance(given, bool)
        low, high = (given, given) if fixed else _pair(given, where, "layers = [1, 3]", whole=True)
        if low < 1:
            raise ConfigError(
                expected="layers ≥ 1", got=str(low), where=where, fix="Write for example layers = [1, 3]."
            )
        count = given if fixed else Number(f"{name}.layers", low, high, whole=True)
        ends = {key: value for key, value in row.items() if key != "layers"} | {"whole": True}
        return Widths(count, tuple(_number(f"{name}.{i + 1}", ends, int, where) for i in range(int(high))))
    return _number(name, row, kind, where)


def _hint(name: str, row: Any) -> str:
    if isinstance(row, list):
        return f"Write {name} = {{choices = {row}}}."
    return f"Write for example {name} = {{low = 0.0001, high = 0.1, log = true}}."


def _choices(given: Any, where: str) -> tuple[Any, ...]:
    known = isinstance(given, (list, tuple)) and all(isinstance(x, (str, int, float, bool)) for x in given)
    if not known or len(given) < 2 or any(x in given[:i] for i, x in enumerate(given)):
        raise ConfigError(
            expected="two or more different texts, numbers or truth values",
            got=repr(given)[:60],
            where=where,
            fix="Write for example choices = [16, 32, 64].",
        )
    return tuple(given)


def _exponents(given: Any, where: str) -> tuple[float, float]:
    low, high = _pair(given, where, "one_minus_log = [-3, -0.3]")
    if high > 0:
        both = 0 < low < 1 and 0 < high < 1
        s = [round(math.log10(1 - x), 3) for x in (high, low)] if both else [-3, -0.3]
        raise ConfigError(
            expected="exponents s ≤ 0 of 1 − 10^s",
            got=f"[{low:g}, {high:g}]",
            where=where,
            fix=f"Write one_minus_log = {s}" + (f" for {low:g} to {high:g}." if both else ", which is 0.5 to 0.999."),
        )
    return low, high


def _number(name: str, row: Mapping[str, Any], kind: type | None, where: str) -> Number:
    if "high" not in row or "low" not in row:
        missing = "low" if "low" not in row else "high"
        raise ConfigError(expected=f"both ends, low and high; {missing} is missing", got=repr(dict(row)), where=where)
    for key in ("log", "whole"):
        if not isinstance(row.get(key, False), bool):
            raise ConfigError(expected=f"{key} = true or false", got=repr(row[key]), where=where, fix="Correct it.")
    ends = [row["low"], row["high"]]
    integral = all(isinstance(end, int) and not isinstance(end, bool) for end in ends)
    whole = bool(row.get("whole", integral if kind is None else kind is int))
    low, high = _pair(ends, where, "low = 16, high = 256" if whole else "low = 0.0001, high = 0.1", whole=whole)
    log = bool(row.get("log", False))
    if log and low <= 0:
        raise ConfigError(
            expected="low > 0 for a logarithmic range", got=f"{low:g}", where=where, fix="Raise low, or leave log out."
        )
    return Number(name, low, high, log, whole)


def _pair(given: Any, where: str, example: str, *, whole: bool = False) -> tuple[float, float]:
    kinds = int if whole else (int, float)
    numbers = (
        isinstance(given, (list, tuple))
        and len(given) == 2
        and all(isinstance(x, kinds) and not isinstance(x, bool) and abs(x) < 1e300 for x in given)
    )
    if not numbers or not given[0] < given[1]:
        ordered = numbers and given[0] > given[1]
        raise ConfigError(
            expected=f"two {'whole ' if whole else ''}numbers, the smaller first",
            got=", ".join(map(repr, given)) if isinstance(given, (list, tuple)) else repr(given),
            where=where,
            fix="Swap them." if ordered else f"Write for example {example}.",
        )
    return (int(given[0]), int(given[1])) if whole else (float(given[0]), float(given[1]))
