"""fit: the one call that trains a model."""

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nnx import optim
from nnx.data import Dataset
from nnx.errors import ConfigError
from nnx.layers import Module
from nnx.train import checks
from nnx.train.callbacks.base import Callback, MetricsFile, OnEpoch
from nnx.train.callbacks.checkpoints import Checkpoints
from nnx.train.callbacks.plateau import Plateau
from nnx.train.course import Course
from nnx.train.files.lock import locked
from nnx.train.given import check_model
from nnx.train.objective import default_loss
from nnx.train.run import Run
from nnx.train.sharing.group import ALONE, Group
from nnx.train.sharing.joining import join
from nnx.train.sharing.shards import check_shards
from nnx.train.training import Training
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
    checkpoint_every: int | str | None = None,
    compile: bool | None = None,
    shards: int | None = None,
) -> Run:
    """Train a model: this is the loop that one would write by hand, with the same bits.

    Parameters that have no values are drawn with ``seed``; preparation layers at the front that are not fitted are
    fitted on ``train``, and ``nnx.Unstandardize`` at the end on its targets: then mse, l1 and huber are those of
    standardised targets (``nnx.train.objective``). ``loss`` is by default cross-entropy for classes and the squared
    error for real targets, ``optimizer`` is ``Adam(1e-3)``, ``backend`` is where the model is. After every epoch a
    record is appended to ``run.history``, ``val`` is evaluated, and callbacks (objects, functions ``f(run, record)``,
    or an ``nnx.optim.ReduceOnPlateau``) are told; one that returns true ends the training. With ``directory``,
    metrics.jsonl is written as it goes and model.safetensors at the end. ^C or SIGTERM ends the training after the step
    at hand, with everything kept and the reason in ``run.stopped``; a second one leaves at once. ``compile``: whether
    steps are recorded and replayed, several times faster for a small network and with the same bits (on JAX compiled,
    within a few roundings); by default where model and loss are nnx's own. Then what they compute in Python is fixed by
    the recording (see ``nnx.train.stepper``).

    With ``directory`` there are checkpoints, from which ``nnx.resume(directory, train, val)`` goes on with the same
    bits: one after ^C or SIGTERM, one a minute, or one every ``checkpoint_every`` steps (or "epoch");
    ``nnx.train.Checkpoints`` among the callbacks says more.

    With ``optimizer=nnx.optim.LBFGS()`` an epoch is one iteration over all of ``train``, gathered ``batch_size`` rows
    at a time, without dropout and with fixed batch-norm statistics (see ``nnx.train.full_batch``).
    ``finish=nnx.optim.LBFGS()`` lets it take over after ``epochs``, for up to ``finish_epochs`` more, numbered on;
    calling ``fit`` again on the same model does so too. It ends early, and ``run.stopped`` says why, when it has
    converged or finds no step downhill.

    With ``shards=8`` each batch is summed in eight parts, in a fixed order, and ``mpiexec -n 4 python mine.py`` shares
    them among four processes: 1, 2, 4 or 8 end with the same bits. Every process calls ``fit`` with the same arguments;
    callbacks run in the first alone, which alone writes; all get the same run. See docs/distributed.md.

    Errors: ``ConfigError``, ``DataError`` or ``ShapeError`` before the first step when settings, data and model do not
    fit together; ``DivergedError`` at the first step whose data, loss, gradient or weights are not finite: it says
    which, in what layer and batch. The model then has, and the directory keeps, the weights of the epoch before, and a
    checkpoint the state before that step. ``OutOfMemoryError`` says what a step needs, what is free, and what
    ``batch_size`` fits.
    """
    check_model(model, "fit")
    checks.check_settings(epochs, batch_size, train, val, optimizer, finish, finish_epochs)
    checks.check_loss(loss or default_loss(train.task), train.task)
    checks.check_seed(seed)
    checks.check_callbacks(callbacks)
    group = sharing(shards, batch_size)
    checks.prepare(model, train, seed)
    if backend is not None:
        model.to(backend)
    course = Course(
        loss or default_loss(train.task), optimizer or optim.Adam(1e-3), int(epochs), int(batch_size), finish, int(finish_epochs),
        seed, compile, shards or 0,
    )  # fmt: skip
    place = Path(checks.checked_directory(directory)) if directory and group.first else None
    with ExitStack() as held:
        with group.together():
            held.enter_context(locked(place))
            watching = watchers(callbacks, place, checkpoint_every) if group.first else []
            checks.check_outputs(model, train)
            training = Training(model, train, val, course, watching, place, group)
            if place:
                checks.claim(place)
        training.begin()
        return training.go()


def sharing(shards: int | None, batch_size: int) -> Group:
    """Who shares the shards of a batch: this process alone, or with those that ``mpiexec`` has started.

    Errors: ``ConfigError`` where shards, processes and batches do not go together; ``BackendUnavailable`` without MPI.
    """
    if shards is None:
        return ALONE
    group = join()
    check_shards(shards, group, batch_size)
    return group


def watchers(given: Iterable[Any], directory: Path | None, checkpoint_every: int | str | None) -> list[Callback]:
    """What is told of the training: what was given, before it the file of metrics, after it what writes checkpoints.

    Errors: ``ConfigError`` for checkpoints without a directory, or asked for twice.
    """
    watching = [_callback(callback) for callback in given]
    asked = sum(isinstance(callback, Checkpoints) for callback in watching) + (checkpoint_every is not None)
    if asked > 1:
        raise ConfigError(
            expected="checkpoints asked for once",
            got=f"{asked} times",
            where="fit",
            fix="Leave checkpoint_every= away.",
        )
    if asked and directory is None:
        raise ConfigError(
            expected="a place for checkpoints", got="no directory", where="fit", fix='Pass directory="runs/mine".'
        )
    if directory is None:
        return watching
    return [
        MetricsFile(directory),
        *watching,
        *([] if asked and checkpoint_every is None else [Checkpoints(checkpoint_every)]),
    ]


def _callback(given: Any) -> Callback:
    if isinstance(given, optim.ReduceOnPlateau):
        return Plateau(given)
    return given if isinstance(given, Callback) else OnEpoch(given)
