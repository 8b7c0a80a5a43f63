"""What was given as a model or as data, before anything is asked of it."""

from typing import Any

from nnx.autodiff.transforms import is_array
from nnx.data import Dataset
from nnx.errors import ConfigError
from nnx.layers import Module


def check_model(model: Any, where: str) -> None:
    """``ConfigError`` unless it is a model."""
    if isinstance(model, Module):
        return
    kind = isinstance(model, type) and issubclass(model, Module)
    raise ConfigError(
        expected="a model",
        got=f"the class {model.__name__}" if kind else type(model).__name__,
        where=where,
        fix=f"Make one of it: nnx.{model.__name__}(…)." if kind else "Pass a Module, such as nnx.Sequential(…).",
    )


def check_output(out: Any, model: Module) -> None:
    """``ConfigError`` unless it is one array: what fit, evaluate, predict and the doctor know how to count and compare."""
    if not is_array(out):
        raise ConfigError(
            expected="a model whose output is one array",
            got=f"a {type(out).__name__}" + f" of {len(out)}" * isinstance(out, (tuple, list, dict)),
            where=type(model).__name__,
            fix="Call model(x) itself, and write the loop by hand: README.md, As a library.",
        )


def check_data(data: Any, where: str) -> None:
    """``ConfigError`` unless it is a data set."""
    if not isinstance(data, Dataset):
        raise ConfigError(
            expected="a Dataset",
            got=type(data).__name__,
            where=where,
            fix="Use nnx.data.load((x, y)) for arrays, or nnx.data.load(path).",
        )
