"""What networks need and the standard lacks: each file is formula, forward, derivative."""

from nnx.autodiff.hooks import erf, fold, scatter_add, windows
from nnx.ops.activation import elu, gelu, leaky_relu, maxout, relu, sigmoid, silu, softplus, tanh
from nnx.ops.dropout import dropout
from nnx.ops.linear import linear
from nnx.ops.logistic import sigmoid_cross_entropy
from nnx.ops.normalization import batch_norm, normalize
from nnx.ops.softmax import log_softmax, one_hot, softmax, softmax_cross_entropy

__all__ = [
    "batch_norm", "dropout", "elu", "erf", "fold", "gelu", "leaky_relu", "linear", "log_softmax", "maxout", "normalize",
    "one_hot", "relu", "scatter_add", "sigmoid", "sigmoid_cross_entropy", "silu", "softmax", "softmax_cross_entropy", "softplus", "tanh",
    "windows",
]  # fmt: skip
