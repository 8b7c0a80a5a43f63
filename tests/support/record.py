"""What a run of the tests did: cases on each backend, skips and their reasons, the worst disagreement of each op."""

import json
import platform
import re
import sys
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
LIBRARIES = ("numpy", "array-api-compat", "array-api-strict", "torch", "jax", "cupy-cuda12x", "cupy-cuda13x", "numba")
SHOWN = 25
"""Ops listed in the summary, nearest to their tolerance first; ``--record`` and ``-v`` have them all."""


class Record:
    """A pytest plugin that counts, and fails a run that was not what was asked for."""

    def __init__(self, config: pytest.Config, chosen: list[str], required: list[str]) -> None:
        self.config, self.chosen, self.required = config, chosen, required
        self.counts: dict[str, Counter[str]] = {spec: Counter() for spec in chosen}
        self.total: Counter[str] = Counter()
        self.skips: Counter[str] = Counter()
        self.modules: Counter[str] = Counter()
        self.worst: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.complaints: list[str] = []

    def disagreement(self, op: str, spec: str, dtype: str, value: float, tolerance: float) -> None:
        """Keep ``value`` if it uses up more of its tolerance than what was seen for (op, backend, dtype) so far."""
        used = value / tolerance if tolerance else (0.0 if value == 0 else float("inf"))
        key = (op, spec, dtype)
        if key not in self.worst or not used <= self.worst[key]["used"]:
            self.worst[key] = {
                "op": op, "backend": spec, "dtype": dtype, "value": value, "tolerance": tolerance, "used": used,
            }  # fmt: skip

    # What pytest tells us

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            for name, row in report.user_properties:
                if name == "disagreement":
                    self.disagreement(*row)  # type: ignore[misc]
        outcome = outcome_of(report)
        if outcome is None:
            return
        self.total[outcome] += 1
        for name, spec in report.user_properties:
            if name == "backend":
                self.counts.setdefault(str(spec), Counter())[outcome] += 1
        if outcome == "skipped":
            self.skips[reason_of(report)] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome == "skipped":  # a whole module, by importorskip
            self.modules[reason_of(report)] += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """With pytest-xdist the workers collect, each of them everything, and tell what they skipped when they end."""
        self.modules |= Counter(getattr(node, "workeroutput", {}).get("modules", {}))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.config.getoption("--collect-only"):
            return
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["modules"] = dict(self.modules)
            return
        self.skips += self.modules
        self.total["skipped"] += self.modules.total()
        for spec in self.required:
            if not any(self.counts.get(spec, Counter())[outcome] for outcome in ("passed", "failed", "xfailed")):
                self.complaints.append(f"backend {spec} is required and ran nothing")
        allowed = self.config.getoption("--no-skips-but")
        if allowed is not None:
            for reason, count in sorted(self.skips.items()):
                if not allowed or not re.search(allowed, reason):
                    self.complaints.append(f"{count} skipped without leave: {reason}")
        if self.complaints and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        file = self.config.getoption("--record")
        if file:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(json.dumps(self.as_json(), indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        write = terminalreporter.write_line
        if self.worst:
            terminalreporter.section("worst disagreement of each op")
            rows = self.worst_of_each_op()
            shown = rows if self.config.option.verbose > 0 else rows[:SHOWN]
            for row in shown:
                write(
                    f"{row['op']:<28} {row['value']:9.2e} of {row['tolerance']:9.2e} ({row['used']:6.1%})"
                    f"  {row['backend']} {row['dtype']}"
                )
            if len(shown) < len(rows):
                write(f"and {len(rows) - len(shown)} ops below {shown[-1]['used']:.1%} of their tolerance")
        if self.skips:
            terminalreporter.section("skipped, by reason")
            for reason, count in self.skips.most_common():
                write(f"{count:5}  {reason}")
        terminalreporter.section("cases on each backend")
        for spec, counts in self.counts.items():
            write(f"{spec:<16} " + (", ".join(f"{counts[o]} {o}" for o in OUTCOMES if counts[o]) or "nothing ran"))
        for complaint in self.complaints:
            write(f"FAILED: {complaint}", red=True)

    # The record

    def worst_of_each_op(self) -> list[dict[str, Any]]:
        worst: dict[str, dict[str, Any]] = {}
        for row in self.worst.values():
            if row["op"] not in worst or row["used"] > worst[row["op"]]["used"]:
                worst[row["op"]] = row
        return sorted(worst.values(), key=lambda row: (-row["used"], row["op"]))

    def as_json(self) -> dict[str, Any]:
        import nnx

        return {
            "nnx": nnx.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "versions": {name: found for name in LIBRARIES if (found := installed(name))},
            "backends": {spec: describe(spec) | dict(counts) for spec, counts in self.counts.items()},
            "tests": {outcome: self.total[outcome] for outcome in OUTCOMES},
            "skips": dict(self.skips),
            "complaints": self.complaints,
            "command": " ".join(["pytest", *sys.argv[1:]]),
            "worst": [self.worst[key] for key in sorted(self.worst)],
        }


def outcome_of(report: pytest.TestReport) -> str | None:
    """One outcome for a test, as pytest's own last line counts it; None for the phases that do not count."""
    expected = hasattr(report, "wasxfail")
    if report.skipped:
        return "xfailed" if expected else "skipped"
    if report.when == "call":
        return ("xpassed" if expected else "passed") if report.passed else "failed"
    return "error" if report.failed else None


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    longrepr = report.longrepr
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return reason.removeprefix("Skipped: ")


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def describe(spec: str) -> dict[str, Any]:
    """What the backend says of itself, as text where JSON has no word for it."""
    from nnx import backends

    backend = backends.get(spec)
    facts = {"device": backend.device, **backend.info()}
    return json.loads(json.dumps(facts, default=str))
