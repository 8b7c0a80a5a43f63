"""What a check is, what it finds, and the verdict that the report shows."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nnx.doctor.measure import number

Severity = Literal["pass", "warn", "fail", "skipped"]
Moment = Literal["data", "start", "short training", "run", "search"]


@dataclass(frozen=True)
class Finding:
    """What one check saw: how bad it is, what was measured against which bound, where, and what to do.

    ``values`` are the figures behind the sentence, by name. For ``skipped``, ``measured`` says why.
    """

    severity: Severity
    measured: str
    bound: str = ""
    where: str = ""
    remedy: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One row of the registry. ``limits`` are its thresholds by name; ``remedy`` is a sentence with places to fill in.

    ``run(subject, check)`` measures and gives a :class:`Finding`. ``source`` says where the check and its thresholds
    come from.
    """

    id: str
    moment: Moment
    title: str
    limits: Mapping[str, float]
    remedy: str
    source: str
    run: Callable[[Any, "Check"], Finding]

    def ok(self, measured: str, bound: str = "", where: str = "", **values: float) -> Finding:
        """A finding that there is nothing to say."""
        return Finding("pass", measured, bound, where, "", values)

    def skip(self, why: str) -> Finding:
        """A finding that this cannot be judged here."""
        return Finding("skipped", why)

    def say(
        self,
        severity: Severity,
        measured: str,
        bound: str,
        where: str = "",
        fill: Mapping[str, Any] | None = None,
        **values: float,
    ) -> Finding:
        """A finding with this check's remedy, its places filled in from ``fill`` and ``values``; a pass has none."""
        if severity in ("pass", "skipped"):
            return Finding(severity, measured, bound, where, "", values)
        figures = {name: number(value) for name, value in values.items()}
        remedy = self.remedy.format(**{"where": where, **figures, **(fill or {})})
        return Finding(severity, measured, bound, where, remedy, values)

    def verdict(self, finding: Finding, caused_by: str = "") -> "Verdict":
        """The finding under this check's name."""
        return Verdict(
            self.id, self.moment, self.title, finding.severity, finding.measured, finding.bound, finding.where, finding.remedy,
            self.source, caused_by, finding.values,
        )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """A line of the report.

    >>> Verdict("D8", "data", "classes are balanced", "warn", "max/min 40", "at most 10").bad
    True
    """

    id: str
    moment: Moment
    title: str
    severity: Severity
    measured: str
    bound: str = ""
    where: str = ""
    remedy: str = ""
    source: str = ""
    caused_by: str = ""
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def bad(self) -> bool:
        """Whether something is to be done."""
        return self.severity in ("warn", "fail")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, which has no word for NaN and infinity: None."""
        return {
            **{name: getattr(self, name) for name in FIELDS},
            "values": {name: float(value) if math.isfinite(value) else None for name, value in self.values.items()},
        }


FIELDS = ("id", "moment", "title", "severity", "measured", "bound", "where", "remedy", "source", "caused_by")


def graded(value: float, *, warn: float, fail: float) -> Severity:
    """The severity of a value that ought to be small; NaN fails.

    >>> graded(3.0, warn=2.0, fail=4.0), graded(float("nan"), warn=2.0, fail=4.0)
    ('warn', 'fail')
    """
    if value <= warn:
        return "pass"
    return "warn" if value <= fail else "fail"


def worst(*severities: Severity) -> Severity:
    """The worst of several.

    >>> worst("pass", "fail", "warn")
    'fail'
    """
    return max(severities, key=("skipped", "pass", "warn", "fail").index)
