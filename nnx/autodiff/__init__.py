"""Differentiate any function written against the Array API standard.

``tensor`` the traced array, ``tape`` nodes and the backward pass, ``rules`` the derivatives by chapter of the standard,
``namespace`` and ``over`` the differentiable namespace, ``primitive`` one node for a whole expression, ``transforms``
what users call, ``check`` the numerical check.
"""

from typing import TYPE_CHECKING

from nnx import late
from nnx.autodiff.checkpointing import checkpoint
from nnx.autodiff.namespace import Namespace, namespace
from nnx.autodiff.over import namespace_over
from nnx.autodiff.primitive import Primitive, custom_vjp
from nnx.autodiff.tensor import Tensor
from nnx.autodiff.transforms import grad, hvp, jvp, stop_gradient, value_and_grad, vjp

__all__ = [
    "Namespace",
    "Primitive",
    "Tensor",
    "checkpoint",
    "custom_vjp",
    "grad",
    "gradcheck",
    "hvp",
    "jvp",
    "namespace",
    "namespace_over",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

if TYPE_CHECKING:
    from nnx.autodiff.check import gradcheck
else:
    __getattr__, __dir__ = late.names("nnx.autodiff", {"gradcheck": "nnx.autodiff.check"})
