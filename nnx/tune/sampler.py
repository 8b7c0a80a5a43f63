"""Which values a trial gets. Random draws are a function of (seed, name, ticket): the same in whatever process and order."""

from collections.abc import Callable, Mapping
from typing import Any

import optuna

from nnx.errors import ConfigError
from nnx.random import key, uniform
from nnx.tune.ranges import Box, Range
from nnx.tune.space import Space

SAMPLERS = ("random", "tpe")


class Random(optuna.samplers.BaseSampler):  # type: ignore[misc]  # Optuna may be absent where types are checked
    """Uniform in the coordinates of the ranges, within the box of the trial's stage; no grid, and no state."""

    def __init__(self, seed: int, space: Space, boxes: Callable[[int], Mapping[str, Box]]) -> None:
        self.seed, self.boxes = seed, boxes
        self.ranges = {part.stored: part for part in space.ranges}

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """None: every range is drawn by itself."""
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """One draw."""
        part: Range = self.ranges[param_name]
        ticket, stage = trial.user_attrs["ticket"], trial.user_attrs["stage"]
        u = float(uniform(key(self.seed, "tune", part.name, ticket), (1,))[0])
        return part.draw(u, self.boxes(stage)[part.name])


def sampler(
    name: str, seed: int, ticket: int, space: Space, boxes: Callable[[int], Mapping[str, Box]], jobs: int
) -> Any:
    """The sampler of one trial. TPE learns from the trials so far; its own draws are seeded for each trial."""
    if name == "random":
        return Random(seed, space, boxes)
    words = key(seed, "tune", "tpe", ticket)
    return optuna.samplers.TPESampler(seed=words.low % 2**32, constant_liar=jobs > 1)


def check_sampler(name: str, stages: int) -> None:
    """``ConfigError`` for an unknown one, or for stages where they make no sense."""
    if name not in SAMPLERS:
        raise ConfigError(expected="random or tpe", got=repr(name), where="sampler", fix="Choose one of these.")
    if name == "tpe" and stages > 1:
        raise ConfigError(
            "tpe narrows the search by itself",
            expected="one stage",
            got=f"{stages} stages",
            where="stages",
            fix="Take the random sampler, or leave stages out.",
        )
