"""Coarse to fine: the box of a stage is drawn around the best trials before it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nnx.tune.ranges import Box
from nnx.tune.space import Space

COARSE_TO_FINE = 3
"""Stages of ``coarse-to-fine``; each has its share of the trials."""

BEST, FEWEST = 0.25, 2
"""The share of the trials so far that a box is drawn around, and how many at least."""


class Point(NamedTuple):
    """A trial that was completed: its stage, its score (less is better) and its stored values by name of range."""

    stage: int
    score: float
    stored: Mapping[str, Any]


def stage_of(ticket: int, trials: int, stages: int) -> int:
    """The stage of a trial.

    >>> [stage_of(ticket, 6, 3) for ticket in range(6)]
    [0, 0, 1, 1, 2, 2]
    """
    return min(ticket * stages // trials, stages - 1)


def boxes(space: Space, stage: int, points: Sequence[Point]) -> dict[str, Box]:
    """The boxes of a stage. It is a function of the trials before: whoever computes it gets the same.

    Stage 0 has the whole space. Each further one takes the best quarter (two at least) of all trials of earlier stages,
    and draws a box around them as ``ranges.near`` says, within the box before. A range without points keeps its box.
    """
    found = space.boxes
    for before in range(1, stage + 1):
        known = sorted((point for point in points if point.stage < before), key=lambda point: point.score)
        best = known[: max(round(BEST * len(known)), FEWEST)]
        for part in space.ranges:
            stored = [point.stored[part.stored] for point in best if part.stored in point.stored]
            if stored:
                found[part.name] = part.around(stored, found[part.name])
    return found
