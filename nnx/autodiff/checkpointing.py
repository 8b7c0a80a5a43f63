"""checkpoint: forget what a part of the computation kept, and run that part again on the way back."""

from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from typing import Any

from nnx import tree
from nnx.autodiff.primitive import Primitive, closed
from nnx.autodiff.transforms import conjugate, flatten, inside_level, vjp
from nnx.typing import Array
from nnx.typing import Namespace as Module


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose intermediate results are not kept for the backward pass but computed again.

    The tape then holds only the arguments and the results of ``f``: less memory, for one more forward pass. Arguments
    and results are arrays, nests of them, and (arguments only) Modules; everything traced that ``f`` uses must be among
    its arguments. The second run happens in the same training pass, so the same dropout masks are drawn.

    Errors: ``TracingError`` if a result depends on a traced array that is not an argument.
    Source: Chen et al. (2016), arXiv:1604.06174.

    >>> import numpy as np, nnx
    >>> nnx.grad(checkpoint(lambda x: nnx.namespace(x).sin(2.0 * x)))(np.asarray(0.0))
    array(2.)
    """

    @wraps(f)
    def run(*args: Any) -> Any:
        arrays, rebuild = flatten(args)
        context = copy_context()
        nest: list[Any] = []

        def forward(xp: Module, *values: Array) -> tuple[Any, Any]:
            nest[:] = [f(*rebuild(values))]
            where = getattr(f, "__name__", "checkpoint")
            return tuple(closed(leaf, xp, where) for leaf in tree.leaves(nest[0])), values

        def backward(xp: Module, needs: tuple[bool, ...], values: Any, g: Any) -> list[Any]:
            traced = [value for value, needed in zip(values, needs, strict=True) if needed]

            def again(*changed: Array) -> list[Array]:
                new = iter(changed)
                return tree.leaves(f(*rebuild([next(new) if n else v for v, n in zip(values, needs, strict=True)])))

            gradients = iter(context.copy().run(inside_level(_pull), again, traced, list(g)))
            return [next(gradients) if needed else None for needed in needs]

        results = iter(Primitive(forward, backward)(*arrays))
        return tree.map(lambda leaf: next(results), nest[0])

    return run


def _pull(f: Callable[..., Any], arrays: list[Array], g: list[Array]) -> list[Array]:
    """The plain transpose; ``vjp`` conjugates on both sides, so that is undone on both."""
    _, pullback = vjp(f, *arrays)
    return [conjugate(x) for x in pullback([conjugate(u) for u in g])]
