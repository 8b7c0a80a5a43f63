"""The examination: which checks run in which order, when it stops, and what explains what."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from nnx.doctor import data, during, initialisation, short_training
from nnx.doctor.report import Report, with_causes
from nnx.doctor.subject import Subject
from nnx.doctor.verdict import Check
from nnx.errors import ConfigError

DEPTHS = ("quick", "full")

STAGES: tuple[tuple[str, tuple[Check, ...], str], ...] = (
    ("data", data.FIRST, "without data and loss that fit nothing else can be judged."),
    ("data", data.CHECKS, ""),
    ("start", initialisation.FIRST, ""),
    ("start", initialisation.CHECKS, ""),
    ("start", initialisation.LAST, "a training with wrong derivatives or mixed rows says nothing."),
    ("short training", short_training.FIRST, ""),
    ("short training", short_training.CHECKS, ""),
)
"""The moments in order: their checks, and why a failure among them ends the examination, if it does."""

CHECKS: dict[str, Check] = {
    check.id: check for check in (*(c for _, checks, _ in STAGES for c in checks), *during.CHECKS, during.R4)
}
"""Every check by its id: what the report, the command line and the documentation read."""


def examine(subject: Subject, depth: str, only: tuple[str, ...] = ()) -> Report:
    """Run the stages on a subject: all of them, or without the short trainings if ``depth`` is "quick"."""
    if depth not in DEPTHS:
        raise ConfigError(
            expected=f"check {' or '.join(DEPTHS)}", got=repr(depth), where="check", fix="Write check='quick'."
        )
    if not isinstance(only, tuple) or any(name not in CHECKS for name in only):
        raise ConfigError(
            expected=f"ids of checks in only: {', '.join(CHECKS)}",
            got=repr(only),
            where="doctor",
            fix='Write only=("D3", "I1").',
        )
    with np.errstate(all="ignore"):
        return _examine(subject, depth, only)


def _examine(subject: Subject, depth: str, only: tuple[str, ...]) -> Report:
    seconds: dict[str, float] = {}
    stopped, found = "", subject.so_far
    for moment, checks, ends in STAGES:
        if moment == "short training" and depth == "quick":
            break
        for check in checks:
            if only and check.id not in only:
                continue
            with timed(seconds, moment):
                found[check.id] = check.verdict(check.run(subject, check))
            if ends and found[check.id].severity == "fail" and not only:
                stopped = f"{check.id} failed, and {ends}"
                break
        if stopped:
            break
    return Report(
        with_causes(list(found.values())), _name(subject), stopped, {k: round(v, 4) for k, v in seconds.items()}
    )


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the time inside to an entry."""
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started


def _name(subject: Subject) -> str:
    kind = type(subject.original).__name__
    return f"{kind} on {len(subject.train)} rows of {subject.train.x.shape[1:]}, {subject.task}"
