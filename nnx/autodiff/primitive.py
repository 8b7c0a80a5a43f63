"""One tape node for a whole expression, with its derivative given by hand.

This is how the heavy functions of ``nnx.ops`` are made, and what :func:`custom_vjp` offers to users.
"""

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

from nnx.autodiff.namespace import Namespace, namespace
from nnx.autodiff.tape import Bundle, Node
from nnx.autodiff.tensor import Tensor
from nnx.errors import ConfigError, TracingError
from nnx.typing import Array

Forward = Callable[..., tuple[Any, Any]]
Backward = Callable[..., Sequence[Any]]


class Primitive:
    """A function of arrays that is one node on the tape.

    ``forward(xp, *arrays, **options)`` gives the output (an array, or a tuple of arrays) and whatever the derivative
    needs of it. ``backward(xp, needs, saved, g)`` gives the gradient for each array, ``None`` where ``needs`` is false;
    for a tuple of outputs ``g`` is a tuple too. Both are written against the standard with the ``xp`` they are given:
    that may be a differentiable namespace, so derivatives of derivatives follow. An array may be ``None`` (no bias, say).
    """

    def __init__(self, forward: Forward, backward: Backward) -> None:
        self.forward, self.backward = forward, backward
        update_wrapper(self, forward)

    def __call__(self, *arrays: Any, **options: Any) -> Any:
        xp = namespace(*arrays)
        if not isinstance(xp, Namespace):
            return self.forward(xp, *arrays, **options)[0]
        pairs = [xp.value_and_node(array) for array in arrays]
        values = [value for value, _ in pairs]
        inner = xp._inner
        if isinstance(inner, Namespace):
            values = [None if value is None else inner.lift(value) for value in values]
        out, saved = self.forward(inner, *values, **options)
        out = tuple(self._closed(y, inner) for y in out) if isinstance(out, tuple) else self._closed(out, inner)
        needs = tuple(node is not None for _, node in pairs)
        if not any(needs):
            return xp.wrap(out)
        return self._record(xp, [node for _, node in pairs if node is not None], needs, saved, out)

    def _closed(self, x: Any, xp: Any) -> Any:
        return closed(x, xp, getattr(self, "__name__", "custom_vjp"))

    def _record(self, xp: Namespace, parents: list[Node], needs: tuple[bool, ...], saved: Any, out: Any) -> Any:
        backward, inner = self.backward, xp._inner

        def pullback(g: Any) -> list[Any]:
            gradients = backward(inner, needs, saved, g)
            return [self._closed(gradient, inner) for gradient, needed in zip(gradients, needs, strict=True) if needed]

        if not isinstance(out, tuple):
            out = xp.as_array(out)
            return Tensor(out, Node(parents, pullback, out.shape, out.dtype), xp)
        outputs = tuple(map(xp.as_array, out))

        def pull_all(g: dict[int, Array]) -> list[Any]:
            return pullback(tuple(g[i] if i in g else inner.zeros_like(y) for i, y in enumerate(outputs)))

        bundle = Bundle(parents, pull_all, (), None)
        return tuple(Tensor(y, bundle.output(i, y.shape, y.dtype), xp) for i, y in enumerate(outputs))


def closed(x: Any, xp: Any, where: str) -> Any:
    """A result of a function of arrays of ``xp``, without the levels above, of which its functions make it a constant.

    Errors: ``TracingError`` where it has a derivative there, by something that is no argument.
    """
    depth = xp._depth if isinstance(xp, Namespace) else 0
    while type(x) is Tensor and x._space._depth > depth:
        if x._node is not None:
            raise TracingError(
                expected="a function that uses only its arguments",
                got="a result that depends on a traced array from outside it",
                where=where,
                fix="Pass that array, or the Module that holds it, as an argument.",
            )
        x = x._array
    return x


def custom_vjp(forward: Callable[..., tuple[Any, Any]], backward: Callable[..., Sequence[Any]]) -> Callable[..., Any]:
    """A function with a derivative of your own, recorded as one step.

    ``forward(*arrays)`` returns the output and what the derivative needs; ``backward(saved, g)`` returns one gradient for
    each array (or ``None`` for no gradient). Arrays are given by position; what is given by keyword is a constant for
    ``forward``. Complex arrays: ``g`` pairs with a change by Re Σ g·dx, without a conjugate.

    >>> import numpy as np, nnx
    >>> def forward(x):
    ...     return nnx.namespace(x).exp(x), x
    >>> def backward(x, g):
    ...     return (g * 100.0,)
    >>> loud = custom_vjp(forward, backward)
    >>> nnx.grad(loud)(np.asarray(0.0))
    array(100.)
    """
    function = Primitive(
        lambda xp, *arrays, **options: _output_and_saved(forward(*arrays, **options)),
        lambda xp, needs, saved, g: _one_each(backward(saved, g), needs),
    )
    return update_wrapper(function, forward)


def _output_and_saved(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise ConfigError(
            expected="forward to return a pair: the output, and what backward needs",
            got=f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__,
            where="custom_vjp",
            fix="Return (output, None) where backward needs nothing.",
        )
    return result


def _one_each(gradients: Any, needs: tuple[bool, ...]) -> Sequence[Any]:
    if not isinstance(gradients, (tuple, list)) or len(gradients) != len(needs):
        count = len(gradients) if isinstance(gradients, (tuple, list)) else type(gradients).__name__
        raise ConfigError(
            expected=f"backward to return a tuple of {len(needs)} gradients, one for each array",
            got=f"{count}",
            fix="Give None for an array that has no gradient.",
        )
    return gradients
