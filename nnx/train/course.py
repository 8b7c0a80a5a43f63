"""How a training goes, as plain settings: what ``fit`` was asked for, and what a checkpoint writes down of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nnx import losses, optim
from nnx.errors import ConfigError
from nnx.typing import Array


@dataclass(frozen=True)
class Course:
    """The loss (a name, or a function of one's own), who takes the steps, how many, and the seed."""

    loss: str | Callable[..., Array]
    optimizer: Any
    epochs: int
    batch_size: int
    finish: optim.LBFGS | None
    finish_epochs: int
    seed: int
    compile: bool | None
    shards: int = 0
    """In how many shards each batch is summed, over as many processes as there are; 0: batches are whole."""

    @property
    def phases(self) -> list[tuple[Any, int]]:
        """Each optimizer and its number of epochs."""
        return [(self.optimizer, self.epochs), *([(self.finish, self.finish_epochs)] if self.finish else [])]

    def config(self) -> dict[str, Any]:
        """The settings as plain values; None for what cannot be written down, and must be given again."""
        return {
            "loss": self.loss if isinstance(self.loss, str) else None,
            "optimizer": _described(self.optimizer),
            "finish": self.finish and _described(self.finish),
            **{
                name: getattr(self, name)
                for name in ("epochs", "batch_size", "finish_epochs", "seed", "compile", "shards")
            },
        }


def course_of(config: Mapping[str, Any], *, loss: Any = None, optimizer: Any = None, finish: Any = None) -> Course:
    """The course that :meth:`Course.config` described; what is given beside it takes its place.

    Errors: ``ConfigError`` for what was a function of one's own and is not given.
    """
    numbers = {name: config[name] for name in ("epochs", "batch_size", "finish_epochs", "seed")}
    numbers["shards"] = config.get("shards", 0)
    if not all(type(value) is int and abs(value) < 2**63 for value in numbers.values()):
        raise ConfigError(expected="whole numbers", got=repr(numbers), where="the checkpoint's settings")
    return Course(
        loss=_named(config["loss"], loss),
        optimizer=_built(config["optimizer"], optimizer, "optimizer"),
        finish=_built(config["finish"], finish, "finish") if config["finish"] or finish else None,
        compile=config["compile"] if isinstance(config["compile"], bool) else None,
        **numbers,
    )


def _described(optimizer: Any) -> dict[str, Any] | None:
    try:
        config = dict(optimizer.config())
        return config if optim.from_config(config) == optimizer else None
    except (ConfigError, AttributeError, TypeError):  # one of a class of one's own, or with a function in it
        return None


def _named(known: Any, given: Any) -> Any:
    if given is None and (not isinstance(known, str) or known not in losses.LOSSES):
        raise _needed("loss", "the function that it was trained with")
    return given or known


def _built(known: Any, given: Any, name: str) -> Any:
    if given is not None:
        return given
    if known is None:
        raise _needed(name, "the one that it was trained with, which a file cannot describe")
    return optim.from_config(known)


def _needed(name: str, what: str) -> ConfigError:
    return ConfigError(expected=what, got="none", where="resume", fix=f"Pass {name}= as to nnx.fit.")
