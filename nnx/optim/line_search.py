"""A step length that satisfies the strong Wolfe conditions.

With φ(t) = f(x + t d): sufficient decrease φ(t) ≤ φ(0) + c₁ t φ'(0), and curvature |φ'(t)| ≤ c₂ |φ'(0)|.
Bracketing and zoom as in Nocedal and Wright, Numerical Optimization (2nd ed.), Algorithms 3.5 and 3.6, with cubic
interpolation safeguarded to the inner part of the interval. All numbers here are Python floats.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """φ and φ' at t, and whatever the caller wants back with them."""

    t: float
    value: float
    slope: float
    extra: Any = None

    @property
    def finite(self) -> bool:
        """Whether both are numbers to go on with."""
        return math.isfinite(self.value) and math.isfinite(self.slope)


def strong_wolfe(
    phi: Callable[[float], Point],
    start: Point,
    first: float,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    evaluations: int = 25,
) -> Point:
    """A point that satisfies both conditions, or the best found within the evaluations allowed.

    ``start`` is the point at t = 0, with a negative slope; ``first`` is the first t to try.

    >>> strong_wolfe(lambda t: Point(t, (t - 1.0) ** 2, 2.0 * (t - 1.0)), Point(0.0, 1.0, -2.0), 3.0).t
    1.0
    """

    def decreases(point: Point) -> bool:
        return point.value <= start.value + c1 * point.t * start.slope

    previous, t, best = start, first, start
    for _ in range(evaluations):
        point = phi(t)
        best = min(best, point, key=lambda p: p.value if math.isfinite(p.value) else math.inf)
        if not point.finite:
            t = (previous.t + t) / 2 if previous.t else t / 10
            continue
        if not decreases(point) or (previous.t > 0 and point.value >= previous.value):
            return _zoom(phi, start, previous, point, decreases, c2, evaluations) or best
        if abs(point.slope) <= -c2 * start.slope:
            return point
        if point.slope >= 0:
            return _zoom(phi, start, point, previous, decreases, c2, evaluations) or best
        previous, t = point, min(_beyond(previous, point), 10 * t)
    return best


def _zoom(
    phi: Callable[[float], Point], start: Point, low: Point, high: Point, decreases: Any, c2: float, evaluations: int
) -> Point | None:
    """Shrink the interval between ``low``, the best point with sufficient decrease, and ``high``."""
    for _ in range(evaluations):
        width = abs(high.t - low.t)
        if width <= 1e-14 * max(1.0, abs(low.t)):
            break
        t = _minimum(low, high)
        inner = 0.1 * width
        bottom, top = min(low.t, high.t) + inner, max(low.t, high.t) - inner
        if t is None:
            t = (low.t + high.t) / 2
        point = phi(min(max(t, bottom), top))
        if not point.finite or not decreases(point) or point.value >= low.value:
            high = point
            continue
        if abs(point.slope) <= -c2 * start.slope:
            return point
        if point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
    return low if low.t > 0 else None


def _minimum(a: Point, b: Point) -> float | None:
    """The minimum of the cubic through two points and their slopes, ``None`` if it has none."""
    if not (a.finite and b.finite):
        return None
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if square < 0:
        return None
    d2 = math.copysign(math.sqrt(square), b.t - a.t)
    bottom = b.slope - a.slope + 2 * d2
    return None if bottom == 0 else b.t - (b.t - a.t) * (b.slope + d2 - d1) / bottom


def _beyond(a: Point, b: Point) -> float:
    """Farther than ``b``: by the cubic where that makes sense, else twice as far."""
    t = _minimum(a, b)
    return t if t is not None and t > 1.1 * b.t else 2 * b.t
