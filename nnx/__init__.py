"""nnx: train neural networks on any array library that speaks the Python Array API standard.

What a model is made of and computes with is imported at once; what trains, judges and shows it, when it is first asked for.
"""

import typing as _typing

from nnx import autodiff, backends, init, late, layers, ops, random
from nnx.autodiff import (
    checkpoint,
    custom_vjp,
    grad,
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

if _typing.TYPE_CHECKING:
    from nnx import data, estimators, losses, metrics, optim, plot, regularizers
    from nnx import models as models
    from nnx import train as train
    from nnx.autodiff import gradcheck
    from nnx.train import evaluate, load, load_torch, lr_find, predict, save
    from nnx.train.fit import fit  # from their files: mypy takes nnx.train's for the modules
    from nnx.train.resume import resume
else:  # or every name would pass a type checker
    _modules = ("data", "estimators", "losses", "metrics", "models", "optim", "plot", "regularizers", "train")
    _homes = {name: f"nnx.{name}" for name in _modules}
    _homes |= dict.fromkeys(("evaluate", "load", "load_torch", "lr_find", "predict", "save"), "nnx.train")
    _homes |= {"gradcheck": "nnx.autodiff", "fit": "nnx.train.fit", "resume": "nnx.train.resume"}
    __getattr__, __dir__ = late.names("nnx", _homes, ("ops", "losses", "optim", "metrics"))
