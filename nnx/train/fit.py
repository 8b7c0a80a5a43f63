"""fit: the loop."""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from nnx import losses, optim
from nnx.data import Dataset
from nnx.errors import DivergedError
from nnx.layers import Module
from nnx.train import checks
from nnx.train.callbacks import Callback, MetricsFile, OnEpoch
from nnx.train.evaluation import METRIC, default_loss, evaluate
from nnx.train.full_batch import FullBatch
from nnx.train.interrupt import interruptible
from nnx.train.mini_batches import MiniBatches
from nnx.train.plateau import Plateau
from nnx.train.problem import Problem
from nnx.train.run import MODEL, Run
from nnx.train.saving import save
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
    finish: optim.LBFGS | None = None,
    finish_epochs: int = 20,
    backend: Any = None,
    seed: int = 0,
    callbacks: Iterable[Any] = (),
    directory: str | os.PathLike[str] | None = None,
    compile: bool | None = None,
) -> Run:
    """Train a model: this is the loop that one would write by hand, with the same bits.

    Parameters that have no values are drawn with ``seed``; preparation layers at the front that are not fitted are fitted
    on ``train``. ``loss`` is by default cross-entropy for classes and the squared error for real targets, ``optimizer``
    is ``Adam(1e-3)``, ``backend`` is where the model is. After every epoch a record is appended to ``run.history``,
    ``val`` is evaluated, and callbacks (objects, functions ``f(run, record)``, or an ``nnx.optim.ReduceOnPlateau``) are told; one
    that returns true ends the training. With ``directory``, metrics.jsonl is written as it goes and model.safetensors at the
    end. ^C or SIGTERM ends the training after the step at hand, with everything kept and the reason in ``run.stopped``; a
    second one leaves at once. ``compile``: whether steps are recorded and replayed, several times faster for a small network and
    with the same bits (on JAX compiled, within a few roundings); by default where model and loss are nnx's own. Then what
    they compute in Python is fixed by the recording (see ``nnx.train.stepper``).

    With ``optimizer=nnx.optim.LBFGS()`` an epoch is one iteration over all of ``train``, gathered ``batch_size`` rows at a time,
    without dropout and with fixed batch-norm statistics (see ``nnx.train.full_batch``). ``finish=nnx.optim.LBFGS()`` lets it take
    over after ``epochs``, for up to ``finish_epochs`` more, numbered on; calling ``fit`` again on the same model does so too. It
    ends early, and ``run.stopped`` says why, when it has converged or finds no step downhill.

    Errors: ``ConfigError``, ``DataError`` or ``ShapeError`` before the first step when settings, data and model do not fit
    together; ``DivergedError`` when the loss of an epoch is no longer a number: the model then has, and the directory
    keeps, the weights of the epoch before.
    """
    checks.check_settings(epochs, batch_size, train, val, optimizer, finish, finish_epochs)
    checks.prepare(model, train, seed)
    if backend is not None:
        model.to(backend)
    loss = loss or default_loss(train.task)
    problem = Problem(model, train, losses.get(loss), batch_size, seed, compile)
    checks.check_outputs(model, train)
    metric, place = METRIC[train.task or "regression"], Path(directory) if directory else None
    with problem.device.use():
        phases = [(_way(problem, optimizer or optim.Adam(1e-3)), epochs)]
        phases += [(_way(problem, finish), finish_epochs)] if finish else []
        run = Run(model, train.task, sum(n for _, n in phases), 1, metric, validated=val is not None, directory=place)
        phases[0][0].begin(run)
    watching = _callbacks(callbacks, run.directory)
    for callback in watching:
        callback.on_start(run)

    def told() -> None:
        for callback in watching:
            callback.on_step(run)

    good = model.state()
    with problem.device.use(), interruptible() as wish:
        try:
            for epoch, way in enumerate(_epochs(phases, run)):
                started = time.perf_counter()
                values = way.epoch(run, epoch, told, wish.meet)
                seconds = time.perf_counter() - started
                record = {"epoch": epoch + 1, "step": run.step, **values, **_validation(model, val, loss)}
                record |= {"learning_rate": run.learning_rate, "examples_per_second": way.seen() / seconds}
                run.history.append(record | {"seconds": seconds})
                endings = [callback.on_epoch(run, run.history[-1]) for callback in watching]
                if not math.isfinite(record["loss"]):
                    run.stopped = "diverged"
                    model.load(good)
                    break
                if any(endings):
                    run.stopped = "a callback ended it"
                if run.stopped:
                    break
                good = model.state()
                wish.meet()
        except KeyboardInterrupt:
            if wish.insisted:
                raise
            run.stopped = wish.word
        for callback in watching:
            callback.on_end(run)
        if run.directory:
            save(model, run.directory / MODEL, notes=_notes(train, loss))
    if run.stopped == "diverged":
        raise _diverged(run, way.remedy)
    return run


Way = MiniBatches | FullBatch
"""How an epoch goes: ``begin(run)``, ``epoch(run, number, told, meet)``, ``seen()``."""


def _way(problem: Problem, optimizer: Any) -> Way:
    if isinstance(optimizer, optim.LBFGS):
        return FullBatch(problem, optimizer)
    checks.check_batches(problem.model, problem.train, problem.batch_size)
    return MiniBatches(problem, optimizer)


def _epochs(phases: list[tuple[Way, int]], run: Run) -> Iterator[Way]:
    """How each epoch goes. The first phase has begun already; a later one begins when its first epoch does."""
    for number, (way, epochs) in enumerate(phases):
        if number:
            way.begin(run)
        for _ in range(epochs):
            yield way


def _callbacks(given: Iterable[Any], directory: Path | None) -> list[Callback]:
    watching = [_callback(callback) for callback in given]
    if directory:
        checks.claim(directory)
        watching.insert(0, MetricsFile(directory))
    return watching


def _callback(given: Any) -> Callback:
    if isinstance(given, optim.ReduceOnPlateau):
        return Plateau(given)
    return given if isinstance(given, Callback) else OnEpoch(given)


def _validation(model: Module, val: Dataset | None, loss: Any) -> dict[str, float]:
    return {f"val_{name}": value for name, value in evaluate(model, val, loss=loss).items()} if val else {}


def _notes(train: Dataset, loss: Any) -> dict[str, Any]:
    """What a model file says of the data it was trained on: how to encode others, and how it was judged."""
    return {"schema": train.schema.to_dict(), "rows": len(train), "loss": loss if isinstance(loss, str) else None}


def _diverged(run: Run, remedy: str) -> DivergedError:
    last = run.history[-1]
    kept = f"The weights of epoch {last['epoch'] - 1} are kept. " if len(run.history) > 1 else ""
    return DivergedError(
        expected="a finite loss",
        got=f"{last['loss']} in epoch {last['epoch']}",
        where="fit",
        fix=f"{kept}{remedy}",
    )
