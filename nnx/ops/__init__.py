"""What networks need and the standard lacks: each file is formula, forward, derivative."""

from nnx.autodiff.hooks import erf, fold, scatter_add, windows
from nnx.ops.activation import elu, gelu, leaky_relu, maxout, relu, sigmoid, silu, softplus, tanh
from nnx.ops.convolution import convolution, transposed_convolution
from nnx.ops.dropout import dropout
from nnx.ops.linear import linear
from nnx.ops.logistic import sigmoid_cross_entropy
from nnx.ops.normalization import batch_norm, normalize
from nnx.ops.pooling import adaptive_average_pool, average_pool, global_average_pool, max_pool
from nnx.ops.softmax import label_cross_entropy, log_softmax, one_hot, softmax, softmax_cross_entropy

__all__ = [
    "adaptive_average_pool", "average_pool", "batch_norm", "convolution", "dropout", "elu", "erf", "fold", "gelu",
    "global_average_pool", "label_cross_entropy", "leaky_relu", "linear", "log_softmax", "max_pool", "maxout", "normalize", "one_hot", "relu",
    "scatter_add", "sigmoid", "sigmoid_cross_entropy", "silu", "softmax", "softmax_cross_entropy", "softplus", "tanh",
    "transposed_convolution", "windows",
]  # fmt: skip
