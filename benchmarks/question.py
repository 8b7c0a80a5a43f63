"""What all questions share: how much effort a run takes, and the rows of a table from timed contestants."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks import timer
from benchmarks.contestants import OURS
from benchmarks.networks import Network
from benchmarks.process import Field
from benchmarks.targets import TARGETS


@dataclass(frozen=True)
class Effort:
    """How long a run may take: rounds, seconds in a block, and seconds after which no new round of the same work
    begins (``limit``) and no new question is asked (``total``).

    ``full`` asks for all the work of a question.
    """

    full: bool
    rounds: int
    seconds: float
    limit: float
    total: float

    def times(self, share: float) -> "Effort":
        """The same with fewer rounds, at least 3 (or as many as there are)."""
        return replace(self, rounds=max(round(self.rounds * share), min(self.rounds, 3)))


QUICK = Effort(full=False, rounds=3, seconds=0.03, limit=1.5, total=40.0)
FULL = Effort(full=True, rounds=15, seconds=0.2, limit=60.0, total=3600.0)


@dataclass
class Result:
    """Rows of the record, and how the targets came out."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)

    def __iadd__(self, other: "Result") -> "Result":
        self.rows += other.rows
        self.targets += other.targets
        return self


def compare(
    field: Field, question: str, network: Network, effort: Effort, only: tuple[str, ...] = (), **extra: Any
) -> Result:
    """Time everyone on one network; a row for each, with the ratio of its time to ours."""
    load = timer.load_average()
    taken = field.time(question, network, rounds=effort.rounds, seconds=effort.seconds, limit=effort.limit, only=only)
    ours = next(iter(taken), OURS)
    rows = []
    for label, samples in taken.items():
        middle, low, high = timer.ratio(samples, taken[ours])
        row = {"question": question, "work": network.title, "contestant": label, **extra, **samples.row()}
        row |= {"against": ours, "ratio": round(middle, 3), "ratio_quartiles": [round(low, 3), round(high, 3)]}
        rows.append(row | {"best_ratio": round(timer.best_ratio(samples, taken[ours]), 3), "load": load})
    outcomes = (target.row(taken) for target in TARGETS if (target.question, target.network) == (question, network))
    return Result(rows, [outcome for outcome in outcomes if outcome])


def compare_all(field: Field, question: str, networks: Iterable[Network], effort: Effort) -> Result:
    """One network after the other."""
    result = Result()
    for network in networks:
        result += compare(field, question, network, effort)
    return result
