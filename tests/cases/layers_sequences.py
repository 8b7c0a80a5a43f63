"""Rows of layer and group norm, embeddings, attention and recurrence. See ``cases/layers.py``."""

from cases import sequences
from cases.layer_row import IMAGES, SEQUENCES, Row, kept

import nnx

WORDS = (2, 4, 6)
STEPS = (2, 3, 6)


SEQUENTIAL: dict[str, Row] = {
    "layer norm": Row(
        nnx.LayerNorm,
        lambda: nnx.LayerNorm(6),
        lambda x, p: sequences.layer_norm(x, p["gamma"], p["beta"]),
        lambda torch, x, p: torch.nn.functional.layer_norm(x, (6,), p["gamma"], p["beta"]),
    ),
    "layer norm of images, without scale": Row(
        nnx.LayerNorm,
        lambda: nnx.LayerNorm(6, affine=False),
        lambda x, p: sequences.layer_norm(x),
        lambda torch, x, p: torch.nn.functional.layer_norm(x, (6,)),
        shape=IMAGES,
    ),
    "rms norm": Row(
        nnx.RMSNorm,
        lambda: nnx.RMSNorm(6),
        lambda x, p: sequences.rms_norm(x, p["gamma"]),
        lambda torch, x, p: torch.nn.functional.rms_norm(x, (6,), p["gamma"], 1e-6),
        shape=SEQUENCES,
    ),
    "rms norm without scale": Row(
        nnx.RMSNorm,
        lambda: nnx.RMSNorm(6, affine=False),
        lambda x, p: sequences.rms_norm(x),
        lambda torch, x, p: torch.nn.functional.rms_norm(x, (6,), None, 1e-6),
    ),
    "group norm": Row(
        nnx.GroupNorm,
        lambda: nnx.GroupNorm(2, 6),
        lambda x, p: sequences.group_norm(x, 2, p["gamma"], p["beta"]),
        lambda torch, x, p: sequences.torch_group_norm(torch, x, 2, p["gamma"], p["beta"]),
    ),
    "group norm of images": Row(
        nnx.GroupNorm,
        lambda: nnx.GroupNorm(3, 6),
        lambda x, p: sequences.group_norm(x, 3, p["gamma"], p["beta"]),
        lambda torch, x, p: sequences.torch_group_norm(torch, x, 3, p["gamma"], p["beta"]),
        shape=IMAGES,
    ),
    "group norm without scale": Row(
        nnx.GroupNorm,
        lambda: nnx.GroupNorm(1, 6, affine=False),
        lambda x, p: sequences.group_norm(x, 1),
        lambda torch, x, p: sequences.torch_group_norm(torch, x, 1),
        shape=IMAGES,
    ),
    "embedding": Row(
        nnx.Embedding,
        lambda: nnx.Embedding(7, 4),
        lambda x, p: p["weight"][x],
        lambda torch, x, p: torch.nn.functional.embedding(x, p["weight"]),
        shape=(5, 3),
        count=7,
    ),
    "embedding with padding": Row(
        nnx.Embedding,
        lambda: nnx.Embedding(3, 4, padding=1),
        lambda x, p: p["weight"][x],
        lambda torch, x, p: torch.nn.functional.embedding(x, p["weight"], padding_idx=1),
        count=3,
        stops=True,
    ),
    "learned positions": Row(
        nnx.LearnedPositions,
        lambda: nnx.LearnedPositions(9, 6),
        lambda x, p: x + p["table"][: x.shape[1]],
        lambda torch, x, p: x + torch.nn.functional.embedding(torch.arange(x.shape[1]), p["table"]),
        shape=SEQUENCES,
    ),
    "sinusoidal positions": Row(
        nnx.SinusoidalPositions,
        lambda: nnx.SinusoidalPositions(7, 6),
        lambda x, p: x + p["table"],
        lambda torch, x, p: x + p["table"],
        shape=SEQUENCES,
    ),
    "residual": Row(
        nnx.Residual,
        lambda: nnx.Residual(nnx.Linear(6, 6)),
        lambda x, p: x + x @ p["inner.weight"] + p["inner.bias"],
        lambda torch, x, p: x + torch.nn.functional.linear(x, p["inner.weight"].T, p["inner.bias"]),
    ),
    "attention": Row(
        nnx.MultiHeadAttention,
        lambda: nnx.MultiHeadAttention(6, 3, dropout=0.5),
        lambda x, p: sequences.attend(x, p, 3),
        lambda torch, x, p: sequences.torch_attend(torch, x, p, 3),
        shape=WORDS,
        grows=1e8,
    ),
    "causal attention without bias": Row(
        nnx.MultiHeadAttention,
        lambda: nnx.MultiHeadAttention(6, 2, causal=True, bias=False),
        lambda x, p: sequences.attend(x, p, 2, sequences.causal(x, 2)),
        lambda torch, x, p: sequences.torch_attend(torch, x, p, 2, causal=True),
        shape=WORDS,
        grows=1e8,
    ),
    "attention, training": Row(
        nnx.MultiHeadAttention,
        lambda: nnx.MultiHeadAttention(6, 2, dropout=0.25),
        lambda x, p: sequences.attend(x, p, 2, factor=kept((len(x), 2, 4, 4), 0.25) / 0.75),
        lambda torch, x, p: sequences.torch_attend_dropping(torch, x, p, 2, kept((len(x), 2, 4, 4), 0.25) / 0.75),
        shape=WORDS,
        training=True,
        grows=1e8,
    ),
    "transformer block": Row(
        nnx.TransformerBlock,
        lambda: nnx.TransformerBlock(6, 2, hidden=5, causal=True),
        lambda x, p: sequences.block(x, p, 2),
        lambda torch, x, p: sequences.torch_block(torch, x, p, 2),
        shape=WORDS,
    ),
    "gru": Row(
        nnx.GRU,
        lambda: nnx.GRU(6, 2),
        lambda x, p: sequences.gru(x, p),
        lambda torch, x, p: sequences.torch_gru(torch, x, p),
        shape=STEPS,
        grows=100.0,
    ),
    "lstm": Row(
        nnx.LSTM,
        lambda: nnx.LSTM(6, 2),
        lambda x, p: sequences.lstm(x, p),
        lambda torch, x, p: sequences.torch_lstm(torch, x, p),
        shape=STEPS,
        grows=100.0,
    ),
}
