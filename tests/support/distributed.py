"""Trainings shared by processes. Run by ``mpiexec`` as a program, this file does one job and leaves in PLACE what each process has found:

mpiexec -n 2 python -P tests/support/distributed.py trainings PLACE
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parent.parent))

import numpy as np

import nnx
from nnx import optim
from nnx.errors import NnxError
from nnx.train import Callback, EarlyStopping
from nnx.train.sharing import mpi
from nnx.train.sharing.joining import launched
from support import trust

SHARDS = 8


def rank() -> int:
    return (launched() or (0, 1))[0]


def mpiexec(
    processes: int, job: str, place: Path, timeout: float = 120, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """A job of this file, with settings of its own, in so many processes."""
    program = [sys.executable, "-P", __file__, job, str(place), json.dumps(settings)]
    return subprocess.run(
        [beside_python(), "-n", str(processes), *program], capture_output=True, text=True, timeout=timeout, check=False,
        env=quiet(), stdin=subprocess.DEVNULL,
    )  # fmt: skip


def beside_python() -> str:
    """The ``mpiexec`` that came with the MPI of this interpreter."""
    found = Path(sys.executable).parent / "mpiexec"
    return str(found) if found.exists() else "mpiexec"


def quiet() -> dict[str, str]:
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def found(place: Path, processes: int) -> list[dict[str, Any]]:
    """What each process has left."""
    return [json.loads((place / f"{number}.json").read_text()) for number in range(processes)]


# what is trained ------------------------------------------------------------------------------------------------------
class SetRate(Callback):
    """What ``Babysit`` does: a rate of its own from a step on, and back."""

    def on_step(self, run: Any) -> None:
        if run.step in (4, 9):
            run.set_rate(0.01 if run.step == 4 else None)


class Meddle(Callback):
    """Changes the weights, in the only process that has callbacks."""

    def on_step(self, run: Any) -> None:
        if run.step == 2:
            run.model.load({path: 2.0 * w for path, w in run.model.parameters().items()})


def at_call(number: int, act: Callable[[], Any], who: int | None = None) -> Callable[..., Any]:
    """A loss that does something when a process, the last one, takes its ``number``-th one."""
    calls = [0]
    who = (launched() or (0, 1))[1] - 1 if who is None else who

    def loss(outputs: Any, y: Any) -> Any:
        calls[0] += 1
        if calls[0] == number and rank() == who:
            act()
        return nnx.losses.cross_entropy(outputs, y)

    return loss


def wide() -> nnx.Sequential:
    """So many weights that they are summed in halves."""
    return nnx.Sequential(nnx.Linear(5, 2048), nnx.ReLU(), nnx.Linear(2048, 3))


def cases() -> dict[str, Callable[[Path], Any]]:
    """Trainings by name, each as a function of a place; they give the run."""
    adam = optim.Adam(0.02)

    def of(case: trust.Case, *callbacks: Any, **settings: Any) -> Callable[[Path], Any]:
        return lambda place: trust.trained(case, "numpy", list(callbacks), shards=SHARDS, **settings)

    def uneven(place: Path) -> Any:
        train, val = trust.data()
        model = trust.network("both")
        return nnx.fit(model, train.take(np.arange(37)), val, optimizer=adam, epochs=2, batch_size=30, shards=SHARDS)

    def big(place: Path) -> Any:
        train, val = trust.data()
        return nnx.fit(wide(), train, val, optimizer=adam, epochs=2, batch_size=40, shards=SHARDS)

    def kept(place: Path) -> Any:
        case = trust.Case(adam, "both", epochs=2)
        return of(case, directory=place / "kept", checkpoint_every=2)(place)

    return {
        "plain": of(trust.Case(adam, "plain")),
        "batch norm and dropout": of(trust.Case(optim.SGD(0.05, momentum=0.9), "both")),
        "as it is written": of(trust.Case(adam, "both"), compile=False),
        "uneven shards": uneven,
        "summed in halves": big,
        "early stopping": of(trust.Case(adam, "both", lambda: [EarlyStopping(1, min_delta=0.2)])),
        "plateau": of(trust.Case(adam, "both", trust.WATCHERS["plateau"])),
        "a rate set by hand": of(trust.Case(adam, "both"), SetRate()),
        "a directory": kept,
    }


def asked_to_end(place: Path, at: int = 9, who: int | None = None) -> Any:
    """^C reaches one process alone."""
    loss = at_call(at, lambda: signal.raise_signal(signal.SIGINT), who)
    train, val = trust.data()
    return nnx.fit(trust.network("plain"), train, val, loss=loss, epochs=5, batch_size=16, shards=SHARDS)


def refused(place: Path) -> Any:
    """A directory that the first process may not have."""
    return trust.trained(trust.Case(optim.Adam(0.02)), "numpy", shards=SHARDS, directory=place / "kept")


def other_data(place: Path) -> Any:
    """Rows in another order in one process."""
    train, val = trust.data()
    train = train.take(np.arange(len(train))[:: -1 if rank() == 1 else 1])
    return nnx.fit(trust.network("plain"), train, val, epochs=2, batch_size=16, shards=SHARDS)


def meddled(place: Path) -> Any:
    return trust.trained(trust.Case(optim.Adam(0.02)), "numpy", [Meddle()], shards=SHARDS)


def told(run: Any) -> dict[str, Any]:
    return {"sha": trust.sha(run.model), "history": trust.history(run), "stopped": run.stopped, "step": run.step}


# the jobs -------------------------------------------------------------------------------------------------------------
def trainings(place: Path) -> dict[str, Any]:
    """Every case; and what cannot be done, with what it says."""
    answers = {name: told(case(place)) for name, case in cases().items()}
    answers["asked to end"] = told(asked_to_end(place))
    if (place / "run").exists():
        answers["resumed"] = told(resumed(place))
    for name, case in (("refused", refused), ("other data", other_data), ("meddled", meddled)):
        try:
            case(place)
        except NnxError as error:
            answers[name] = f"{type(error).__name__}: {error}"
    return answers


def many(place: Path, count: int) -> dict[str, Any]:
    """So many trainings of all kinds, by chance the same everywhere."""
    return {name: told(trust.trained(case, "numpy", shards=SHARDS))["sha"] for name, case in by_chance(count).items()}


def by_chance(count: int) -> dict[str, trust.Case]:
    """So many of all kinds of trainings."""
    known = [(name, case) for name, case in trust.all_cases().items() if "lbfgs" not in name]
    random.Random(0).shuffle(known)
    return dict(known[:count])


def asked(place: Path, times: list[list[int]]) -> dict[str, Any]:
    """Signals at these calls of these processes, one training each: where all have ended."""
    runs = [asked_to_end(place, at, who) for at, who in times]
    return {"ends": [[run.stopped, run.step, trust.sha(run.model)] for run in runs]}


def again(place: Path) -> dict[str, Any]:
    """A run that was cut, to its end."""
    return {"sha": trust.sha(resumed(place).model)}


def killed(place: Path, at: int = 21, who: int | None = None) -> None:
    """A process dies in its 21st shard."""
    loss = at_call(at, lambda: os.kill(os.getpid(), signal.SIGKILL), who)
    course(place / "run", loss)


def course(directory: Path | None, loss: Any) -> Any:
    """The training that is killed, or not."""
    train, val = trust.data()
    return nnx.fit(
        trust.network("both"), train, val, loss=loss, optimizer=optim.Adam(0.02), epochs=5, batch_size=16, seed=7, shards=SHARDS,
        directory=directory, checkpoint_every=2 if directory else None,
    )  # fmt: skip


def resumed(place: Path) -> Any:
    return nnx.resume(place / "run", *trust.data(), loss=nnx.losses.cross_entropy, tell=lambda line: None)


def mistaken(place: Path) -> None:
    """One process alone comes to an error, and nobody catches it."""
    mpi.GRACE = 0.3

    def act() -> None:
        raise ZeroDivisionError("a mistake of one")

    course(None, at_call(9, act))


def main() -> None:
    job, place = sys.argv[1], Path(sys.argv[2])
    jobs = {
        "trainings": trainings,
        "killed": killed,
        "mistaken": mistaken,
        "many": many,
        "asked": asked,
        "again": again,
    }
    answer = jobs[job](place, **json.loads(sys.argv[3]))
    (place / f"{rank()}.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
