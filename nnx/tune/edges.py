"""Whether the best trial lies at the end of a range: then a better one may lie beyond it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from nnx.tune.ranges import Choice, Number, OneMinusLog, Range, rounded
from nnx.tune.space import Space, Widths

EDGE = 0.05
"""A value in this share of the range at either end is at its edge: the bound of the doctor's check R4."""


def edges(space: Space, best: Mapping[str, Any], allowed: Callable[[str, Any], bool]) -> list[str]:
    """One sentence for each range at whose edge the best lies; ``allowed`` says whether a value beyond it can be set at all."""
    found = []
    for name, entry in space.entries.items():
        if isinstance(entry, Widths):
            widths = best[name]
            pairs: list[tuple[Range, Any]] = list(zip(entry.each, widths))
            if not isinstance(entry.count, int):
                pairs.insert(0, (entry.count, len(widths)))
        else:
            pairs = [(entry, best[name])]
        for part, value in pairs:
            said = _said(part, value, lambda beyond, name=name, part=part: _allowed(part, name, beyond, allowed))  # type: ignore[misc]
            found += [said] if said else []
    return found


def _allowed(part: Range, name: str, beyond: Any, allowed: Callable[[str, Any], bool]) -> bool:
    return beyond >= 1 if part.name != name else allowed(name, beyond)


def _said(part: Range, value: Any, allowed: Callable[[Any], bool]) -> str:
    side = _side(part, value)
    if not side:
        return ""
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(part, Choice):
        beyond = _beyond(float(part.options[-1 if side == "upper" else 0]), side, factor=2.0)
        whole = all(isinstance(option, int) for option in part.options)
        number = max(round(beyond), 1) if whole else rounded(beyond)
        if number in part.options or not allowed(number):
            return ""
        options = [number, *part.options] if side == "lower" else [*part.options, number]
        return f"{part.name} = {shown} is the {'least' if side == 'lower' else 'greatest'} choice. Widen it: choices = {options}"
    if isinstance(part, OneMinusLog):
        # momentum grows as s falls
        low, high = (part.low - 1, part.high) if side == "upper" else (part.low, min(part.high / 2, 0))
        return f"{part.name} = {shown} is at the {side} edge. Widen it: one_minus_log = [{low:g}, {high:g}]"
    assert isinstance(part, Number)
    end = part.low if side == "lower" else part.high
    wide = _beyond(
        end, side, factor=10.0 if part.log and not part.whole else 2.0, span=part.high - part.low, log=part.log
    )
    wide = max(round(wide), 1) if part.whole else rounded(wide)
    if wide == end or not allowed(wide):
        return ""
    change = f"{'low' if side == 'lower' else 'high'} = {wide:g}"
    if part.name.endswith(".layers"):  # low and high of that table are those of the widths
        change = f"layers = [{part.low:g}, {wide:g}]"
    return f"{part.name} = {shown} is at the {side} edge ({end:g}). Widen it: {change}"


def _side(part: Range, value: Any) -> str:
    """lower, upper, or nothing."""
    if isinstance(part, Choice):
        if not part.ordered:
            return ""
        return "lower" if value == part.options[0] else "upper" if value == part.options[-1] else ""
    if isinstance(part, OneMinusLog):
        at = (math.log10(max(1 - value, 1e-300)) - part.low) / (part.high - part.low)
        return "upper" if at < EDGE else "lower" if at > 1 - EDGE else ""
    assert isinstance(part, Number)
    low, high = part.coordinate(part.low), part.coordinate(part.high)
    at = (part.coordinate(value) - low) / (high - low)
    return "lower" if at < EDGE else "upper" if at > 1 - EDGE else ""


def _beyond(end: float, side: str, *, factor: float, span: float = 0.0, log: bool = True) -> float:
    if log:
        return end / factor if side == "lower" else end * factor
    if side == "lower":  # what is positive stays so
        return end / 2 if end - span / 2 < 0 < end else end - span / 2
    return end + span / 2
