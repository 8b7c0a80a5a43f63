"""nnx: train neural networks on any array library that speaks the Python Array API standard."""

import typing as _typing

from nnx import (
    autodiff,
    backends,
    data,
    estimators,
    init,
    layers,
    losses,
    metrics,
    ops,
    optim,
    plot,
    random,
    regularizers,
)
from nnx.autodiff import (
    checkpoint,
    custom_vjp,
    grad,
    gradcheck,
    hvp,
    jvp,
    namespace,
    stop_gradient,
    value_and_grad,
    vjp,
)
from nnx.doctor import doctor
from nnx.export import export
from nnx.layers import (
    ELU,
    GELU,
    GRU,
    LSTM,
    PCA,
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    BatchNorm,
    Buffer,
    Conv1d,
    Conv2d,
    ConvTranspose1d,
    ConvTranspose2d,
    Dropout,
    Embedding,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    LayerNorm,
    LeakyReLU,
    LearnedPositions,
    Linear,
    Maxout,
    MaxPool1d,
    MaxPool2d,
    MinMaxScale,
    Module,
    MultiHeadAttention,
    Parameter,
    ReLU,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    SinusoidalPositions,
    Softmax,
    Softplus,
    Standardize,
    Tanh,
    TransformerBlock,
    Unstandardize,
    compile,
    training,
)  # fmt: skip
from nnx.parity import parity
from nnx.train import evaluate, fit, load, load_torch, lr_find, predict, resume, save
from nnx.tune import tune

__version__ = "0.1.0"

__all__ = [
    "Embedding", "GRU", "GroupNorm", "LSTM", "LayerNorm", "LearnedPositions",
    "MultiHeadAttention", "RMSNorm", "Residual", "SinusoidalPositions", "TransformerBlock",
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AvgPool1d", "AvgPool2d", "Conv1d", "Conv2d", "ConvTranspose1d",
    "ConvTranspose2d", "GlobalAvgPool", "MaxPool1d", "MaxPool2d", "Reshape",
    "ELU", "GELU", "BatchNorm", "Buffer", "Dropout", "Flatten", "LeakyReLU", "Linear", "Maxout", "MinMaxScale", "PCA",
    "Module", "Parameter", "ReLU", "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus", "Standardize", "Tanh", "Unstandardize",
    "__version__", "autodiff", "backends", "checkpoint", "compile", "custom_vjp", "data", "doctor", "estimators", "evaluate", "export", "fit", "grad", "gradcheck", "hvp", "init", "jvp", "layers", "load", "load_torch", "losses", "lr_find",
    "metrics", "namespace", "ops", "optim", "parity", "plot", "predict", "random", "regularizers", "resume", "save", "stop_gradient", "training", "tune", "value_and_grad",
    "vjp",
]  # fmt: skip

if not _typing.TYPE_CHECKING:  # else every name would pass a type checker

    def __getattr__(name):
        from nnx.errors import unknown

        raise unknown("nnx", name, __all__)
