"""``nnx summary``: what a run is, layer by layer, how it went, and what memory training it takes."""

from dataclasses import replace
from typing import Any

from nnx.cli import display, runs
from nnx.cli.config import Settings
from nnx.cli.saved import Saved, open_run
from nnx.cli.train import features
from nnx.errors import ConfigError
from nnx.optim import parse_lbfgs, parse_optimizer
from nnx.train import Footprint, footprint
from nnx.train.objective import default_loss
from nnx.train.record import Record


def summary(run: str, /, *, backend: str = "numpy", batch_size: int | None = None, optimizer: str | None = None) -> int:
    """The data, the layers and the course of a run, and the memory that training it takes.

    RUN is a run directory or a model file. Batch size and optimizer are those of the run unless others are given, so
    that one sees what they would take before training; the data and what the library keeps for itself are not counted.

    Examples:

    nnx summary runs/digits-001

    nnx summary runs/digits-001 --batch-size 4096 --optimizer sgd

    nnx summary runs/digits-001 --backend cupy
    """
    if batch_size is not None and batch_size < 1:
        raise ConfigError(
            expected="a whole number ≥ 1", got=str(batch_size), where="--batch-size", fix="Write --batch-size 64."
        )
    given = {"batch_size": batch_size, "optimizer": optimizer}
    given = {name: value for name, value in given.items() if value is not None}
    saved = open_run(run, backend)
    lines = [f"run       {run}", f"data      {_data(saved)}"]
    if saved.directory is not None:
        lines += _course(saved, runs.history(saved.directory))
    lines += ["", str(saved.model.summary((1, *saved.schema.shape))), "", str(_memory(saved, given))]
    print("\n".join(lines))
    return 0


def _memory(saved: Saved, given: dict[str, Any]) -> Footprint:
    used = replace(saved.settings or Settings(), **given)
    taken = parse_lbfgs(used.optimizer) if _is_lbfgs(used) else parse_optimizer(used.optimizer, used.lr)
    loss = saved.loss or default_loss(saved.schema.task)
    return footprint(saved.model, (used.batch_size, *saved.schema.shape), optimizer=taken, loss=loss)


def _is_lbfgs(settings: Settings) -> bool:
    return settings.optimizer.partition(":")[0].strip() == "lbfgs"


def _data(saved: Saved) -> str:
    schema = saved.schema
    source = f"{saved.settings.source}: " if saved.settings is not None else ""
    if schema.task == "regression":
        return f"{source}{features(schema.shape)}, target {schema.target_name or 'unnamed'}"
    names = schema.classes or ()
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"{source}{features(schema.shape)}, {len(names)} classes: {shown}"


def _course(saved: Saved, records: list[Record]) -> list[str]:
    lines = []
    if saved.settings is not None:
        s = saved.settings
        steps = ", all rows in a step" if _is_lbfgs(s) else f" at {s.lr:g}, {s.schedule}, batches of {s.batch_size}"
        lines.append(f"training  {s.model}, {s.optimizer}{steps}, seed {s.seed}")
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
