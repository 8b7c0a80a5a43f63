"""What processes that train together agree upon between two steps, and at the end of an epoch: the first process decides, all do the same."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnx import backends
from nnx.layers import Module
from nnx.train.interrupt import WORDS, Wish
from nnx.train.run import Run
from nnx.train.sharing.group import Group


def agree(group: Group, wish: Wish, run: Run) -> None:
    """A signal that came to one process has come to all; the learning rate that the first process has set is everybody's."""
    if group.size == 1:
        return
    fixed = run.fixed_rate
    mine = [float(bool(wish.signals) and wish.signals[0] == number) for number in WORDS]
    rate = [run.rate_factor, float(fixed is not None), fixed or 0.0] if group.first else [0.0] * 3
    *came, factor, has_fixed, told = group.sum(np.asarray(mine + rate)).tolist()
    if not wish.signals:
        wish.signals += [int(number) for number, count in zip(WORDS, came) if count][:1]
    if not group.first and (factor, told if has_fixed else None) != (run.rate_factor, run.fixed_rate):
        run.set_rate(told if has_fixed else None)
        run.scale_rate(factor)


def check_alike(group: Group, model: Module, others: Any = None) -> None:
    """``ConfigError`` unless all processes have the same arrays, and the same of some plain values."""
    if group.size == 1:
        return
    digest = hashlib.sha256(json.dumps(others, sort_keys=True, default=str).encode())
    for path, array in _host(model.state()).items():
        digest.update(path.encode() + np.ascontiguousarray(array).tobytes())
    if others is None:
        what, fix = "weights", "Change them only by nnx.fit itself: callbacks run in process 0 alone."
    else:
        what, fix = "model, data and settings", "Give all the same files, and draw with the same seed."
    group.check_same(what, digest.digest(), fix)


def hand_round(group: Group, model: Module) -> None:
    """The arrays of the first process for all: its callbacks may have gone back to better ones."""
    if group.size == 1:
        return
    state = _host(model.state())
    data = group.broadcast(b"".join(np.ascontiguousarray(array).tobytes() for array in state.values()))
    found, at = {}, 0
    for path, array in state.items():
        found[path] = np.frombuffer(data, dtype=array.dtype, count=array.size, offset=at).reshape(array.shape).copy()
        at += array.nbytes
    if not group.first:
        model.load({path: backends.of(old).asarray(found[path]) for path, old in model.state().items()})


def _host(state: Mapping[str, Any]) -> dict[str, Any]:
    return {path: backends.of(array).to_numpy(array) for path, array in state.items()}
