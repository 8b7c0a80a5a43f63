"""Optimizers, learning-rate schedules and gradient clipping: pure functions over dictionaries from path to array."""

from nnx.optim.adam import Adam
from nnx.optim.sgd import SGD

__all__ = ["SGD", "Adam"]
