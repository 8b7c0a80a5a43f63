"""``nnx predict``: what a trained model makes of data."""

import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nnx import ops
from nnx.cli.display import counted
from nnx.cli.saved import Saved, open_run
from nnx.errors import ConfigError, DataError
from nnx.layers import Sequential, Softmax
from nnx.train import predict as predict_outputs
from nnx.train.files.weights import write_whole


def predict(
    run: str,
    data: str,
    /,
    *,
    out: str | None = None,
    backend: str = "numpy",
    batch_size: int = 1024,
    force: bool = False,
) -> int:
    """Predictions as CSV: the row (from 0), the predicted class and the probability of each; or the predicted values.

    RUN is a run directory or a model file. The target may be absent from DATA. Without -o the CSV goes to standard output.

    Examples:

    nnx predict runs/iris-001 new.csv -o predictions.csv

    nnx predict runs/digits-001 digits --backend torch | head
    """
    path = None if out in (None, "-") else Path(str(out))
    if path is not None:
        _free(path, force)
    saved = open_run(run, backend)
    rows = saved.data(data, targets=False)
    text = table(saved, predict_outputs(saved.model, rows, batch_size=batch_size))
    if path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return 0
    _write(path, text, force)
    print(f"{counted(len(rows), 'prediction')} in {path}")
    return 0


def table(saved: Saved, outputs: Any) -> str:
    """The outputs (N, k) as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if saved.schema.task == "regression":
        name, k = saved.schema.target_name or "target", outputs.shape[1]
        writer.writerow(["row", *([name] if k == 1 else [f"{name}_{i}" for i in range(k)])])
        writer.writerows([row, *map(str, values)] for row, values in enumerate(outputs))
        return text.getvalue()
    classes = saved.schema.classes or tuple(str(i) for i in range(outputs.shape[1]))
    if len(classes) != outputs.shape[1]:
        raise DataError(
            expected=f"{len(classes)} outputs, one for each class",
            got=str(outputs.shape[1]),
            where="model",
            fix="nnx.predict in Python gives them as they are.",
        )
    writer.writerow(["row", "prediction", *(f"p_{name}" for name in classes)])
    for row, chances in enumerate(_probabilities(saved, outputs)):
        writer.writerow([row, classes[int(chances.argmax())], *(f"{p:.6g}" for p in chances)])
    return text.getvalue()


def _probabilities(saved: Saved, outputs: Any) -> Any:
    model = saved.model
    if isinstance(model, Sequential) and isinstance(model.layers[-1], Softmax):
        return outputs
    return ops.softmax(np.asarray(outputs, dtype=np.float64))


def _free(path: Path, force: bool) -> None:
    if path.is_dir():
        raise ConfigError(
            expected="the name of a file",
            got=f"the directory {path}",
            where="-o",
            fix=f"Write -o {path / 'predictions.csv'}.",
        )
    if path.exists() and not force:
        raise ConfigError(
            expected="a new file",
            got=f"{path}, which exists",
            where="-o",
            fix="Take another name, or overwrite it with --force.",
        )


def _write(path: Path, text: str, force: bool) -> None:
    claimed = False
    try:
        if not force:
            open(path, "x").close()  # of two at once, one gets the name
            claimed = True
        write_whole(path, text.encode())
    except FileExistsError:
        _free(path, force)
        raise
    except OSError as error:
        if claimed:
            path.unlink(missing_ok=True)
        raise ConfigError(
            f"the file cannot be written ({error.strerror or error})",
            where=f"-o {path}",
            fix="Check its place and permissions.",
        ) from None
