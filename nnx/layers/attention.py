"""Multi-head attention."""

from nnx import backends, init, ops, random
from nnx.autodiff import namespace
from nnx.autodiff.tensor import value_of
from nnx.backends.portable.lengths import lengths
from nnx.errors import ConfigError, DtypeError, ShapeError
from nnx.layers.checks import check_features, probability
from nnx.layers.linear import Linear, positive
from nnx.layers.module import Module
from nnx.layers.training import current_pass
from nnx.typing import Array


class MultiHeadAttention(Module):
    """Each of h heads: softmax(Q Kᵀ/√d) V with Q = x W_q + b_q, K = c W_k, V = c W_v + b_v; their results side by side,
    times W_o, plus b_o. Head i has features i·d … (i + 1)·d − 1 of Q, K and V, d = features/heads. Keys have no bias:
    it would add the same to all scores of a query, which softmax does not see.

    ``layer(x)`` is self-attention, c = x; ``layer(x, c)`` looks into another sequence.
    Shapes: x (N, T, features), c (N, S, features), y (N, T, features). What a place may see:

    * ``causal=True``: place t sees the places 0 … t;
    * ``mask=``, boolean (T, S), (N, T, S) or (N, heads, T, S): *true* where a query may see a key;
    * ``present=``, boolean (N, S): *false* at padding, which nobody sees.

    All that are given must allow it. A place that may see nothing gets b_o. ``dropout`` takes attention weights in
    training. Equals PyTorch's ``MultiheadAttention(batch_first=True)``: ``in_proj_weight`` is (W_q | W_k | W_v)ᵀ,
    ``in_proj_bias`` (b_q | anything | b_v), ``out_proj.weight`` W_oᵀ, ``attn_mask`` is *not* mask and
    ``key_padding_mask`` *not* present; PyTorch gives NaN where nothing is seen.

    Errors: ``ConfigError`` for features that do not divide into the heads; ``ShapeError`` for another rank, number of
    features or batch, or c without a place; ``DtypeError`` for another dtype than the model's or a mask that is not
    boolean. Source: Vaswani et al. (2017), arXiv:1706.03762.

    >>> import numpy as np
    >>> layer = MultiHeadAttention(8, 2, causal=True).initialize(seed=0)
    >>> layer(np.zeros((3, 5, 8), dtype="float32")).shape
    (3, 5, 8)
    """

    def __init__(
        self, features: int, heads: int, *, dropout: float = 0.0, causal: bool = False, bias: bool = True
    ) -> None:
        positive("features", features, "MultiHeadAttention")
        positive("heads", heads, "MultiHeadAttention")
        if features % heads:
            raise ConfigError(
                expected="features that divide into the heads",
                got=f"{features} features, {heads} heads",
                where="MultiHeadAttention",
                fix=f"Take {heads * -(-features // heads)} features, or another number of heads.",
            )
        self.features, self.heads, self.causal = features, heads, bool(causal)
        self.dropout = probability(dropout, "MultiHeadAttention")
        self.query, self.key, self.value, self.output = (
            Linear(features, features, bias=bias and name != "key", init=init.glorot_normal())
            for name in ("query", "key", "value", "output")
        )

    def forward(
        self, x: Array, context: Array | None = None, *, mask: Array | None = None, present: Array | None = None
    ) -> Array:
        """What each place of x gathers from the context, which is x itself where none is given."""
        context = x if context is None else context
        for array, name in ((x, "N, T"), (context, "N, S")):
            check_features(array, self.features, None, name, 3, 3)
        n, t, s = x.shape[0], x.shape[1], context.shape[1]
        if context.shape[0] != n or s == 0:
            raise ShapeError(
                expected=f"a context of shape ({n}, S, {self.features}) with S ≥ 1",
                got=f"{tuple(context.shape)}",
                fix="Give one sequence, not an empty one, for each example.",
            )
        q, k, v = self._cut(self.query(x)), self._cut(self.key(context)), self._cut(self.value(context))
        keep, this = None, current_pass()
        if this is not None and self.dropout:
            shape, backend = (n, self.heads, t, s), backends.of(value_of(q))
            keep = this.draw("dropout", self, random.bernoulli, 1 - self.dropout, shape, backend)
        seen = _seen(mask, present, (n, t, s))
        y = ops.attention(q, k, v, seen, causal=self.causal, keep=keep, p=self.dropout)
        xp = namespace(y)
        return self.output(xp.reshape(xp.permute_dims(y, (0, 2, 1, 3)), lengths((n, t, self.features))))

    def _cut(self, x: Array) -> Array:
        """(N, T, features) → (N, heads, T, d)."""
        xp = namespace(x)
        cut = xp.reshape(x, (*lengths(x.shape[:2]), self.heads, self.features // self.heads))
        return xp.permute_dims(cut, (0, 2, 1, 3))


def _seen(mask: Array | None, present: Array | None, shape: tuple[int, int, int]) -> Array | None:
    """Both masks as one that broadcasts to (N, heads, T, S)."""
    n, _, s = shape
    if mask is not None and mask.ndim == 3:
        mask = mask[:, None, :, :]
    if present is None:
        return mask
    kind = str(present.dtype).rpartition(".")[2]
    if kind != "bool":
        raise DtypeError(
            expected="present as booleans, false at padding", got=kind, fix="Write for example index != padding."
        )
    if tuple(present.shape) != (n, s):
        raise ShapeError(
            expected=f"present of shape ({n}, {s})",
            got=f"{tuple(present.shape)}",
            fix="Give one truth for each place of the context.",
        )
    padding = present[:, None, None, :]
    if mask is None:
        return padding
    return namespace(mask, padding).logical_and(mask, padding)
