"""Steps without the Python in them: a training step is taken as it is written, recorded, and from then on replayed.

What the model or the loss does in Python is fixed by the recording, so it must be the same at every step. Therefore a
recording is made without being asked for only of nnx's own layers and losses, and its first replay is compared with the
step as written (but for these layers and losses where the library compiles by itself). The learning rate is the
optimizer's, whose numbers go in anew at every step: on most libraries the update is not recorded at all, on JAX it is
compiled with the rest (:mod:`nnx.train.whole`).
"""

from collections.abc import Callable
from typing import Any

from nnx import losses
from nnx.layers import LAYERS, Module
from nnx.train.evaluation import backend_of
from nnx.train.plans import Plans
from nnx.train.step import Step, train_step
from nnx.train.updates import Updates
from nnx.typing import Array


def stepper(model: Module, loss: Callable[..., Array], compile: bool | None = None) -> "Stepper | Written":
    """What takes the steps of a training: ``step(optimizer, state, x, y, seed, number)`` does what :func:`train_step` does.

    ``compile``: true to record the step, false to take each as written, ``None`` to record what is known to be the
    same at every step: a model of nnx's own layers with a loss of its own.
    """
    if compile or (compile is None and known(model, loss)):
        return Stepper(model, loss)
    return Written(model, loss)


def known(model: Module, loss: Any) -> bool:
    """Whether layers and loss are nnx's own, which compute the same at every step."""
    return loss in losses.LOSSES.values() and all(type(module) in LAYERS for _, module in model.modules())


class Written:
    """Every step as it is written."""

    def __init__(self, model: Module, loss: Callable[..., Array]) -> None:
        self.model, self.loss = model, loss

    def __call__(self, optimizer: Any, state: dict[str, Any], x: Array, y: Array, seed: int, number: int) -> Step:
        """One step."""
        return train_step(self.model, self.loss, optimizer, state, x, y, seed, number)


class Stepper:
    """The steps of one training. ``declined`` says why there are no recordings, if it came to that."""

    def __init__(self, model: Module, loss: Callable[..., Array]) -> None:
        self.plans, self.updates = Plans(model, loss, trusting=known(model, loss)), Updates(model)
        self._memory = backend_of(model).memory()

    @property
    def declined(self) -> str:
        """Empty as long as steps are recorded."""
        return self.plans.declined

    def __call__(self, optimizer: Any, state: dict[str, Any], x: Array, y: Array, seed: int, number: int) -> Step:
        """One step. The state is given away: its arrays may be the new state's, with new values. Whoever keeps it keeps
        a copy of its dictionaries, whose arrays then stay as they are."""
        plan = self.plans.find(x, y, seed, number)
        with self._memory:
            if plan is not None and plan.whole is not None and plan.trusted:
                taken = plan.whole(optimizer, state, x, y, seed, number)
                if taken is not None:
                    plan.places.give(taken.arrays)
                    return taken.step
            return self.updates(optimizer, state, self.plans.gradient(plan, x, y, seed, number))
