"""A block of a transformer."""

from nnx import init
from nnx.layers.activation import GELU
from nnx.layers.attention import MultiHeadAttention
from nnx.layers.dropout import Dropout
from nnx.layers.layer_norm import LayerNorm
from nnx.layers.linear import Linear
from nnx.layers.module import Module
from nnx.layers.sequential import Sequential
from nnx.typing import Array


class TransformerBlock(Module):
    """u = x + Attention(LayerNorm(x)), y = u + F(LayerNorm(u)), with F = Linear → activation → Linear at each place.

    Shapes: x (N, T, features), y alike; ``hidden`` is F's width, 4 · features unless given. ``dropout`` takes attention
    weights, and values of what is added to x and to u. Normalising before and not after trains without a warm-up (Xiong
    et al.). Equals PyTorch's ``TransformerEncoderLayer(norm_first=True)`` but for its dropout inside F.
    ``mask`` and ``present`` as in :class:`MultiHeadAttention`; ``causal=True`` makes it a block of a GPT.

    Errors: those of the parts. Sources: Vaswani et al. (2017), arXiv:1706.03762; Xiong et al. (2020), arXiv:2002.04745.

    >>> import numpy as np
    >>> TransformerBlock(8, 2)(np.zeros((3, 5, 8), dtype="float32")).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        features: int,
        heads: int,
        *,
        hidden: int | None = None,
        dropout: float = 0.0,
        causal: bool = False,
        activation: Module | None = None,
    ) -> None:
        self.norms = [LayerNorm(features), LayerNorm(features)]
        self.attention = MultiHeadAttention(features, heads, dropout=dropout, causal=causal)
        width = 4 * features if hidden is None else hidden
        self.feed_forward = Sequential(
            Linear(features, width),
            GELU() if activation is None else activation,
            Linear(width, features, init=init.glorot_normal()),
        )
        self.drops = [Dropout(dropout), Dropout(dropout)]

    def forward(self, x: Array, *, mask: Array | None = None, present: Array | None = None) -> Array:
        """Attention, then the dense layers, each added to what came."""
        x = x + self.drops[0](self.attention(self.norms[0](x), mask=mask, present=present))
        return x + self.drops[1](self.feed_forward(self.norms[1](x)))
