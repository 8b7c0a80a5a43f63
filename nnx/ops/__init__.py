"""What networks need and the standard lacks: each file is formula, forward, derivative."""

from nnx.autodiff.hooks import erf, fold, scatter_add, windows
from nnx.backends.portable import one_hot
from nnx.ops.activation import elu, gelu, leaky_relu, maxout, relu, sigmoid, silu, softplus, tanh
from nnx.ops.attention import attention
from nnx.ops.convolution import convolution, transposed_convolution
from nnx.ops.dropout import dropout
from nnx.ops.embedding import embedding
from nnx.ops.group_norm import group_norm
from nnx.ops.layer_norm import layer_norm
from nnx.ops.linear import linear
from nnx.ops.logistic import sigmoid_cross_entropy
from nnx.ops.normalization import batch_norm, normalize
from nnx.ops.pooling import adaptive_average_pool, average_pool, global_average_pool, max_pool
from nnx.ops.recurrence import gru, lstm
from nnx.ops.rms_norm import rms_norm
from nnx.ops.softmax import label_cross_entropy, log_softmax, softmax, softmax_cross_entropy

__all__ = [
    "adaptive_average_pool", "attention", "average_pool", "batch_norm", "convolution", "dropout", "elu",
    "embedding", "erf", "fold", "gelu", "global_average_pool", "group_norm", "gru", "label_cross_entropy",
    "layer_norm", "leaky_relu", "linear", "log_softmax", "lstm", "max_pool", "maxout", "normalize", "one_hot",
    "relu", "rms_norm", "scatter_add", "sigmoid", "sigmoid_cross_entropy", "silu", "softmax",
    "softmax_cross_entropy", "softplus", "tanh", "transposed_convolution", "windows",
]  # fmt: skip
