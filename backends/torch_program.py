"""A program of PyTorch calls with less around them: the library's own functions, and results written over operands that end there.

What is called and in which order stays, so the bits do, too. Calls through array-api-compat become calls of what that
calls in the end; ``+ - * /`` and ReLU are done in place where an operand is a result of this program of the same shape
and dtype that nothing looks at afterwards, neither by itself nor through a view.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

from nnx.backends.recorded.program import Call, Program, Value, needed, replay, values_in
from nnx.typing import Array


def _relu_back(g: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Written over g."""
    return torch.ops.aten.threshold_backward.grad_input(g, y, 0, grad_input=g)


IN_PLACE: dict[str, Callable[..., Any]] = {
    "add": operator.iadd, "subtract": operator.isub, "multiply": operator.imul, "divide": operator.itruediv,
    "relu": torch.relu_, "relu_back": _relu_back,
}  # fmt: skip
"""They write their first argument."""

EITHER = {"add", "multiply"}
"""They may as well write their second, beside a first that is smaller: the result is then laid out as the second."""

NEW = {*IN_PLACE, "matmul", "exp", "log", "sqrt", "sum", "mean"}
"""Their results are in memory of their own, and they keep nothing of what they are given."""


def assemble(program: Program, borrowed: Sequence[int] = ()) -> Callable[..., list[Array]]:
    """The ``assemble`` hook of PyTorch: the plain replay of the calls so rewritten."""
    calls = needed(program)
    free = _overwritable(program, calls)
    last: dict[int, int] = {}
    for index, call in enumerate(calls):
        last |= {value.number: index for value in values_in((call.args, call.kwargs))}
    made = [direct(in_place(call, {n for n in free if last.get(n) == index})) for index, call in enumerate(calls)]
    return replay(program._replace(calls=tuple(made)), borrowed)


def _overwritable(program: Program, calls: list[Call]) -> set[int]:
    """Results in memory of their own that only functions look at which keep no view of them."""
    found = {c.out.number for c in calls if c.name in NEW and type(c.out) is Value and c.kwargs.get("axis") != ()}
    found -= {value.number for value in values_in(program.outputs)}
    for call in calls:
        if call.name not in NEW:
            found -= {value.number for value in values_in((call.args, call.kwargs))}
    return found


def in_place(call: Call, ending: set[int]) -> Call:
    """The call with its result in an operand that ends here, if one may hold it."""
    if call.name not in IN_PLACE or call.kwargs or type(call.out) is not Value:
        return call
    if len({x.dtype for x in (call.out, *values_in(call.args))}) != 1 or not call.out.dtype.is_floating_point:
        return call
    args = call.args
    if call.name in EITHER and (type(args[0]) is not Value or args[0].shape != call.out.shape):
        args = args[::-1]
    first = args[0]
    if type(first) is Value and first.number in ending and first.shape == call.out.shape:
        return call._replace(function=IN_PLACE[call.name], args=args)
    return call


def direct(call: Call) -> Call:
    """The call without the layers of Python before it, where they would do nothing for these arguments."""
    rewrite = _DIRECT.get(call.name)
    found = rewrite(*call.args, **call.kwargs) if rewrite and type(call.out) is Value else None
    return call if found is None else call._replace(function=found[0], args=found[1], kwargs={})


def _astype(x: Any, dtype: Any, **options: Any) -> Any:
    if options or type(x) is not Value or x.dtype == dtype:
        return None
    if x.dtype == torch.bool and dtype.is_floating_point:  # of bytes torch casts many at once
        return lambda x: x.view(torch.uint8).to(dtype), (x,)
    return torch.Tensor.to, (x, dtype)


def _sum(x: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
    plain = not options and axis not in (None, ()) and type(x) is Value and x.dtype.is_floating_point
    return (torch.sum, (x, axis, keepdims)) if plain else None


def _mean(x: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
    if options or type(x) is not Value or not x.shape or axis == ():
        return None
    return (torch.mean, (x,)) if axis is None and not keepdims else None


def _expand(x: Any, axis: int = 0) -> Any:
    return torch.unsqueeze, (x, axis)


def _squeeze(x: Any, axis: Any) -> Any:
    return (torch.squeeze, (x, axis)) if type(axis) is int else None


def _permute(x: Any, axes: Any) -> Any:
    return torch.permute, (x, tuple(axes))


def _reshape(x: Any, shape: Any, **options: Any) -> Any:
    return None if options else (torch.reshape, (x, shape))


_DIRECT: dict[str, Callable[..., Any]] = {
    "astype": _astype, "sum": _sum, "mean": _mean, "expand_dims": _expand, "squeeze": _squeeze, "permute_dims": _permute,
    "reshape": _reshape,
}  # fmt: skip
