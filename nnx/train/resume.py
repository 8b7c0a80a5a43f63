"""resume: a training that was cut goes on where its last checkpoint is, with the same bits as if nothing had been."""

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from nnx import backends, optim
from nnx.data import Dataset
from nnx.errors import DataError, NnxError
from nnx.layers import Module
from nnx.train import checks
from nnx.train.callbacks.checkpoints import Checkpoints, say
from nnx.train.course import course_of
from nnx.train.files.checkpoint import CHECKPOINTS, Checkpoint, newest
from nnx.train.files.fingerprint import differences, fingerprint
from nnx.train.files.identity import check_same
from nnx.train.files.lock import locked
from nnx.train.files.plain import placed
from nnx.train.files.saving import build
from nnx.train.fit import watchers
from nnx.train.kept import take_up
from nnx.train.run import Run
from nnx.train.sharing.group import ALONE
from nnx.train.sharing.joining import join, launched
from nnx.train.sharing.shards import check_sharing
from nnx.train.training import Training
from nnx.typing import Array

_DAMAGED = "It was edited, or another version wrote it: remove it, and the one before is used."


def restored_model(found: Checkpoint, model: Module | None, backend: Any) -> Module:
    """The model of a checkpoint, or the one given, with its arrays and frozen parts, on the backend where it was or another.

    Errors: ``StateError`` if the arrays do not fit the model, or if it is of a class of one's own and not given.
    """
    built = build(found.state["model"], found.name) if model is None else model
    if not isinstance(built, Module):
        raise DataError(expected="the description of a model", got=repr(built)[:60], where=found.name)
    there = backends.get(found.state["fingerprint"]["backend"] if backend is None else backend)
    if model is not None:
        built.to(there)
    built.load({path: placed(np.array(array), there) for path, array in found.weights.items()})
    modules = dict(built.modules())
    for path, names in found.state["frozen"].items():
        modules[path].__dict__["_frozen"] = frozenset(names)
    return built


def resume(
    directory: str | os.PathLike[str],
    train: Dataset,
    val: Dataset | None = None,
    *,
    model: Module | None = None,
    loss: Callable[..., Array] | None = None,
    optimizer: Any = None,
    finish: optim.LBFGS | None = None,
    backend: Any = None,
    callbacks: Iterable[Any] = (),
    checkpoint_every: int | str | None = None,
    tell: Callable[[str], None] = say,
) -> Run:
    """Go on with the training of ``directory`` from its last whole checkpoint, to where it would have ended.

    ``train`` and ``val`` are the same data as before, ``callbacks`` the same with the same settings: what they remember
    is given back to them. Model, optimizer, seed and the rest stand in the checkpoint; what is not nnx's own (a model
    or an optimizer of one's own class, a loss function) is given again. An ``optimizer`` that is given takes the place
    and the state of the one in the checkpoint: so a training goes on with another learning rate or schedule, which
    stands in the checkpoints from then on.

    The weights at the end have the same bits as those of a training that was never cut, on the same backend, BLAS and
    number of threads; where one of these has changed ``tell`` says so, and the results agree to roundings. A training
    with shards may go on in another number of processes. A damaged checkpoint is told in one line, and the one before
    it is used. A training that had ended ends again.

    Errors: ``DataError`` without a whole checkpoint and for other data; ``ConfigError`` when somebody trains there, or
    for what is missing; ``DivergedError`` as from ``fit``.
    """
    place = Path(directory)
    if not (place / CHECKPOINTS).is_dir():
        raise DataError(
            expected=f"a run with {CHECKPOINTS}",
            got="none",
            where=str(place),
            fix="Train with checkpoint_every=; a training that ended within a minute has no need of them.",
        )
    group = join() if launched() else ALONE
    with ExitStack() as held:
        with group.together():
            if group.first:
                held.enter_context(locked(place))
            found, damaged = newest(place / CHECKPOINTS, tell if group.first else lambda line: None)
            try:
                check_same(train, found.state["data"]["train"], "train")
                check_same(val, found.state["data"]["val"], "val")
                course = course_of(found.state["course"], loss=loss, optimizer=optimizer, finish=finish)
                checks.check_settings(
                    course.epochs, course.batch_size, train, val, course.optimizer, course.finish, course.finish_epochs
                )
                check_sharing(course.shards, group, course.batch_size)
                restored = restored_model(found, model, backend)
                given = list(callbacks)
                if checkpoint_every is None and not any(isinstance(one, Checkpoints) for one in given):
                    checkpoint_every = found.state["every"]
                watching = watchers(given, place, checkpoint_every) if group.first else []
                training = Training(restored, train, val, course, watching, place if group.first else None, group)
                if group.first and (changed := differences(found.state["fingerprint"], fingerprint(training.device))):
                    tell(f"this is not where it began, so it goes on within roundings: {'; '.join(changed)}")
                take_up(training, found)
            except NnxError as error:
                error.where = error.where or str(place / CHECKPOINTS / found.name)
                error.fix = error.fix or _DAMAGED
                raise
            except (TypeError, AttributeError, LookupError, ValueError, ArithmeticError, RecursionError) as error:
                raise DataError(
                    expected="a checkpoint of nnx",
                    got=f"{type(error).__name__}: {error}"[:200],
                    where=str(place / CHECKPOINTS / found.name),
                    fix=_DAMAGED,
                ) from error
            if training.keeper:
                training.keeper.forget(damaged)
        training.check_alike()
        return training.go()
