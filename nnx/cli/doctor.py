"""``nnx doctor``: why a network does not learn, and what to do."""

import json as json_format
from pathlib import Path
from textwrap import wrap
from typing import Any

from nnx import backends
from nnx.cli import build, config, runs, threads
from nnx.cli.config import Settings
from nnx.cli.remedies import in_flags
from nnx.doctor.door import doctor as examine
from nnx.doctor.during import CHECKS, T12_EPOCHS, Whole
from nnx.doctor.report import WIDTH, Report, with_causes
from nnx.errors import NnxError
from nnx.optim import LBFGS

FAILED = 3
CHECK = "check  "
"""What stands before each line of ``checked``."""


def doctor(source: str | None = None, /, *, config_file: str | None = None, check: str = "full", **flags: Any) -> int:
    """Say why a network does not learn, and what to do.

    SOURCE is data to train on, with the flags of nnx train, or the directory of a run: then its settings are taken, and how
    its training went is judged too. The data and the model at its start are looked at, and copies are trained for a few
    seconds; --check quick leaves these trainings out. The exit code is 3 if a check fails.

    Examples:

    nnx doctor digits

    nnx doctor houses.csv --target price --lr 0.1

    nnx doctor runs/digits-001 --check quick
    """
    directory = Path(source) if source is not None and (Path(source) / runs.CONFIG).is_file() else None
    settings = _settings(source, directory, config_file, flags)
    try:
        parts = build.data(settings)
    except NnxError as error:
        if error.expected and directory is None and source not in (None, "digits") and not Path(source).is_file():
            error.expected = f"the directory of a run, or {error.expected}"
        raise
    report = look(settings, parts, check)
    if directory is not None:
        whole = Whole(runs.history(directory), settings.epochs, keeps_best=settings.early_stopping is not None)
        found = [row.verdict(row.run(whole, row)) for row in (*CHECKS, T12_EPOCHS)]
        judged = {v.id: v for v in report} | {v.id: v for v in found if v.bad or v.id != T12_EPOCHS.id}
        verdicts = with_causes(list(judged.values()))
        report = Report(verdicts, f"{directory}: {report.subject}", report.stopped, report.seconds)
        report = in_flags(report, settings)
    print(json_format.dumps(report.to_dict()) if settings.json else report)
    return FAILED if report.failed else 0


def look(settings: Settings, parts: build.Parts, check: str) -> Report:
    """Examine the model that these settings build, as it would begin."""
    model = build.model(settings, parts.whole).initialize(settings.seed)
    backend = backends.get(settings.backend)
    optimizer = build.optimizer(settings, len(parts.train))
    stepwise = None if isinstance(optimizer, LBFGS) else optimizer  # which is for whole sets: Adam stands in for it
    with threads.suited(backend, model, settings.batch_size):
        report = examine(
            model, parts.train, parts.val, test=parts.test,
            loss=build.loss(settings, parts.whole), optimizer=stepwise,
            epochs=settings.epochs, batch_size=settings.batch_size, backend=backend, seed=settings.seed, check=check,
        )  # fmt: skip
    return in_flags(report, settings)


def checked(settings: Settings, parts: build.Parts) -> tuple[list[dict[str, Any]], list[str]]:
    """What ``nnx train --check`` finds before a training: verdicts that are not passes, and a line for each root of them."""
    if settings.check == "off":
        return [], []
    report = look(settings, parts, settings.check)
    said = [verdict.to_dict() for verdict in report.bad]
    lines = [f"{v.severity} {v.id} at {v.where}: {v.measured}. {v.remedy}" for v in report.roots]
    lines = [
        part
        for line in lines
        for part in wrap(line, WIDTH - len(CHECK), subsequent_indent="  ", break_on_hyphens=False)
    ]
    return said, [*lines, "nnx doctor with the same flags tells more"] if lines else []


def _settings(source: str | None, directory: Path | None, config_file: str | None, flags: dict[str, Any]) -> Settings:
    if directory is None:
        return config.merged(flags if source is None else {"source": source, **flags}, config_file)
    return config.merged(flags, config_file or str(directory / runs.CONFIG))
