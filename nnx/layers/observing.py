"""Observers: told of every call of a module, with what went in and what came out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Observer = Callable[[Any, tuple[Any, ...], Any], None]
"""``observer(module, arguments, output)``."""

_observer: ContextVar[Observer | None] = ContextVar("nnx_observer", default=None)


def current_observer() -> Observer | None:
    """The innermost observer, ``None`` if nobody looks."""
    return _observer.get()


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Within, ``observer(module, arguments, output)`` is told of every call of a module.

    >>> import numpy as np, nnx
    >>> with nnx.layers.observing(lambda module, args, out: print(type(module).__name__, out.shape)):
    ...     _ = nnx.Sequential(nnx.ReLU(), nnx.Flatten())(np.ones((1, 2, 3)))
    ReLU (1, 2, 3)
    Flatten (1, 6)
    Sequential (1, 6)
    """
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)
