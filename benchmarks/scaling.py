"""Does the time of a step grow as the work does? Time against width, batch and depth, and the overhead of a layer."""

import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from benchmarks import timer
from benchmarks.contestants import BY_HAND, FLOOR, FUSED, OURS
from benchmarks.networks import Network
from benchmarks.process import Field
from benchmarks.question import Effort, Result, compare
from benchmarks.targets import LAYER

COMPARED = (OURS, FUSED, BY_HAND, FLOOR)


def width(n: int) -> Network:
    """Two hidden layers of n."""
    return Network((64, n, n, 10), 64)


def batch(n: int) -> Network:
    """n examples at once."""
    return Network((64, 128, 64, 10), n)


def depth(n: int) -> Network:
    """n hidden layers, so narrow that arithmetic is next to nothing."""
    return Network((64, *[64] * n, 10), 32)


AXES = {
    "width": (width, (16, 64, 256, 1024, 2048), ()),
    "batch": (batch, (1, 8, 64, 512, 4096), ()),
    "depth": (depth, (1, 2, 4, 8, 16, 32), (2, 8)),
}
"""Along which axis, in which steps: in a full run, and in a quick one."""


def measure(field: Field, effort: Effort) -> Result:
    """Every axis; then a straight line through the times against depth."""
    result = Result()
    effort = effort.times(0.6)
    for axis, (network, full, quick) in AXES.items():
        for value in full if effort.full else quick:
            found = compare(field, "step", network(value), effort, COMPARED if effort.full else (OURS, BY_HAND))
            result.rows += [{**row, "question": "scaling", "axis": axis, "value": value} for row in found.rows]
    result += overhead(result.rows)
    return result


def overhead(rows: Sequence[dict[str, Any]]) -> Result:
    """Microseconds that one more hidden layer (Linear, ReLU, and its share of Adam) adds to a step, by the best pieces.

    What is beyond the arithmetic is what nnx adds more than the same step written by hand in NumPy.
    """
    slopes = {}
    for label in COMPARED:
        points = [
            (row["value"], row["best_ms"]) for row in rows if (row["axis"], row["contestant"]) == ("depth", label)
        ]
        if len(points) > 1:
            slopes[label] = 1e3 * slope(points)
    found = [
        {"question": "layer", "work": "one more layer", "contestant": k, "us": round(v, 2)} for k, v in slopes.items()
    ]
    if OURS not in slopes or BY_HAND not in slopes:
        return Result(found)
    beyond = slopes[OURS] - slopes[BY_HAND]
    target = {"question": "layer", "work": "one more layer, µs", "ours": OURS, "theirs": BY_HAND, "most": LAYER}
    return Result(found, [target | {"us": round(beyond, 2), "met": beyond <= LAYER, "load": timer.load_average()}])


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line through the points: the median of the slopes of all pairs, so that one disturbed point does not turn it.

    >>> slope([(0, 1.0), (1, 3.0), (2, 5.0), (3, 700.0)])
    2.0
    """
    return statistics.median_low((b - y) / (a - x) for (x, y), (a, b) in combinations(points, 2))
