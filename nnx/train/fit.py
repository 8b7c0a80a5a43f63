"""fit: the loop."""

import math
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nnx import backends, losses, metrics, optim
from nnx.data import Dataset, batch_count, batches
from nnx.errors import DivergedError
from nnx.layers import Module
from nnx.train import checks
from nnx.train.callbacks import Callback, MetricsFile, OnEpoch
from nnx.train.evaluation import METRIC, backend_of, default_loss, dtype_of, evaluate, targets
from nnx.train.interrupt import interruptible
from nnx.train.run import MODEL, Run
from nnx.train.saving import save
from nnx.train.step import train_step
from nnx.typing import Array


def fit(
    model: Module,
    train: Dataset,
    val: Dataset | None = None,
    *,
    loss: str | Callable[..., Array] | None = None,
    optimizer: Any = None,
    epochs: int = 20,
    batch_size: int = 64,
    backend: Any = None,
    seed: int = 0,
    callbacks: Iterable[Any] = (),
    directory: str | os.PathLike[str] | None = None,
) -> Run:
    """Train a model: this is the loop that one would write by hand, with the same bits.

    Parameters that have no values are drawn with ``seed``; preparation layers at the front that are not fitted are fitted
    on ``train``. ``loss`` is by default cross-entropy for classes and the squared error for real targets, ``optimizer``
    is ``Adam(1e-3)``, ``backend`` is where the model is. After every epoch a record is appended to ``run.history``,
    ``val`` is evaluated, and callbacks (objects or functions ``f(run, record)``) are told; one that returns true ends the
    training. With ``directory``, metrics.jsonl is written as it goes and model.safetensors at the end. ^C or
    SIGTERM ends the training after the step at hand, with everything kept and the reason in ``run.stopped``; a second one
    leaves at once.

    Errors: ``ConfigError``, ``DataError`` or ``ShapeError`` before the first step when settings, data and model do not fit
    together; ``DivergedError`` when the loss of an epoch is no longer a number: the model then has, and the directory
    keeps, the weights of the epoch before.
    """
    checks.check_settings(epochs, batch_size, train, val, optimizer)
    checks.prepare(model, train, seed)
    if backend is not None:
        model.to(backend)
    device, dtype = backend_of(model), dtype_of(model)
    loss = loss or default_loss(train.task)
    loss_of = losses.get(loss)
    checks.check_fit(model, train, batch_size)
    steps = batch_count(len(train), batch_size)
    optimizer = (optimizer or optim.Adam(1e-3)).with_steps_per_epoch(steps)
    metric, place = METRIC[train.task or "regression"], Path(directory) if directory else None
    run = Run(model, train.task, epochs, steps, metric, validated=val is not None, directory=place)
    with device.use():
        run.state = optimizer.init(model.parameters())
    told = _callbacks(callbacks, run.directory)
    for callback in told:
        callback.on_start(run)
    good = model.state()
    with device.use(), interruptible() as wish:
        try:
            for epoch in range(epochs):
                started, average = time.perf_counter(), _Average(train.task, device)
                for rows in batches(len(train), batch_size, seed=seed, epoch=epoch):
                    x, y = device.asarray(train.x[rows, ...], dtype=dtype), targets(train, rows, device, dtype)
                    step = train_step(model, loss_of, optimizer, run.state, x, y, seed, run.step)
                    run.state, run.step = step.state, run.step + 1
                    average.add(step.loss, step.outputs, y)
                    for callback in told:
                        callback.on_step(run)
                    wish.meet()
                values, seconds = average.values(), time.perf_counter() - started
                record = {"epoch": epoch + 1, "step": run.step, **values, **_validation(model, val, loss)}
                record |= {"learning_rate": optimizer.rate(run.state), "examples_per_second": len(train) / seconds}
                run.history.append(record | {"seconds": seconds})
                endings = [callback.on_epoch(run, run.history[-1]) for callback in told]
                if not math.isfinite(record["loss"]):
                    run.stopped = "diverged"
                    model.load(good)
                    break
                if any(endings):
                    run.stopped = "a callback ended it"
                    break
                good = model.state()
                wish.meet()
        except KeyboardInterrupt:
            if wish.insisted:
                raise
            run.stopped = wish.word
        for callback in told:
            callback.on_end(run)
        if run.directory:
            save(model, run.directory / MODEL, notes=_notes(train, loss))
    if run.stopped == "diverged":
        raise _diverged(run)
    return run


def _callbacks(given: Iterable[Any], directory: Path | None) -> list[Callback]:
    told = [callback if isinstance(callback, Callback) else OnEpoch(callback) for callback in given]
    if directory:
        checks.claim(directory)
        told.insert(0, MetricsFile(directory))
    return told


def _validation(model: Module, val: Dataset | None, loss: Any) -> dict[str, float]:
    return {f"val_{name}": value for name, value in evaluate(model, val, loss=loss).items()} if val else {}


def _notes(train: Dataset, loss: Any) -> dict[str, Any]:
    """What a model file says of the data it was trained on: how to encode others, and how it was judged."""
    return {"schema": train.schema.to_dict(), "rows": len(train), "loss": loss if isinstance(loss, str) else None}


def _diverged(run: Run) -> DivergedError:
    last = run.history[-1]
    kept = f"The weights of epoch {last['epoch'] - 1} are kept. " if len(run.history) > 1 else ""
    return DivergedError(
        expected="a finite loss",
        got=f"{last['loss']} in epoch {last['epoch']}",
        where="fit",
        fix=f"{kept}Lower the learning rate by 10, clip the gradients, or look for bad values in the data.",
    )


class _Average:
    """Means over an epoch, kept on the device and pulled once."""

    def __init__(self, task: str | None, device: backends.Backend) -> None:
        self.classes, self.device = task == "classification", device
        self.rows, self.sums = 0, [0.0, 0.0]

    def add(self, loss: Array, outputs: Array, y: Array) -> None:
        n = int(outputs.shape[0])
        quality = metrics.accuracy(outputs, y) if self.classes else metrics.mae(outputs, y)
        self.rows += n
        self.sums = [self.sums[0] + loss * n, self.sums[1] + quality * n]

    def values(self) -> dict[str, float]:
        loss, quality = (float(self.device.to_numpy(total)) / self.rows for total in self.sums)
        return {"loss": loss, "accuracy" if self.classes else "mae": quality}
