"""A small search, in this process or as one of its own: ``python searches.py URL NAME TRIALS`` joins it as a worker.

A worker with ``NNX_TEST_STOP=FOLDER:TICKET`` writes FOLDER/reached in the first epoch of that trial and hangs: to be killed there.
"""

import os
import sys
import time
from itertools import pairwise
from pathlib import Path

import nnx
from support.clouds import blobs

SPACE = {
    "lr": {"low": 1e-3, "high": 1.0, "log": True},
    "momentum": {"one_minus_log": [-2, -0.3]},
    "hidden": {"layers": [1, 2], "low": 4, "high": 16},
    "batch": {"choices": [8, 16, 32]},
}


def train(trial):
    """Two epochs on three clouds."""
    rows, val = nnx.data.split(blobs(), (0.7, 0.3), seed=0)
    sizes = [4, *trial.params.get("hidden", [8]), 3]
    layers = [nnx.Linear(a, b) for a, b in pairwise(sizes)]
    model = nnx.Sequential(*[part for layer in layers[:-1] for part in (layer, nnx.ReLU())], layers[-1])
    optimizer = nnx.optim.SGD(trial.params.get("lr", 0.01), momentum=trial.params.get("momentum", 0.5))
    return nnx.fit(
        model, rows, val, optimizer=optimizer, epochs=2, batch_size=trial.params.get("batch", 16),
        callbacks=[*trial.callbacks, lambda run, record: hang(trial)],
    )  # fmt: skip


def hang(trial):
    """Where the environment asks for it."""
    folder, _, ticket = os.environ.get("NNX_TEST_STOP", "").rpartition(":")
    if folder and trial.ticket == int(ticket):
        (Path(folder) / "reached").touch()
        time.sleep(600)


def diverges(trial):
    """A trial that fails for high rates, and one that a mistake in the program ends."""
    if trial.ticket == 1:
        raise KeyError("planted")
    if trial["lr"] > 0.1:
        raise nnx.errors.DivergedError(expected="a finite loss", got="nan in epoch 2", where="fit")
    return trial["lr"]


def threads(trial):
    """1 where every variable that says how many threads there are says one."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    time.sleep(0.1)  # so that the other worker has its share
    return float(all(os.environ.get(name) == "1" for name in names))


def dies(trial):
    """The process ends."""
    os._exit(7)


if __name__ == "__main__":
    url, name, trials = sys.argv[1:]
    found = nnx.tune(train, SPACE, trials=int(trials), monitor="val_accuracy", storage=url, name=name, heartbeat=1)
    print(os.getpid(), len(found.of("done")))
