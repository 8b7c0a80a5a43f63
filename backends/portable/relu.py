"""ReLU and its gradient."""

from nnx.typing import Array, Namespace


def relu(xp: Namespace, x: Array) -> Array:
    """max(x, 0).

    >>> import numpy as np
    >>> relu(np, np.asarray([-1.0, 2.0]))
    array([0., 2.])
    """
    return xp.maximum(x, 0)


def relu_back(xp: Namespace, g: Array, y: Array) -> Array:
    """g where y > 0, else 0: the gradient of :func:`relu` that gave y. A g that is not finite may count or not where y is 0.

    >>> import numpy as np, array_api_compat.numpy as xp
    >>> relu_back(xp, np.asarray([5.0, 7.0]), np.asarray([0.0, 2.0]))
    array([0., 7.])
    """
    return g * xp.astype(y > 0, y.dtype)
