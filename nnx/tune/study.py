"""A search as it is kept: its plan, and one ticket for every trial, laid out when the search begins.

A ticket is a waiting trial. Workers take tickets; none is taken twice, none is made up. So the number of trials is
exact with any number of workers, and a ticket whose worker was killed is put back as it was: same number, same values.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nnx.errors import ConfigError, NnxError
from nnx.random import key
from nnx.tune import pruner, sampler, storage
from nnx.tune.extra import optuna
from nnx.tune.ranges import Box
from nnx.tune.space import Space
from nnx.tune.stages import Point, boxes, stage_of

FIRST = "first"
READY = 60.0
"""Seconds to wait for another process that is laying the same search out."""


@dataclass(frozen=True)
class Plan:
    """All that a worker must know: it is kept in the storage, as JSON."""

    space: Mapping[str, Any]
    kinds: Mapping[str, str]
    monitor: str
    trials: int
    sampler: str = "random"
    stages: int = 1
    pruner: str | None = None
    seed: int = 0
    jobs: int = 1
    first: Mapping[str, Any] | None = None
    program: Any = None

    @property
    def maximise(self) -> bool:
        """Whether more is better."""
        return self.monitor.rpartition("val_")[2] in ("accuracy", "r2")

    def check(self) -> "Plan":
        """``ConfigError`` for what cannot be."""
        for name in ("trials", "stages", "jobs"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(
                    expected=f"{name} a whole number ≥ 1",
                    got=repr(value),
                    where=name,
                    fix=f"Write for example {name}=2.",
                )
        key(self.seed, "tune")  # or ConfigError
        if not isinstance(self.monitor, str):
            raise ConfigError(
                expected="the name of a value of an epoch",
                got=repr(self.monitor),
                where="monitor",
                fix='Write for example monitor="val_loss".',
            )
        if self.first is not None and not isinstance(self.first, Mapping):
            raise ConfigError(
                expected="values by name", got=repr(self.first), where="first", fix='Write for example {"lr": 0.01}.'
            )
        if self.stages > self.trials:
            raise ConfigError(
                expected="a trial or more for each stage",
                got=f"{self.trials} trials in {self.stages} stages",
                where="trials",
                fix="Give more trials.",
            )
        sampler.check_sampler(self.sampler, self.stages)
        pruner.parse(self.pruner)
        self.make_space()
        return self

    def make_space(self) -> Space:
        """The space, from its table."""
        kinds = {"int": int, "float": float}
        return Space(self.space, {name: kinds[kind] for name, kind in self.kinds.items() if kind in kinds})


class Study:
    """A search in a storage, as every worker of it sees it."""

    def __init__(self, url: str | None, store: Any, study: Any, plan: Plan) -> None:
        self.url, self.storage, self.optuna, self.plan = url, store, study, plan
        self.name, self.space = str(study.study_name), plan.make_space()
        self.id = store.get_study_id_from_name(study.study_name)
        self._boxes: dict[int, dict[str, Box]] = {}

    def trials(self) -> list[Any]:
        """All of them, in the order of their tickets."""
        found = self.optuna.get_trials(deepcopy=False)
        return sorted((t for t in found if "ticket" in t.user_attrs), key=lambda t: t.number)

    def id_of(self, trial: Any) -> int:
        """What the storage calls a trial."""
        return int(self.storage.get_trial_id_from_study_id_trial_number(self.id, trial.number))

    def boxes(self, stage: int) -> Mapping[str, Box]:
        """Where the trials of a stage are drawn."""
        if stage not in self._boxes:
            state, sign = optuna().trial.TrialState, -1.0 if self.plan.maximise else 1.0
            points = [
                Point(t.user_attrs["stage"], sign * t.value, t.params)
                for t in self.trials()
                if t.state == state.COMPLETE and t.params
            ]
            self._boxes[stage] = boxes(self.space, stage, points)
        return self._boxes[stage]

    def extend(self, trials: int) -> None:
        """Lay out further tickets; those that are there stay."""
        if trials <= self.plan.trials:
            return
        last = self.plan.stages - 1
        _lay_out(self.optuna, [(ticket, last) for ticket in range(self.plan.trials, trials)])
        self.plan = Plan(**{**asdict(self.plan), "trials": trials})
        self.optuna.set_user_attr("plan", asdict(self.plan))


def _lay_out(study: Any, tickets: list[tuple[Any, int]]) -> None:
    library = optuna()
    waiting = library.trial.TrialState.WAITING
    for ticket, stage in tickets:
        study.add_trial(library.create_trial(state=waiting, user_attrs={"ticket": ticket, "stage": stage}))


def create(url: str | None, store: Any, name: str, plan: Plan) -> Study:
    """A new search; ``optuna.exceptions.DuplicatedStudyError`` if there is one of this name."""
    plan.check()
    study = optuna().create_study(storage=store, study_name=name, direction="maximize" if plan.maximise else "minimize")
    tickets: list[tuple[Any, int]] = [] if plan.first is None else [(FIRST, 0)]
    tickets += [(ticket, stage_of(ticket, plan.trials, plan.stages)) for ticket in range(plan.trials)]
    try:
        study.set_user_attr("plan", asdict(plan))
        _lay_out(study, tickets)
        study.set_user_attr("ready", True)
    except BaseException:  # ^C: a half of it could be neither continued nor begun again
        optuna().delete_study(study_name=name, storage=store)
        raise
    return Study(url, store, study, plan)


def join(url: str | None, store: Any, name: str) -> Study:
    """A search that is there already: its plan is read from the storage.

    Errors: ``ConfigError`` if there is none of this name, or if it was never laid out to its end.
    """
    known = storage.names(store)
    if name not in known:
        raise ConfigError(
            expected=f"a search: {', '.join(known[:8]) or 'there is none'}",
            got=repr(name),
            where="study",
            fix="Start it first with nnx tune, or correct the name.",
        )
    study = optuna().load_study(study_name=name, storage=store)
    until = time.monotonic() + READY
    while not (attrs := study.user_attrs).get("ready"):
        if time.monotonic() > until or ("plan" not in attrs and study.trials):
            raise ConfigError(
                "the search was never laid out to its end, or is not one of nnx",
                where=f"study {name}",
                fix="Start it anew under another name.",
            )
        time.sleep(0.1)
    kept = attrs["plan"]
    known_fields = {f.name for f in fields(Plan)}
    if set(kept) - known_fields:
        raise NnxError("the search was begun by a newer nnx", where=f"study {name}", fix="Install that version here.")
    return Study(url, store, study, Plan(**kept))


def open_or_create(url: str | None, store: Any, name: str, plan: Plan) -> Study:
    """The search of this name with this plan, whether it is there or not; more trials than it had are added.

    Errors: ``ConfigError`` if there is one with another plan.
    """
    try:
        return create(url, store, name, plan)
    except optuna().exceptions.DuplicatedStudyError:
        found = join(url, store, name)
    different = compare(found.plan, plan)
    if different:
        what, there, here = different
        raise ConfigError(
            expected=f"the {what} of the search that is there: {there}",
            got=here,
            where=f"study {name}",
            fix="Leave the settings away to continue it, or choose another directory or --study for a new one.",
        )
    found.extend(plan.trials)
    return found


def compare(there: Plan, here: Plan) -> tuple[str, str, str] | None:
    """The first difference that makes them two searches: its name, and what either has."""
    for f in fields(Plan):
        a, b = _plain(getattr(there, f.name)), _plain(getattr(here, f.name))
        if f.name in ("trials", "jobs") or a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            key = next(key for key in [*a, *b] if a.get(key) != b.get(key))
            return f"{f.name} {key}", repr(a.get(key)), repr(b.get(key))
        return f.name, repr(a), repr(b)
    return None


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
