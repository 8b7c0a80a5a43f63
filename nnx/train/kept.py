"""What a checkpoint keeps of a training, and how a training goes on from it."""

import math
from typing import TYPE_CHECKING, Any

from nnx import backends
from nnx.errors import ConfigError
from nnx.train.files.checkpoint import Checkpoint
from nnx.train.files.fingerprint import fingerprint
from nnx.train.files.identity import identity
from nnx.train.files.plain import check_count, check_numbers, flatten, unflatten
from nnx.train.files.saving import describe
from nnx.train.record import score
from nnx.train.trouble.diverged import DIVERGED

if TYPE_CHECKING:
    from nnx.train.training import Training


def keep(training: "Training") -> Checkpoint:
    """All that the rest of the training depends on, as it is between two steps."""
    run, within = training.run, training.way.done > 0
    kept = {
        "epoch": training.epoch, "phase": training.phase, "elapsed": training.elapsed, "step": run.step, "history": run.history,
        "stopped": "" if within else run.stopped, "optimizer": run.state, "way": training.way.remembered(),
        "fixed_rate": run.fixed_rate, "rate_factor": run.rate_factor, "good": training.good if within else None,
        "callbacks": [{"type": type(one).__name__, "state": one.remembered()} for one in training.watching],
    }  # fmt: skip
    arrays: dict[str, Any] = {}
    state = {
        "training": flatten(kept, training.device, arrays),
        "course": training.course.config(),
        "every": training.keeper and training.keeper.every,
        "model": describe(training.model),
        "frozen": {path: sorted(module._frozen) for path, module in training.model.modules() if module._frozen},
        "data": {"train": identity(training.train), "val": training.val and identity(training.val)},
        "fingerprint": fingerprint(training.device),
    }
    judged = score(run.history[-1], run.monitor) if run.history and not within else math.inf
    weights = {path: backends.of(array).to_numpy(array) for path, array in training.model.state().items()}
    return Checkpoint(run.step, training.epoch, judged if math.isfinite(judged) else None, weights, arrays, state)


def take_up(training: "Training", checkpoint: Checkpoint) -> None:
    """Go on from a checkpoint, whose weights the model has already.

    Errors: ``ConfigError`` where a callback that remembers something was not given again.
    """
    run = training.run
    if run.directory:
        (run.directory / DIVERGED).unlink(missing_ok=True)
    with training.device.use():
        kept = unflatten(checkpoint.state["training"], training.device, checkpoint.arrays)
        for name in ("epoch", "phase", "step"):
            check_count(kept[name], name)
        check_numbers([kept["elapsed"]], 1, "elapsed")
        training.epoch, training.phase, training.elapsed = kept["epoch"], kept["phase"], kept["elapsed"]
        training.way.resume(run, kept["optimizer"], kept["way"])
        run.step, run.history, run.stopped = kept["step"], kept["history"], kept["stopped"]
        run.resume_rate(kept["fixed_rate"], kept["rate_factor"])
        training.good = kept["good"] or training.model.state()
    memories: list[dict[str, Any]] = list(kept["callbacks"])
    for callback in training.callbacks:
        mine = next((one for one in memories if one["type"] == type(callback).__name__), None)
        callback.on_resume(run, mine["state"] if mine else {})
        if mine:
            memories.remove(mine)
    if (lost := [one["type"] for one in memories if one["state"]]) and training.group.first:
        raise ConfigError(
            expected=f"the callbacks that it was trained with: {', '.join(lost)}",
            got="none" if len(lost) == 1 else "not all of them",
            where="resume",
            fix=f"Pass callbacks=[{lost[0]}(...)] with the settings that it had.",
        )
