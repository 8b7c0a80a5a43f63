"""Trainings in which something stops being a finite number at a step that is known: what ``tests/trust`` and ``benchmarks/trust`` both do."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import nnx
from nnx import optim
from nnx.errors import DivergedError
from nnx.layers.training import current_pass
from nnx.train import Callback
from nnx.train.files.checkpoint import read_checkpoint
from nnx.train.training import Training
from nnx.train.trouble.watch import Watch

EPOCHS, ROWS, BATCH = 3, 100, 16
STEPS = 7  # of an epoch


class Stop(Exception):  # noqa: N818  it is no error
    """The training ends here."""


class StopAt(Callback):
    """Keeps the state at the end of a step, as a checkpoint would, and ends the training."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, run: Any) -> None:
        if run.step == self.step:
            raise Stop


class Poison(Callback):
    """Puts a number that is none among the weights after a step."""

    def __init__(self, step: int, path: str = "layers.3.weight") -> None:
        self.step, self.path = step, path

    def on_step(self, run: Any) -> None:
        if run.step == self.step:
            weights = run.model.parameters()
            run.model.load(weights | {self.path: weights[self.path] * float("nan")})


class SetRate(Callback):
    """Sets another learning rate after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, run: Any) -> None:
        if run.step == self.step:
            run.set_rate(0.3)


class Damage(Callback):
    """Writes into the data after a step, as another process may into a file that is mapped."""

    def __init__(self, step: int, x: Any) -> None:
        self.step, self.x = step, x

    def on_step(self, run: Any) -> None:
        if run.step == self.step:
            self.x[17, 2] = np.nan


class Emits(nnx.Module):
    """Gives infinity in one step of training, counted from 1, or always."""

    def __init__(self, at: int | None) -> None:
        self.at = at

    def forward(self, x: Any) -> Any:
        this = current_pass()
        return x / 0.0 if self.at is None or (this is not None and this.step == self.at - 1) else x


class Impure(nnx.Module):
    """Gives infinity in one call, and not again when it is asked again."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, count(1)

    def forward(self, x: Any) -> Any:
        return x / 0.0 if current_pass() is not None and next(self.calls) == self.at else x


class Steep(nnx.Module):
    """√0 from a step on: its value is finite, its derivative is not."""

    def __init__(self, at: int) -> None:
        self.at = at

    def forward(self, x: Any) -> Any:
        this, xp = current_pass(), nnx.namespace(x)
        return x + xp.sqrt(xp.abs(x) * 0.0) if this is not None and this.step >= self.at - 1 else x


class Case(NamedTuple):
    """How it comes about, and what is to be told of it."""

    kind: str
    where: str
    step: int
    words: tuple[str, ...]
    model: Callable[[], Any]
    callbacks: Callable[..., list[Any]] = list
    optimizer: Callable[[], Any] = lambda: optim.Adam(0.02)
    loss: Any = None


def network() -> nnx.Sequential:
    """With batch norm and dropout, so that buffers and draws count."""
    return nnx.Sequential(nnx.Linear(6, 8), nnx.BatchNorm(8), nnx.Dropout(0.2), nnx.Linear(8, 3))


def linear(inputs: int = 6) -> nnx.Sequential:
    """Two layers and a rectifier."""
    return nnx.Sequential(nnx.Linear(inputs, 8), nnx.ReLU(), nnx.Linear(8, 3))


def with_layer(layer: Any) -> nnx.Sequential:
    """One of one's own between others."""
    return nnx.Sequential(nnx.Linear(6, 8), nnx.BatchNorm(8), layer, nnx.Dropout(0.2), nnx.Linear(8, 3))


def dividing(at: int) -> Callable[..., Any]:
    """A loss of one's own that divides by zero in one step, counted from 1."""

    def divides(outputs: Any, y: Any) -> Any:
        this = current_pass()
        value = nnx.losses.cross_entropy(outputs, y)
        return value / 0.0 if this is not None and this.step == at - 1 else value

    return divides


def row_met(step: int) -> int:
    """The first step from this one on, counted from 1, that takes row 17."""
    order = [rows for epoch in range(EPOCHS) for rows in nnx.data.batches(ROWS, BATCH, seed=0, epoch=epoch)]
    return next(number for number, rows in enumerate(order, start=1) if number >= step and 17 in rows)


def at(step: int) -> dict[str, Case]:
    """What can be made to happen in a step, counted from 1: a later one for data, where the row comes in its turn."""
    return {
        "weights, by a callback": Case(
            "outside", "layers.3.weight", step, (f"after step {step - 1}", "look at the callbacks"), network,
            lambda x: [Poison(step - 1)],
        ),
        "a layer of one's own": Case(
            "layer", "layers.2 (Emits)", step, ("inf in ", "Emits.forward"), lambda: with_layer(Emits(step))
        ),
        "a gradient": Case(
            "gradient", "layers.1.beta", step, ("its gradient, though the loss is finite", "sqrt"), lambda: with_layer(Steep(step))
        ),
        "a loss of one's own": Case("loss", "loss divides", step, ("inf of finite outputs",), network, loss=dividing(step)),
        "data": Case(
            "data", "train.x", row_met(step), ("nan in row 17, at 2", "writes into"), network, lambda x: [Damage(step - 1, x)]
        ),
    }  # fmt: skip


CASES: dict[str, Case] = {
    **at(12),
    "learning rate": Case(
        "layer", "layers.2 (Linear)", 0, ("Lower the learning rate by 10 (it is 1e+06)",), linear, optimizer=lambda: optim.SGD(1e6)
    ),
    "update": Case(
        "update", "layers.0.weight", 1, ("after the update", "Lower the learning rate"), linear, optimizer=lambda: optim.SGD(1e300)
    ),
}  # fmt: skip


def data() -> Any:
    """Rows that can be written into."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 6)).astype(np.float32)
    return nnx.data.load((x, (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)))


def _fit(case: Case, backend: Any, directory: Path, more: list[Any]) -> Any:
    train = data()
    callbacks = case.callbacks(train.x) if case.callbacks is not list else []
    with np.errstate(all="ignore"):
        return nnx.fit(
            case.model().initialize(0), train, loss=case.loss, optimizer=case.optimizer(), epochs=EPOCHS, batch_size=BATCH,
            backend=backend, callbacks=[*callbacks, *more], directory=directory,
        )  # fmt: skip


def diverged(case: Case, backend: Any, directory: Path) -> DivergedError:
    """The error that the case ends with."""
    try:
        _fit(case, backend, directory, [])
    except DivergedError as error:
        return error
    raise AssertionError("it did not diverge")


def wrong(case: Case, backend: Any, place: Path) -> str:
    """What is not as promised: named with its step, batch and epoch, the state before it saved, bit for bit. Empty if all is."""
    error = diverged(case, backend, place / "whole")
    about, step = error.report, error.report["step"]
    if (about["kind"], about["where"], step) != (case.kind, case.where, case.step or step):
        return f"another cause: {error}"
    if (about["epoch"], about["batch"]) != (1 + (step - 1) // STEPS, 1 + (step - 1) % STEPS):
        return f"another batch: {error}"
    if about != json.loads((place / "whole" / "diverged.json").read_text()):
        return "another diverged.json"
    if lacking := [word for word in (case.where, *case.words) if word not in str(error)]:
        return f"{lacking} not in {error}"
    saved = read_checkpoint(place / "whole" / about["checkpoint"])
    weights, arrays = state_at(case, backend, place / "cut", step - 1)
    for kept, right in ((saved.weights, weights), (saved.arrays, arrays)):
        if {path: array.tobytes() for path, array in kept.items()} != {path: a.tobytes() for path, a in right.items()}:
            return "another state before it"
    if saved.step != step - 1 or not all(np.isfinite(array).all() for array in saved.weights.values()):
        return "a state that is not that before it"
    return ""


def cost(rounds: int) -> tuple[float, float]:
    """Seconds that looking takes in a tiny step (64-64-64-10, batches of 32) on NumPy, and those of the step with all that is around it."""
    rng, steps = np.random.default_rng(0), 256
    x = rng.normal(size=(32 * steps, 64)).astype(np.float32)
    train = nnx.data.load((x, rng.integers(0, 10, size=len(x))), task="classification")
    model = nnx.Sequential(nnx.Linear(64, 64), nnx.ReLU(), nnx.Linear(64, 64), nnx.ReLU(), nnx.Linear(64, 10))
    held: list[Any] = []
    passed = Watch.passed

    def hold(self: Watch, loss: Any) -> None:
        held[:] = [self, loss]
        passed(self, loss)

    Watch.passed = hold  # type: ignore[method-assign]
    try:
        run = nnx.fit(model, train, epochs=1, batch_size=32, optimizer=optim.SGD(0.01))
    finally:
        Watch.passed = passed  # type: ignore[method-assign]
    watch, loss = held
    rows = np.arange(32)
    looking = stepping = np.inf
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(10 * steps):
            watch.before()
            watch.passed(loss)
            run.step += 1
        looking = min(looking, (time.perf_counter() - started) / (10 * steps))
        started = time.perf_counter()
        for _ in range(steps):
            watch.way.take(run, rows)
        stepping = min(stepping, (time.perf_counter() - started) / steps)
    return looking, stepping


def state_at(case: Case, backend: Any, directory: Path, step: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights and other arrays that a checkpoint holds of a run that stopped after so many steps, before a callback was told of the last;
    where an epoch has ended then, before the next begins, unless it is what a callback does in between that is looked for.
    """
    found: list[Any] = []
    told, enter = Training._told, Watch.enter

    def stop(training: Training) -> None:
        found.append(training.checkpoint())
        raise Stop

    def at_told(self: Training) -> None:
        if self.run.step == step and (step % STEPS or case.kind == "outside"):
            stop(self)
        told(self)

    def at_enter(self: Watch, run: Any, epoch: int, *, touching: bool) -> None:
        if run.step == step and not step % STEPS:
            stop(began[0])
        enter(self, run, epoch, touching=touching)

    began: list[Training] = []
    begin = Training.begin

    def at_begin(self: Training) -> None:
        began.append(self)
        begin(self)

    replaced = ((Training, "_told", at_told), (Watch, "enter", at_enter), (Training, "begin", at_begin))
    usual = [getattr(kind, name) for kind, name, _ in replaced]
    for kind, name, function in replaced:
        setattr(kind, name, function)
    try:
        with suppress(Stop):
            _fit(case, backend, directory, [])
    finally:
        for (kind, name, _), function in zip(replaced, usual, strict=True):
            setattr(kind, name, function)
    return found[0].weights, found[0].arrays
