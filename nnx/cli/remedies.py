"""What to do about a verdict, in flags: the doctor's own remedies name the Python API.

The first row for a check whose condition holds gives the sentence; where there is none, no flag helps, and the doctor's own
words remain. ``{…}`` is a figure of the verdict, or what ``_words`` makes of it and the settings.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from nnx.cli.config import Settings
from nnx.cli.misuse import as_flags
from nnx.data.load import TABLES
from nnx.doctor.measure import number
from nnx.doctor.report import Report
from nnx.doctor.verdict import Verdict


class Remedy(NamedTuple):
    """A sentence for some checks, under a condition."""

    ids: str
    when: Callable[[Verdict, Settings], bool]
    sentence: str


def _always(v: Verdict, s: Settings) -> bool:
    return True


def _raw(v: Verdict, s: Settings) -> bool:
    return not s.standardize


def _not_normed(v: Verdict, s: Settings) -> bool:
    return not s.batch_norm


def _table(v: Verdict, s: Settings) -> bool:
    return (s.source or "").lower().endswith((*TABLES, ".parquet", ".pq")) and ")" in v.where


def _rated(v: Verdict, s: Settings) -> bool:
    """Whether there is a learning rate: L-BFGS has none, and Adam stood in for it."""
    return not s.optimizer.strip().startswith("lbfgs")


REMEDIES = (
    Remedy("D3 D11 I1 I6", _raw, "Take --standardize."),
    Remedy("I3", lambda v, s: not s.standardize and v.caused_by == "D11", "Take --standardize."),
    Remedy("D5", _always, "Give the columns as they were measured: --standardize fits on the training rows only."),
    Remedy("D4", _table, "{column} never changes or repeats another: {drop}."),
    Remedy("D1", lambda v, s: "value" in v.values and _table(v, s), "If {value} means missing, drop these rows, fill it with the column's median, or {drop}."),
    Remedy("D7", _table, "It may give the answer away: is it known at prediction time? If not, {drop}."),
    Remedy("D10", _always, "Hold out more rows with --val, or others with --seed."),
    Remedy("I2 T13", _always, "Take {penalties}."),
    Remedy("I6", _not_normed, "Take --batch-norm."),
    Remedy("I10", _always, "Start from {usual}."),
    Remedy("T1", lambda v, s: v.values["adam"] > 0, "Take --optimizer adam --lr 1e-3, which learns them."),
    Remedy("T1", _always, "Not even Adam 1e-3 learns them: take a larger --model; do equal rows have different answers?"),
    Remedy("T8", lambda v, s: "suggested" in v.values and _rated(v, s), "Take --lr {suggested}."),
    Remedy("T3", lambda v, s: v.values["factor"] != 1 and _rated(v, s), "Take --lr {rate}."),
    Remedy("T4", _always, "Take --activation leaky_relu."),
    Remedy("T5", _not_normed, "Take --batch-norm, --activation relu, or a lower rate, such as --lr {lower}."),
    Remedy("T5", _rated, "Take --activation relu, or a lower rate, such as --lr {lower}."),
    Remedy("T6", _raw, "Take --standardize."),
    Remedy("T6", _not_normed, "Take --batch-norm, --activation relu, or a --model of fewer layers."),
    Remedy("T6", _always, "Take --activation relu, or a --model of fewer layers."),
    Remedy("T7", _rated, "Take --clip-norm {clip}, the 90th percentile, and --schedule cosine:warmup=3."),
    Remedy("T9", _always, "Take --clip-norm {clip}, the 90th percentile of the norms."),
    Remedy("T10", lambda v, s: not v.values["cut"] and _rated(v, s), "Take a higher rate, such as --lr {higher}."),
    Remedy("T11", lambda v, s: s.batch_norm, "Take a larger --batch-size, or --no-batch-norm."),
    Remedy("T12", lambda v, s: v.severity == "fail" and _rated(v, s), "Take a lower rate, such as --lr {lower}."),
    Remedy("T12", _always, "Try other rates (nnx lr-find) or a larger --model; do the inputs tell anything of the target?"),
    Remedy("R1", _always, "Stop there with --early-stopping 5, or regularise: --dropout 0.5, --l2 1e-4, more data."),
    Remedy("R3", lambda v, s: v.values["best"] > s.epochs / 2, "Train longer, as it still improves: --epochs {longer}."),
    Remedy("R3", _rated, "Stop there with --early-stopping 5, or take a lower rate, such as --lr {lower}."),
    Remedy("R3", _always, "Stop there with --early-stopping 5."),
)  # fmt: skip

USUAL = {
    "dropout": "--dropout 0.2",
    "rows": "--batch-size 32",
    "adam_rate": "--lr 3e-3",
    "rate": "--optimizer adam --lr 3e-3",
    "sgd_step": "--standardize",
    "late": "--schedule cosine",
}
"""For what I10 finds, one that is usual; what stands inside ``--optimizer`` is in ``INSIDE``."""
INSIDE = {"eps": "1e-8", "momentum": "0.9", "weight_decay": "0.01"}


def in_flags(report: Report, settings: Settings) -> Report:
    """The report with remedies that the command line can follow."""
    return replace(report, verdicts=tuple(replace(v, remedy=remedy(v, settings)) for v in report.verdicts))


def remedy(verdict: Verdict, settings: Settings) -> str:
    """What to do about a verdict.

    >>> remedy(Verdict("T8", "search", "", "warn", "", values={"suggested": 0.0033}), Settings())
    'Take --lr 0.0033.'
    """
    for ids, when, sentence in REMEDIES if verdict.bad else ():
        if verdict.id in ids.split() and when(verdict, settings):
            return sentence.format_map(_words(verdict, settings))
    return verdict.remedy


def _words(v: Verdict, s: Settings) -> dict[str, str]:
    figures = {name: number(value) for name, value in v.values.items()}
    column = v.where.partition(", ")[2]  # such as: column 3 (town=north)
    named = column.partition("(")[2].removesuffix(")").partition("=")[0]
    optimizer = s.optimizer
    for name in INSIDE.keys() & v.values.keys():
        optimizer = re.sub(rf"\b{name}\s*=[^,]*", f"{name}={INSIDE[name]}", optimizer)
    usual = [flags for name, flags in USUAL.items() if name in v.values]
    usual += [f"--optimizer {optimizer}"] * (optimizer != s.optimizer)
    less = v.values.get("factor", 10.0)
    penalties = [f"--{name} {value / less:.1g}" for name, value in (("l2", s.l2), ("l1", s.l1)) if value]
    return figures | {
        "column": column.capitalize(), "drop": as_flags(f"drop=[{named!r}]"), "usual": ", ".join(usual),
        "penalties": " ".join(penalties), "rate": number(float(f"{s.lr * less:.1g}")),
        "lower": number(float(f"{s.lr / 10:.1g}")), "higher": number(float(f"{s.lr * 10:.1g}")),
        "longer": str(2 * s.epochs),
    }  # fmt: skip
