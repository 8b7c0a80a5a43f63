"""Namespaces for the official suite of the Array API standard (data-apis/array-api-tests) to judge.

    plain    ``nnx.autodiff.namespace_over(inner)`` as users have it
    traced   the same with every floating array a leaf of the tape, so that each function passes through its rules

Arrays of the suite are read and written all the time, which a traced array refuses for good reasons. Inside this harness,
and only here, reading takes the value off the tape and item assignment puts a new leaf in its place.
"""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from nnx.autodiff import namespace_over
from nnx.autodiff.tape import Node
from nnx.autodiff.tensor import Tensor

CREATORS = (
    "arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "linspace", "ones", "ones_like",
    "zeros", "zeros_like",
)  # fmt: skip


def namespace(inner: str, mode: str) -> Any:
    """The namespace under test: over which library (its module's name), and in which of the two modes."""
    space = namespace_over(import_module(inner))
    if mode == "traced":
        trace_everything(space)
    return space


def trace_everything(space: Any) -> None:
    """Make leaves of all floating arrays that ``space`` creates, and let their values be read and written."""
    for name in CREATORS:
        setattr(space, name, making_leaves(getattr(space, name)))
    Tensor._value = lambda self, what: self._array  # type: ignore[method-assign]
    Tensor.__setitem__ = assign  # type: ignore[method-assign]


def making_leaves(create: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(create)
    def created(*args: Any, **kwargs: Any) -> Any:
        return leaf(create(*args, **kwargs))

    return created


def leaf(x: Tensor) -> Tensor:
    """``x`` on the tape, if it is of a floating type and not there yet."""
    floating = x._space.isdtype(x.dtype, ("real floating", "complex floating"))
    return x if x._node is not None or not floating else Tensor(x._array, Node((), (), x.shape, x.dtype), x._space)


def assign(x: Tensor, key: Any, value: Any, /) -> None:
    """``x[key] = value`` on the array below; what ``x`` was computed from is forgotten."""
    keys = tuple(map(off_the_tape, key)) if isinstance(key, tuple) else off_the_tape(key)
    x._array[keys] = off_the_tape(value)
    if x._node is not None:
        x._node = Node((), (), x.shape, x.dtype)


def off_the_tape(x: Any) -> Any:
    return x._array if isinstance(x, Tensor) else x
