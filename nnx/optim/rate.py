"""Another learning rate for an optimizer that is at work."""

from dataclasses import replace

from nnx.errors import ConfigError
from nnx.optim.base import Optimizer
from nnx.optim.constraint import Constrained
from nnx.optim.schedules import Schedule
from nnx.optim.transform import Chain


def with_learning_rate(optimizer: Optimizer, learning_rate: float | Schedule) -> Optimizer:
    """The same optimizer at another learning rate; chains and constraints around it stay, and its state still fits.

    >>> from nnx.optim import SGD, chain, clip_by_value
    >>> with_learning_rate(chain(clip_by_value(1.0), SGD(0.1, momentum=0.9)), 0.5).optimizer
    SGD(learning_rate=0.5, momentum=0.9, nesterov=False, averaged=False)

    Errors: ``ConfigError`` for an optimizer without a rate, such as ``LBFGS``, and for a rate that is not > 0.
    """
    if isinstance(optimizer, (Chain, Constrained)):
        return replace(optimizer, optimizer=with_learning_rate(optimizer.optimizer, learning_rate))
    if not hasattr(optimizer, "learning_rate"):
        raise ConfigError(
            expected="an optimizer with a learning rate",
            got=type(optimizer).__name__,
            where="with_learning_rate",
            fix="Use one such as Adam or SGD; a line search finds the length of each step itself.",
        )
    return replace(optimizer, learning_rate=learning_rate)  # type: ignore[type-var]
