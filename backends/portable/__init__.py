"""The hooks' portable defaults, one idea per file: slow is fine, wrong is not. They are the oracle of every override."""

from nnx.backends.portable.batch_norm import batch_norm, batch_norm_back
from nnx.backends.portable.convolution import convolve, convolve_to_input, convolve_to_weight, inside, pad
from nnx.backends.portable.cross_entropy import cross_entropy, cross_entropy_back, one_hot
from nnx.backends.portable.each import each, each_joined
from nnx.backends.portable.erf import erf
from nnx.backends.portable.finite import finite
from nnx.backends.portable.fuse import fuse
from nnx.backends.portable.memory import exhausted, room
from nnx.backends.portable.philox import random_words
from nnx.backends.portable.pool import pool, unpool
from nnx.backends.portable.product import product
from nnx.backends.portable.put import put
from nnx.backends.portable.relu import relu, relu_back
from nnx.backends.portable.scatter_add import scatter_add
from nnx.backends.portable.windows import fold, windows

__all__ = [
    "batch_norm", "batch_norm_back", "convolve", "convolve_to_input", "convolve_to_weight", "cross_entropy", "cross_entropy_back", "each",
    "each_joined", "erf", "exhausted", "finite", "fold", "fuse", "inside", "one_hot", "pad", "pool", "product", "put", "random_words", "relu", "relu_back", "room",
    "scatter_add", "unpool", "windows",
]  # fmt: skip
