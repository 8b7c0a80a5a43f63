"""Trainings that are cut, disks that fail and files that are damaged: what ``tests/trust`` and ``benchmarks/trust`` both do."""

import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import nnx
from nnx import optim
from nnx.errors import DataError
from nnx.train import Callback, Checkpoints, EarlyStopping
from nnx.train.files.checkpoint import CHECKPOINTS, Checkpoint, newest, read_checkpoint, write_checkpoint

EPOCHS, ROWS, BATCH = 5, 40, 16
STEPS = EPOCHS * 3  # batches of 16, 16 and 8


# trainings that are cut -----------------------------------------------------------------------------------------------
class Cut(Exception):  # noqa: N818  it is no error
    """The training dies here."""


class CutAt(Callback):
    """Ends a training as a crash would: between two steps, with nothing saved."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, run: Any) -> None:
        if run.step == self.step:
            raise Cut


class SlowDown(Callback):
    """A rate set by hand in the middle of an epoch, as ``nnx.train.Babysit`` does."""

    def on_step(self, run: Any) -> None:
        if run.step == 5:
            run.set_rate(0.003)


class Case(NamedTuple):
    """One training: its optimizer (perhaps with another to finish), its model, and what watches it."""

    optimizer: Any
    model: str = "plain"
    callbacks: Callable[[], list[Any]] = list
    finish: Any = None
    epochs: int = EPOCHS


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": optim.SGD,
    "nesterov": lambda rate: optim.SGD(rate, momentum=0.9, nesterov=True),
    "sgdw": lambda rate: optim.SGDW(rate, momentum=0.9, weight_decay=0.01),
    "adagrad": optim.Adagrad,
    "rmsprop": optim.RMSprop,
    "adam": optim.Adam,
    "amsgrad": lambda rate: optim.Adam(rate, amsgrad=True),
    "adamw": optim.AdamW,
    "chain": lambda rate: optim.chain(
        optim.penalize(l2=1e-3), optim.clip_by_global_norm(0.5), optim.SGD(rate, momentum=0.9)
    ),
    "constrained": lambda rate: optim.Constrained(optim.Adam(rate), max_norm=1.0),
}
SCHEDULES: dict[str, Any] = {
    "constant": 0.02,
    "step": optim.StepDecay(0.05, every=2, factor=0.5),
    "cosine": optim.CosineDecay(0.05, length=EPOCHS),
    "exponential": optim.ExponentialDecay(0.05, rate=0.1, per="step"),
    "warm-up": optim.Warmup(optim.CosineDecay(0.05, length=4), length=1),
    "one cycle": optim.OneCycle(0.05, length=STEPS, per="step"),
}
WATCHERS: dict[str, Callable[[], list[Any]]] = {
    "nobody": list,
    "early stopping": lambda: [EarlyStopping(1, min_delta=0.2)],
    "plateau": lambda: [optim.ReduceOnPlateau(factor=0.5, patience=0, threshold=0.3)],
    "rate by hand": lambda: [SlowDown()],
}
MODELS = ("plain", "batch norm", "dropout", "both")


def chosen_cases() -> dict[str, Case]:
    """Every optimizer, schedule, watcher and model at least once, and L-BFGS alone and after Adam."""
    cycles = zip(OPTIMIZERS, itertools.cycle(SCHEDULES), itertools.cycle(WATCHERS), itertools.cycle(reversed(MODELS)))
    found = {" · ".join(names): case_of(*names) for names in cycles}
    found["lbfgs"] = Case(optim.LBFGS(history=3), "both", epochs=8)
    found["adam, then lbfgs"] = Case(
        optim.Adam(0.02), "both", WATCHERS["plateau"], optim.LBFGS(history=2, penalties=(optim.penalize(l2=1e-2),))
    )
    return found


def all_cases() -> dict[str, Case]:
    """Every optimizer with every schedule, watcher and model."""
    names = itertools.product(OPTIMIZERS, SCHEDULES, WATCHERS, MODELS)
    return {" · ".join(one): case_of(*one) for one in names} | chosen_cases()


def case_of(optimizer: str, schedule: str, watcher: str, model: str) -> Case:
    return Case(OPTIMIZERS[optimizer](SCHEDULES[schedule]), model, WATCHERS[watcher])


def data() -> tuple[Any, Any]:
    """Rows to train on and to validate on."""
    rng = np.random.default_rng(3)
    y = np.arange(ROWS + 20) % 3
    x = rng.normal(size=(len(y), 5)).astype(np.float32) + 0.8 * y[:, None].astype(np.float32)
    whole = nnx.data.load((x, y))
    return whole.take(np.arange(ROWS)), whole.take(np.arange(ROWS, ROWS + 20))


def network(kind: str) -> nnx.Sequential:
    """A small network that draws and adapts, or not, as it trains."""
    inner = [nnx.BatchNorm(6)] if kind in ("batch norm", "both") else []
    outer = [nnx.Dropout(0.4)] if kind in ("dropout", "both") else []
    return nnx.Sequential(nnx.Standardize(5), nnx.Linear(5, 6), *inner, nnx.Tanh(), *outer, nnx.Linear(6, 3))


def sha(model: Any) -> str:
    """The SHA-256 of all arrays of a model."""
    digest = hashlib.sha256()
    for path, array in model.state().items():
        digest.update(path.encode() + np.ascontiguousarray(nnx.backends.of(array).to_numpy(array)).tobytes())
    return digest.hexdigest()


def history(run: Any) -> list[dict[str, Any]]:
    """What was measured, without how long it took."""
    return [{k: v for k, v in one.items() if k not in ("seconds", "examples_per_second")} for one in run.history]


def trained(case: Case, backend: Any, callbacks: list[Any] = [], **settings: Any) -> Any:  # noqa: B006 (read only)
    train, val = data()
    return nnx.fit(
        network(case.model), train, val, optimizer=case.optimizer, epochs=case.epochs, batch_size=BATCH, finish=case.finish,
        finish_epochs=4, seed=7, backend=backend, callbacks=[*case.callbacks(), *callbacks], **settings,
    )  # fmt: skip


def cut_and_resumed(case: Case, step: int, every: int, place: Path, backend: Any, **settings: Any) -> Any:
    """The run after a crash at ``step``, with a checkpoint every ``every`` steps."""
    with suppress(Cut):
        trained(case, backend, [CutAt(step)], directory=place, checkpoint_every=every, **settings)
    return nnx.resume(place, *data(), callbacks=case.callbacks(), tell=lambda line: None)


# disks that fail ------------------------------------------------------------------------------------------------------
CALLS = ("open", "write", "fsync", "close", "mkdir", "rename", "stat", "statvfs", "unlink", "rmdir", "scandir")
FAULTS = ("ENOSPC", "EIO", "killed", "killed half-way")


def a_checkpoint(step: int) -> Checkpoint:
    """A small one whose content tells its step."""
    weights = {"w": np.full((3, 2), step, dtype=np.float32)}
    arrays = {f"m.{i}": np.full(4, step + i, dtype=np.float64) for i in range(2)}
    return Checkpoint(step, step, 1.0 / (step + 1), weights, arrays, {"step": step})


def same(a: Checkpoint, b: Checkpoint) -> bool:
    """Whether two hold the same."""

    def equal(x: Any, y: Any) -> bool:
        return x.keys() == y.keys() and all(np.array_equal(x[name], y[name]) for name in x)

    return equal(a.weights, b.weights) and equal(a.arrays, b.arrays) and (a.state, a.score) == (b.state, b.score)


@contextmanager
def failing(at: int, fault: str) -> Iterator[list[str]]:
    """Within, the ``at``-th call of the file system fails; gives the names of the calls so far. −1: none fails."""
    calls: list[str] = []
    real = {name: getattr(os, name) for name in CALLS}
    quick = {**real, "fsync": lambda descriptor: None}  # nobody pulls the plug, and a disk takes its time

    def wrapped(name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            if len(calls) - 1 == at:
                if fault == "killed half-way" and name == "write":
                    real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
                if fault.startswith("killed"):
                    os._exit(9)
                if name == "close":
                    real["close"](*args)  # the system gives the number back even so
                number = getattr(errno, fault)
                raise OSError(number, os.strerror(number))
            return quick[name](*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, wrapped(name))
    try:
        yield calls
    finally:
        for name, function in real.items():
            setattr(os, name, function)


class Told(list[str]):
    """Gathers the lines that were told."""

    def __call__(self, line: str) -> None:
        self.append(line)


def keeper_at(directory: Path) -> tuple[Checkpoints, Told]:
    """What writes checkpoints into a directory, as a training would have it."""
    told = Told()
    keeper = Checkpoints(every=1, tell=told)
    keeper.on_start(nnx.train.Run(None, None, 1, 1, "loss", directory=directory))  # type: ignore[arg-type]
    return keeper, told


def saves(directory: Path, step: int, at: int = -1, fault: str = "EIO") -> tuple[bool, list[str]]:
    """Save one checkpoint while the disk fails; whether that was said to be done, and the calls it took."""
    keeper, _ = keeper_at(directory)
    with failing(at, fault) as calls:
        done = keeper.save(lambda: a_checkpoint(step))
    return done, calls


def survived(place: Path, at: int, fault: str) -> str:
    """What went wrong when the ``at``-th call of a save failed, after two that went well; empty if all was as promised."""
    shutil.rmtree(place, ignore_errors=True)
    for step in (1, 2):
        saves(place, step)
    if fault.startswith("killed"):
        child = os.fork()
        if child == 0:
            saves(place, 3, at, fault)
            os._exit(0)
        os.waitpid(child, 0)
        claimed = False
    else:
        claimed, _ = saves(place, 3, at, fault)
    told = Told()
    found, damaged = newest(place / CHECKPOINTS, told)
    if damaged or told:
        return f"a damaged checkpoint was left: {told}"
    if found.step < (3 if claimed else 2) or not same(found, a_checkpoint(found.step)):
        return f"step {found.step} is the newest"
    done, _ = saves(place, 4)
    found, _ = newest(place / CHECKPOINTS, told)
    if not done or not same(found, a_checkpoint(4)):
        return "the next save failed"
    left = [entry.name for entry in (place / CHECKPOINTS).iterdir() if not entry.name.startswith("step-")]
    return f"left behind: {left}" if [name for name in left if "gone" not in name] else ""


# files that are damaged -----------------------------------------------------------------------------------------------
def pair_of_checkpoints(place: Path) -> Path:
    """Two checkpoints below ``place``; the newer one."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    write_checkpoint(place, a_checkpoint(1))
    return write_checkpoint(place, a_checkpoint(2))


def noticed(path: Path) -> bool:
    """Whether a damaged checkpoint is refused."""
    try:
        read_checkpoint(path)
    except DataError:
        return True
    return False


def cuts(path: Path, stride: int = 1) -> tuple[int, int]:
    """How many times a file of the checkpoint was cut short, and how many of those were noticed."""
    done = seen = 0
    for file in sorted(path.iterdir()):
        whole = file.read_bytes()
        for length in sorted({*range(0, len(whole), stride), len(whole) - 1}):
            file.write_bytes(whole[:length])
            done, seen = done + 1, seen + noticed(path)
        file.write_bytes(whole + b"\0")
        done, seen = done + 1, seen + noticed(path)
        file.write_bytes(whole)
    return done, seen


def flips(path: Path, stride: int = 1, bits: tuple[int, ...] = (0, 5, 7)) -> tuple[int, int]:
    """The same with bits turned in bytes of every file."""
    done = seen = 0
    for file in sorted(path.iterdir()):
        whole = bytearray(file.read_bytes())
        for place, bit in itertools.product(range(0, len(whole), stride), bits):
            whole[place] ^= 1 << bit
            file.write_bytes(whole)
            done, seen = done + 1, seen + noticed(path)
            whole[place] ^= 1 << bit
        file.write_bytes(whole)
    return done, seen
