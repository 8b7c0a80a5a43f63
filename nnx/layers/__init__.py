"""Modules: plain objects whose arrays have names. One idea per file."""

from nnx.layers.activation import ELU, GELU, LeakyReLU, Maxout, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from nnx.layers.dropout import Dropout
from nnx.layers.flatten import Flatten
from nnx.layers.linear import Linear
from nnx.layers.module import Module
from nnx.layers.normalization import BatchNorm
from nnx.layers.observing import observing
from nnx.layers.parameter import Buffer, Parameter
from nnx.layers.pca import PCA
from nnx.layers.preparation import MinMaxScale, Preparation, Standardize
from nnx.layers.sequential import Sequential
from nnx.layers.training import Pass, current_pass, training
from nnx.layers.unstandardize import Unstandardize

LAYERS = (
    BatchNorm, Dropout, ELU, Flatten, GELU, LeakyReLU, Linear, Maxout, MinMaxScale, PCA, ReLU, Sequential, SiLU, Sigmoid,
    Softmax, Softplus, Standardize, Tanh, Unstandardize,
)  # fmt: skip
"""Every layer: what a model file may ask for by name."""

__all__ = [
    "LAYERS", "BatchNorm", "Buffer", "Dropout", "ELU", "Flatten", "GELU", "LeakyReLU", "Linear", "Maxout",
    "MinMaxScale", "Module", "PCA", "Parameter", "Pass", "Preparation", "ReLU", "Sequential", "SiLU", "Sigmoid", "Softmax",
    "Softplus", "Standardize", "Tanh", "Unstandardize", "current_pass", "observing", "training",
]  # fmt: skip
