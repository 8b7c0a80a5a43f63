"""The differentiable namespace over each array library, made once."""

from functools import cache

from nnx.autodiff.namespace import Namespace
from nnx.autodiff.rules import table
from nnx.typing import Namespace as Module


@cache
def _over(xp: Module) -> Namespace:
    return Namespace(xp, table(xp))


def namespace_over(xp: Module) -> Namespace:
    """The differentiable namespace over ``xp``, one module object for each.

    ``xp`` is any namespace of the standard, also a differentiable one. Arrays of the result are constants until a
    transform makes leaves of them.

    >>> import array_api_compat.numpy as np
    >>> xp = namespace_over(np)
    >>> xp.sum(xp.asarray([1.0, 2.0]))
    Tensor(array(3.))
    """
    return _over(xp)
