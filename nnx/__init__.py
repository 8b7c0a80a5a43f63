"""nnx: train neural networks on any array library that speaks the Python Array API standard."""

__version__ = "0.1.0"
