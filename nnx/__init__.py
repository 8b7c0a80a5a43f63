"""nnx: train neural networks on any array library that speaks the Python Array API standard."""

from nnx import autodiff, backends
from nnx.autodiff import custom_vjp, grad, hvp, jvp, namespace, stop_gradient, value_and_grad, vjp

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "autodiff",
    "backends",
    "custom_vjp",
    "grad",
    "hvp",
    "jvp",
    "namespace",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]
