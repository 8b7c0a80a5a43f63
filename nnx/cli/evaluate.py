"""``nnx evaluate``: how good a trained model is on data."""

from nnx.cli import display
from nnx.cli.saved import Saved, open_run, same_source
from nnx.data import Dataset
from nnx.errors import ConfigError, DataError
from nnx.train import evaluate as evaluate_model
from nnx.train.record import as_json


def evaluate(
    run: str, data: str | None = None, /, *, backend: str = "numpy", batch_size: int = 1024, json: bool = False
) -> int:
    """Loss and metric of a trained model on data with targets.

    RUN is a run directory or a model file. Without DATA it is the rows of its own data that the run held out.

    Examples:

    nnx evaluate runs/digits-001

    nnx evaluate runs/iris-001 more.csv --backend torch
    """
    saved = open_run(run, backend)
    rows, what, note = (*_held_out(saved), "") if data is None else _given(saved, data)
    values = evaluate_model(saved.model, rows, loss=saved.loss, batch_size=batch_size)
    if json:
        print(as_json({"data": what, "rows": len(rows), "backend": backend, **values, "note": note or None}))
        return 0
    print(f"data      {what}: {display.counted(len(rows), 'row')}, on {backend}")
    for name, value in values.items():
        print(f"{display.spoken(name):<9} {display.number(value)}")
    if note:
        print(f"note      {note}")
    return 0


def _held_out(saved: Saved) -> tuple[Dataset, str]:
    """The test rows of the run's own data, or the validation rows where there are no test rows."""
    parts = saved.parts()
    part, name = (parts.test, "test") if parts.test else (parts.val, "validation")
    if part is None:
        raise ConfigError("the run held no rows out", where="DATA", fix="Name the data: nnx evaluate RUN DATA.")
    assert saved.settings is not None  # or there were no parts
    return part, f"the {name} rows of {parts.whole.name} (seed {saved.settings.seed})"


def _given(saved: Saved, source: str) -> tuple[Dataset, str, str]:
    data = saved.data(source)
    if data.y is None:
        column = (
            f", column {saved.schema.target_name!r}" if saved.schema.encoding and saved.schema.encoding.header else ""
        )
        raise DataError(
            f"there are no targets to compare with{column}",
            where=source,
            fix="Add them, or take nnx predict, which needs none.",
        )
    note = "these include the rows it was trained on; nnx evaluate RUN alone takes the rows held out"
    return data, data.name, note if same_source(saved.settings, source) else ""
