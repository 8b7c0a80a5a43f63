"""The table of layers: every public layer with an outside definition of what it computes.

``numpy(x, p)`` is an expression in NumPy that shares no code with nnx, from the input and the arrays by path;
``torch(torch, x, p)`` is PyTorch's own function of the same definition, whose autograd judges our gradients. Where PyTorch
has none, ``why`` says so and the NumPy expression is differentiated instead.
"""

from cases.layer_row import Row
from cases.layers_plain import PLAIN
from cases.layers_sequences import SEQUENTIAL
from cases.layers_spatial import SPATIAL

LAYERS: dict[str, Row] = PLAIN | SPATIAL | SEQUENTIAL

__all__ = ["LAYERS", "Row"]
