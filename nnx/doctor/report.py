"""The report: verdicts in an order that a reader can act on, each consequence under its cause."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nnx.doctor.verdict import Verdict

WIDTH = 80
RANK = {"fail": 0, "warn": 1, "skipped": 2, "pass": 3}
NAMES = {"fail": "FAIL", "warn": "warn"}

CAUSES: dict[str, tuple[str, ...]] = {
    "D3": ("D4",),
    "D11": ("D3", "I4", "I5", "I9"),
    "I1": ("D3", "D11", "I9", "I5"),
    "I10": ("D11", "I11"),
    "I3": ("D8", "D11"),
    "I5": ("I4",),
    "I6": ("D3", "I4", "I5", "I9"),
    "T1": ("I4", "I9", "D3", "D11", "I5", "I6", "I1", "I11", "T4", "T10", "T6", "T8", "I10"),
    "T2": ("I4", "I9", "D3", "D11", "D12", "D10", "I2", "I11", "I5", "I6", "T9", "T4", "T10", "T6", "T8", "I10", "T1"),
    "T3": ("D11", "D3", "D12", "I11", "I5", "I6", "T9", "T10", "T8", "I10", "T2"),
    "T4": ("D3", "I5", "I6", "T8", "I10"),
    "T5": ("D3", "I5", "I9", "T8"),
    "T6": ("I4", "I9", "D3", "D11", "I11", "I6", "I2", "T4", "T10", "T8"),
    "T7": ("D3", "D11", "I11", "I6", "I1", "T8", "I10"),
    "T8": ("I10", "I4", "I9", "D3", "D11", "D12", "I2", "I11", "I5", "I6", "I1", "T9"),
    "T9": ("D11", "D3"),
    "T10": ("I4", "D3", "I1", "T4", "T8"),
    "T11": ("D12", "D3", "I5", "I6", "I11", "T8"),
    "T12": ("I4", "I9", "D3", "D11", "D12", "I2", "I11", "I5", "I6", "T9", "T4", "T6", "T8", "I10", "T1", "T2"),
    "T13": ("I2",),
    "R2": ("D6", "D7"),
    "R3": ("R1",),
}
"""For each check those that explain it, the likeliest first. No check explains itself by way of others: a test sees to that."""

ONLY_WARN = ("I2", "I10", "T9")
"""Checks of settings, which have no failure: as a cause their warning counts as one."""

STUCK = ("T4", "T10", "T6")
"""What explains T8 where no rate at all lowers the loss; T8 then explains nothing itself."""


def explained(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """The cause of each bad verdict that has one among the others: the first that failed, else the first that warns."""
    bad = {verdict.id: verdict for verdict in verdicts if verdict.bad}
    causes = {id: [cause for cause in CAUSES.get(id, ()) if cause in bad] for id in bad}
    stuck = [cause for cause in STUCK if cause in bad]
    if "T10" in bad and bad["T10"].values.get("cut"):  # a gradient that is cut is cut at every rate
        causes["T10"] = [cause for cause in causes["T10"] if cause != "T8"]
    elif "T10" in bad:  # steps that are too small come from elsewhere and explain nothing
        causes = {id: [cause for cause in found if cause != "T10"] for id, found in causes.items()}
        causes["T10"] = [cause for cause in (*CAUSES["T10"], "I10", "T9", "T6") if cause in bad]
        stuck = [cause for cause in stuck if cause != "T10"]
    if (
        "T3" in bad and bad["T3"].values.get("factor", 0.0) > 1
    ):  # steps too small to have learnt what holds on other rows
        causes["T3"] = [cause for cause in causes["T3"] if cause != "T2"]
        causes |= {id: [*causes[id], "T3"] for id in ("T2", "T12") if id in bad}
    if "T8" in bad and "ratio" not in bad["T8"].values and stuck:
        causes = {id: [cause for cause in found if cause != "T8"] for id, found in causes.items()}
        causes["T8"] += stuck
    strength = {id: 0 if id in ONLY_WARN else RANK[verdict.severity] for id, verdict in bad.items()}
    return {id: min(found, key=lambda cause: strength[cause], default="") for id, found in causes.items()}


def with_causes(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts as examined, each with the id of the one that explains it."""
    causes = explained(verdicts)
    return tuple(replace(verdict, caused_by=causes.get(verdict.id, "")) for verdict in verdicts)


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
        """Failures and warnings, as examined."""
        return tuple(verdict for verdict in self.verdicts if verdict.bad)

    @property
    def roots(self) -> tuple[Verdict, ...]:
        """What is wrong and explained by nothing else, first where most follows from it: the order to mend things in."""
        found = [verdict for verdict in self.bad if not self._cause(verdict)]
        return tuple(sorted(found, key=lambda verdict: min(RANK[v.severity] for v in self._tree(verdict))))

    def _tree(self, verdict: Verdict) -> Iterator[Verdict]:
        yield verdict
        for follower in self.bad:
            if self._cause(follower) == verdict.id:
                yield from self._tree(follower)

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
            f"{sum(verdict.severity == name for verdict in self.verdicts)} {name}"
            for name in ("fail", "warn", "pass", "skipped")
        )
        time = f" in {sum(self.seconds.values()):.1f} s" if self.seconds else ""
        lines = textwrap.wrap(f"doctor: {self.subject}: {counts}{time}", WIDTH)
        for verdict in self.roots:
            lines += ["", *self._block(verdict, "")]
        if self.stopped:
            lines += ["", *textwrap.wrap(f"It stops here: {self.stopped}", WIDTH)]
        passed = [v.id for v in self.verdicts if v.severity == "pass"]
        skipped = [f"{v.id} {v.measured}" for v in self.verdicts if v.severity == "skipped"]
        lines += [""] if passed or skipped else []
        for name, listed in (("pass", passed), ("skipped", skipped)):
            if listed:
                between = " " if name == "pass" else "; "
                lines += textwrap.wrap(f"{name:<8}{between.join(listed)}", WIDTH, subsequent_indent=" " * 8)
        return "\n".join(lines)

    def _cause(self, verdict: Verdict) -> str:
        return verdict.caused_by if any(v.id == verdict.caused_by and v.bad for v in self.verdicts) else ""

    def _block(self, verdict: Verdict, indent: str) -> Iterator[str]:
        lead = f"{indent}{NAMES[verdict.severity]}  {verdict.id:<4}"
        yield from textwrap.wrap(f"{lead}expected: {verdict.title}", WIDTH, subsequent_indent=" " * len(lead))
        for name, text in (
            ("seen", verdict.measured),
            ("bound", verdict.bound),
            ("where", verdict.where),
            ("do", "" if indent else verdict.remedy),  # what follows from a cause is mended with it
        ):
            if text:
                head = f"{indent}      {name:<6}"
                yield from textwrap.wrap(head + text, WIDTH, subsequent_indent=" " * len(head), break_on_hyphens=False)
        for follower in self.bad:
            if self._cause(follower) == verdict.id:
                yield f"{indent}      └ which explains"
                yield from self._block(follower, indent + "        ")
