"""A worker: takes a ticket, trains, tells; puts back what another worker, now dead, had taken."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from nnx.errors import ConfigError, NnxError
from nnx.train import Run
from nnx.tune.extra import optuna, quiet
from nnx.tune.sampler import sampler
from nnx.tune.storage import redacted
from nnx.tune.study import FIRST, Study
from nnx.tune.trial import Trial, result_of

Train = Callable[[Trial], Any]
POLL = 0.3
"""Seconds between two looks at what other workers do."""

ENDED = ("interrupted", "terminated")


def me() -> str:
    """Who this worker is: host and process.

    >>> me().rpartition(":")[2] == str(os.getpid())
    True
    """
    return f"{socket.gethostname()}:{os.getpid()}"


def work(study: Study, train: Train, told: Callable[[], None], go_on: Callable[[], bool]) -> str:
    """Trials, until there are no more: then "" is returned, or why it ended before.

    With nothing left to take it waits for those that others still run: one may have to be put back.
    """
    try:
        return _work(study, train, told, go_on)
    except optuna().exceptions.StorageInternalError as error:
        raise NnxError(
            f"the database no longer answers ({type(error.__cause__).__name__})",
            where=redacted(study.url or "memory"),
            fix="What was done is in it. Run this again to continue.",
        ) from error


def _work(study: Study, train: Train, told: Callable[[], None], go_on: Callable[[], bool]) -> str:
    with quiet():
        while go_on():
            put_back_stale(study)
            trial = take(study)
            if trial is not None:
                stopped = run(study, trial, train)
                told()
                if stopped:
                    return stopped
            elif all(t.state.is_finished() for t in study.trials()):
                return ""
            else:
                time.sleep(POLL)
                told()
    return "its parent is gone"


def put_back_stale(study: Study) -> None:
    """Trials whose worker has given no sign of life for three heartbeats wait again, with their values."""
    stale = getattr(study.storage, "_get_stale_trial_ids", None)  # Optuna has no public way to ask without failing them
    for trial_id in stale(study.id) if stale else ():
        put_back(study, trial_id)


def put_back(study: Study, trial_id: int) -> None:
    """One trial waits again; if it has ended meanwhile, that stands."""
    library = optuna()
    with suppress(library.exceptions.UpdateFinishedTrialError):
        study.storage.set_trial_state_values(trial_id, state=library.trial.TrialState.WAITING)


def put_back_of(study: Study, worker: str) -> int:
    """All trials that a worker known to be dead was running; how many."""
    running = optuna().trial.TrialState.RUNNING
    mine = [t for t in study.trials() if t.state == running and t.user_attrs.get("worker") == worker]
    for trial in mine:
        put_back(study, study.id_of(trial))
    return len(mine)


def take(study: Study) -> Any:
    """The first waiting trial whose stage has begun, now ours; None if there is none."""
    library = optuna()
    state = library.trial.TrialState
    trials = study.trials()
    open_stage = min((t.user_attrs["stage"] for t in trials if not t.state.is_finished()), default=0)
    for found in trials:
        if found.state != state.WAITING or found.user_attrs["stage"] > open_stage:
            continue
        trial_id = study.id_of(found)
        # The sign of life comes first: else another worker sees a running trial whose last sign is that of its dead one.
        _beat(study, trial_id)
        try:
            if study.storage.set_trial_state_values(trial_id, state=state.RUNNING):
                return found
        except library.exceptions.UpdateFinishedTrialError:
            continue
    return None


def _beat(study: Study, trial_id: int) -> None:
    if hasattr(study.storage, "record_heartbeat"):
        study.storage.record_heartbeat(trial_id)


@contextmanager
def heartbeats(study: Study, trial_id: int) -> Iterator[None]:
    """Within, the trial gives signs of life from a thread of its own."""
    if not hasattr(study.storage, "record_heartbeat"):
        yield
        return
    ended = threading.Event()
    every = study.storage.get_heartbeat_interval()

    def beat() -> None:
        while not ended.wait(every):
            with suppress(optuna().exceptions.StorageInternalError):  # the next one may come through
                _beat(study, trial_id)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def run(study: Study, found: Any, train: Train) -> str:
    """One trial from its values to its end; why the worker should stop, if it should."""
    library = optuna()
    state = library.trial.TrialState
    trial_id, started = study.id_of(found), time.monotonic()

    def note(name: str, value: Any) -> None:
        study.storage.set_trial_user_attr(trial_id, name, value)

    try:
        note("worker", me())
        params = values(study, found, trial_id)
        trial = Trial(study, found, trial_id, params)
        note("params", trial.params)
        with heartbeats(study, trial_id):
            answer = train(trial)
        if isinstance(answer, Run) and answer.stopped in ENDED:
            put_back(study, trial_id)
            return answer.stopped
        score, known = result_of(answer, study.plan.monitor)
        if isinstance(answer, Run) and not trial.report.curve:
            for record in answer.history:
                trial.report.on_epoch(answer, record)
        note("result", {**known, "seconds": time.monotonic() - started})
        if score != score:
            raise NnxError("the score is not a number")
        _end(study, trial_id, state.PRUNED if trial.report.pruned else state.COMPLETE, score)
    except KeyboardInterrupt:
        put_back(study, trial_id)
        return "interrupted"
    except library.exceptions.UpdateFinishedTrialError:
        return ""  # it was put back while this worker slept, and another has ended it: with the same numbers
    except library.exceptions.StorageInternalError:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, NnxError) else f"{type(error).__name__}: {error}"
        note("result", {"reason": reason, "seconds": time.monotonic() - started})
        _end(study, trial_id, state.FAIL, None)
    return ""


def _end(study: Study, trial_id: int, state: Any, score: float | None) -> None:
    study.storage.set_trial_state_values(trial_id, state=state, values=None if score is None else [score])


def values(study: Study, found: Any, trial_id: int) -> dict[str, Any]:
    """The values of a trial, drawn and kept in the storage; those of one that was put back are there already."""
    plan, ticket = study.plan, found.user_attrs["ticket"]
    if ticket == FIRST:
        return dict(plan.first or {})
    study.optuna.sampler = sampler(plan.sampler, plan.seed, ticket, study.space, study.boxes, plan.jobs)
    asked = optuna().Trial(study.optuna, trial_id)
    return study.space.values(lambda part: part.suggest(asked))


def check_train(train: Any) -> None:
    """``ConfigError`` unless it can be called."""
    if not callable(train):
        raise ConfigError(
            expected="a function of a trial",
            got=type(train).__name__,
            where="train",
            fix="Write def train(trial): … return nnx.fit(…, callbacks=trial.callbacks).",
        )
