"""``nnx summary``: what a run is, layer by layer, and how it went."""

import json
from pathlib import Path
from typing import Any

from nnx.cli import display
from nnx.cli.saved import Saved, open_run
from nnx.errors import DataError
from nnx.train.run import METRICS


def summary(run: str, /) -> int:
    """The data, the layers and the course of a run.

    RUN is a run directory or a model file.

    Examples:

    nnx summary runs/digits-001
    """
    saved = open_run(run, "numpy")
    lines = [f"run       {run}", f"data      {_data(saved)}"]
    if saved.directory is not None:
        lines += _course(saved, history(saved.directory / METRICS))
    lines += ["", str(saved.model.summary((1, *saved.schema.shape)))]
    print("\n".join(lines))
    return 0


def _data(saved: Saved) -> str:
    schema = saved.schema
    features = " × ".join(map(str, schema.shape))
    source = f"{saved.settings.source}: " if saved.settings is not None else ""
    if schema.task == "regression":
        return f"{source}{features} features, target {schema.target_name or 'unnamed'}"
    names = schema.classes or ()
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"{source}{features} features, {len(names)} classes: {shown}"


def _course(saved: Saved, records: list[dict[str, Any]]) -> list[str]:
    lines = []
    if saved.settings is not None:
        s = saved.settings
        lines.append(
            f"training  {s.model}, {s.optimizer} at {s.lr:g}, {s.schedule}, batches of {s.batch_size}, seed {s.seed}"
        )
    if not records:
        return lines
    last = records[-1]
    shown = [
        f"{display.spoken(name)} {display.number(last[name])}"
        for name in last
        if name in SHOWN and last[name] is not None
    ]
    return [*lines, f"ended     after epoch {last['epoch']}: {', '.join(shown)}"]


SHOWN = ("loss", "val_loss", "val_accuracy", "val_r2")


def history(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl; a last line cut short by a crash is left out. No file is no records."""
    if not path.exists():
        return []
    records: list[dict[str, Any]] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict) or "epoch" not in record:
                raise ValueError("no record of an epoch")
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            raise DataError(
                f"a damaged line ({error})", where=f"{path}, line {number}", fix="Restore the file."
            ) from None
        records.append(record)
    return records
