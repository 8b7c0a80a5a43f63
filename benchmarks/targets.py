"""What nnx is to reach: rows of (question, networks, who, against whom, their time over ours at least)."""

from typing import Any, NamedTuple

from benchmarks import timer
from benchmarks.contestants import DEFAULT, FLOOR, FUSED, JAX, ON_JAX, ON_TORCH, OURS, PURE, SKLEARN
from benchmarks.networks import CNN, LARGE, MIDDLE, REGULAR, SMALL, TABLE, TINY


class Target(NamedTuple):
    """``theirs`` / ``ours`` ≥ ``least``."""

    question: str
    network: Any
    theirs: str
    least: float
    ours: str = OURS

    def row(self, taken: dict[str, timer.Samples]) -> dict[str, Any] | None:
        """How it came out, for the record; nothing if one of the two was not timed."""
        if self.theirs not in taken or self.ours not in taken:
            return None
        middle, low, high = timer.ratio(taken[self.theirs], taken[self.ours])
        return {
            "question": self.question,
            "work": self.network.title,
            "ours": self.ours,
            "theirs": self.theirs,
            "least": round(self.least, 3),
            "ratio": round(middle, 3),
            "quartiles": [round(low, 3), round(high, 3)],
            "best_ratio": round(timer.best_ratio(taken[self.theirs], taken[self.ours]), 3),
            "met": middle >= self.least,
        }


STEP = {TINY: 2.5, SMALL: 2.0, MIDDLE: 1.0, LARGE: 0.95}
"""A training step against PyTorch eager with fused Adam."""

PURE_SHARE = 0.6
"""What is left of a target where numba is absent."""

TARGETS = [
    *(Target("step", network, FUSED, least) for network, least in STEP.items()),
    *(Target("step", regular, FUSED, STEP[plain]) for plain, regular in zip(TABLE, REGULAR, strict=True)),
    Target("step", TINY, JAX, 0.8),
    Target("step", TINY, SKLEARN, 4.0),
    Target("step", MIDDLE, FLOOR, 1 / 1.6),
    Target("step", LARGE, FLOOR, 1 / 1.2),
    *(Target("step", network, FUSED, PURE_SHARE * least, PURE) for network, least in STEP.items()),
    *(Target("inference", network.at(1), FUSED, 1.5) for network in TABLE),
    *(Target("inference", network.at(256), FUSED, 1.0) for network in TABLE),
    *(Target("step", network, JAX, 0.9, ON_JAX) for network in (*TABLE, *REGULAR)),
    *(Target("step", network, DEFAULT, 0.8, ON_TORCH) for network in (*TABLE, *REGULAR)),
    *(Target("step", network, FUSED, 0.8, ON_TORCH) for network in (*TABLE, *REGULAR, CNN)),
    Target("step", CNN, FUSED, 0.7),
    Target("step", CNN, FUSED, PURE_SHARE * 0.7, PURE),
    Target("inference", CNN.at(1), FUSED, 1.5),
    Target("inference", CNN.at(256), FUSED, 1.0),
    Target("update", LARGE, FUSED, 1.0),
    Target("update", LARGE, DEFAULT, 1.0),
]

IMPORT = 5.0
"""``import torch`` takes at least so many times as long as ``import nnx``."""

MEMORY = 1.0
"""PyTorch holds at least so many times as much while training."""

LAYER = 12.0
"""Microseconds a layer and step beyond its arithmetic, at most."""
