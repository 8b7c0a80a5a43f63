"""Modules: plain objects whose arrays have names. One idea per file."""

from nnx.layers.activation import ELU, GELU, LeakyReLU, Maxout, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from nnx.layers.attention import MultiHeadAttention
from nnx.layers.compiled import Compiled, compile
from nnx.layers.convolution import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from nnx.layers.dropout import Dropout
from nnx.layers.embedding import Embedding
from nnx.layers.flatten import Flatten
from nnx.layers.group_norm import GroupNorm
from nnx.layers.layer_norm import LayerNorm
from nnx.layers.linear import Linear
from nnx.layers.module import Module
from nnx.layers.normalization import BatchNorm
from nnx.layers.observing import observing
from nnx.layers.parameter import Buffer, Parameter
from nnx.layers.pca import PCA
from nnx.layers.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    GlobalAvgPool,
    MaxPool1d,
    MaxPool2d,
)
from nnx.layers.positions import LearnedPositions, SinusoidalPositions
from nnx.layers.preparation import MinMaxScale, Preparation, Standardize
from nnx.layers.recurrence import GRU, LSTM
from nnx.layers.reshape import Reshape
from nnx.layers.residual import Residual
from nnx.layers.rms_norm import RMSNorm
from nnx.layers.sequential import Sequential
from nnx.layers.training import Pass, current_pass, training
from nnx.layers.transformer import TransformerBlock
from nnx.layers.unstandardize import Unstandardize

LAYERS = (
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, BatchNorm, Conv1d, Conv2d, ConvTranspose1d,
    ConvTranspose2d, Dropout, ELU, Embedding, Flatten, GELU, GRU, GlobalAvgPool, GroupNorm, LSTM, LayerNorm, LeakyReLU,
    LearnedPositions, Linear, MaxPool1d, MaxPool2d, Maxout, MinMaxScale, MultiHeadAttention, PCA, RMSNorm, ReLU,
    Reshape, Residual, Sequential, SiLU, Sigmoid, SinusoidalPositions, Softmax, Softplus, Standardize, Tanh,
    TransformerBlock, Unstandardize,
)  # fmt: skip
"""Every layer: what a model file may ask for by name."""

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "BatchNorm", "Buffer", "Conv1d", "Conv2d",
    "ConvTranspose1d", "ConvTranspose2d", "Dropout", "ELU", "Embedding", "Flatten", "GELU", "GRU", "GlobalAvgPool",
    "GroupNorm", "LAYERS", "LSTM", "LayerNorm", "LeakyReLU", "LearnedPositions", "Linear", "MaxPool1d",
    "MaxPool2d", "Maxout", "MinMaxScale", "Module", "MultiHeadAttention", "PCA", "Parameter", "Pass",
    "Preparation", "RMSNorm", "ReLU", "Reshape", "Residual", "Sequential", "SiLU", "Sigmoid",
    "SinusoidalPositions", "Softmax", "Softplus", "Standardize", "Tanh", "TransformerBlock", "Unstandardize",
    "Compiled", "compile", "current_pass", "observing", "training",
]  # fmt: skip
