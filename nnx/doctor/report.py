"""The report: verdicts in an order that a reader can act on, each consequence under its cause."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnx.doctor.verdict import Severity, Verdict

WIDTH = 80
RANK = {"fail": 0, "warn": 1, "skipped": 2, "pass": 3}
NAMES = {"fail": "FAIL", "warn": "warn"}

CAUSES: dict[str, tuple[str, ...]] = {
    "I1": ("D3", "D11", "I9", "I5"),
    "I3": ("D8", "D11"),
    "I5": ("I4",),
    "I6": ("D3", "I4", "I5"),
    "T1": ("I4", "I9", "D3", "D11", "I1", "T8"),
    "T2": ("I4", "I9", "D3", "D11", "T8"),
    "T3": ("D11", "T8"),
    "T4": ("D3", "I5", "T8"),
    "T5": ("D3", "I5", "T8"),
    "T6": ("I4", "I6"),
    "T7": ("D3", "D11", "I11", "I6", "T8"),
    "T8": ("I10", "I4", "I9", "D3", "D11", "I2", "I11"),
    "T9": ("D11", "D3"),
    "T10": ("I4", "T4", "T8"),
    "T12": ("I4", "I9", "D3", "D11", "I2", "T8"),
    "T13": ("I2",),
    "R2": ("D6", "D7"),
}
"""For each check those that explain it, the likeliest first; a cause stands before its consequence in the examination."""


def explained(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """The cause of each bad verdict that has one among the others."""
    bad = {verdict.id for verdict in verdicts if verdict.bad}
    return {v.id: next((c for c in CAUSES.get(v.id, ()) if c in bad), "") for v in verdicts if v.bad}


def ordered(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Failures, warnings, what was skipped, what passed; within each as examined."""
    return tuple(sorted(verdicts, key=lambda verdict: RANK[verdict.severity]))


@dataclass(frozen=True)
class Report:
    """What :func:`nnx.doctor` returns. ``print(report)`` shows it in 80 columns; ``to_dict()`` is for JSON.

    ``stopped`` says why an examination ended early. ``seconds`` has the time that each moment took.
    """

    verdicts: tuple[Verdict, ...]
    subject: str
    stopped: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, id: str) -> Verdict:
        return next(verdict for verdict in self.verdicts if verdict.id == id)

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    @property
    def failed(self) -> bool:
        """Whether any check failed: exit code 3 of ``nnx doctor``."""
        return any(verdict.severity == "fail" for verdict in self.verdicts)

    @property
    def bad(self) -> tuple[Verdict, ...]:
        """Failures and warnings, each before what it causes."""
        return tuple(verdict for verdict in self.verdicts if verdict.bad)

    def count(self, severity: Severity) -> int:
        """How many verdicts are of a severity."""
        return sum(verdict.severity == severity for verdict in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "subject": self.subject,
            "failed": self.failed,
            "stopped": self.stopped,
            "seconds": self.seconds,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
        }

    def __str__(self) -> str:
        counts = ", ".join(
            f"{self.count(s)} {name}"
            for s, name in (("fail", "fail"), ("warn", "warn"), ("pass", "pass"), ("skipped", "skipped"))
        )  # type: ignore[arg-type]
        time = f" in {sum(self.seconds.values()):.1f} s" if self.seconds else ""
        lines = textwrap.wrap(f"doctor: {self.subject}: {counts}{time}", WIDTH)
        shown = [verdict for verdict in self.bad if not self._cause(verdict)]
        for verdict in shown:
            lines += ["", *self._block(verdict, "")]
        if self.stopped:
            lines += ["", *textwrap.wrap(f"It stops here: {self.stopped}", WIDTH)]
        passed = [f"{v.id} {v.title}" for v in self.verdicts if v.severity == "pass"]
        skipped = [f"{v.id} {v.measured}" for v in self.verdicts if v.severity == "skipped"]
        lines += [""] if passed or skipped else []
        for name, listed in (("pass", passed), ("skipped", skipped)):
            if listed:
                lines += textwrap.wrap(f"{name:<8}{'; '.join(listed)}", WIDTH, subsequent_indent=" " * 8)
        return "\n".join(lines)

    def _cause(self, verdict: Verdict) -> str:
        return verdict.caused_by if any(v.id == verdict.caused_by and v.bad for v in self.verdicts) else ""

    def _block(self, verdict: Verdict, indent: str) -> Iterator[str]:
        lead = f"{indent}{NAMES[verdict.severity]}  {verdict.id:<4}"
        yield from textwrap.wrap(f"{lead}not so: {verdict.title}", WIDTH, subsequent_indent=" " * len(lead))
        for name, text in (
            ("seen", verdict.measured),
            ("bound", verdict.bound),
            ("where", verdict.where),
            ("do", verdict.remedy),
        ):
            if text:
                head = f"{indent}      {name:<6}"
                yield from textwrap.wrap(head + text, WIDTH, subsequent_indent=" " * len(head), break_long_words=True)
        for follower in self.bad:
            if self._cause(follower) == verdict.id:
                yield f"{indent}      └ which explains"
                yield from self._block(follower, indent + "        ")
