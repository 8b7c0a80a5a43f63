"""Models of PyTorch and of nnx that are named alike, with the same settings."""

import numpy as np
import torch
from torch import nn as tn

import nnx

LIMITS = {"float32": 1e-5, "float64": 1e-10}


class Cnn(tn.Module):
    def __init__(self):
        super().__init__()
        self.stem = tn.Sequential(tn.Conv2d(2, 6, 3, stride=2, padding=1, bias=False), tn.BatchNorm2d(6), tn.ReLU())
        self.body = tn.Sequential(
            tn.Conv2d(6, 6, (3, 1), groups=3, padding=(1, 0)), tn.GroupNorm(2, 6), tn.MaxPool2d(2)
        )
        self.up = tn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2)
        self.head = tn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.up(self.body(self.stem(x))).mean((2, 3)))


class OurCnn(nnx.Module):
    def __init__(self):
        self.stem = nnx.Sequential(nnx.Conv2d(2, 6, 3, stride=2, padding=1, bias=False), nnx.BatchNorm(6), nnx.ReLU())
        self.body = nnx.Sequential(
            nnx.Conv2d(6, 6, (3, 1), groups=3, padding=(1, 0)), nnx.GroupNorm(2, 6), nnx.MaxPool2d(2)
        )
        self.up = nnx.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2)
        self.pool, self.head = nnx.GlobalAvgPool(), nnx.Linear(4, 3)

    def forward(self, x):
        return self.head(self.pool(self.up(self.body(self.stem(x)))))


class Words(tn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.positions = tn.Embedding(9, 8), tn.Embedding(5, 8)
        self.block = tn.TransformerEncoderLayer(8, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True)
        self.attention = tn.MultiheadAttention(8, 4, batch_first=True)
        self.norm, self.gru, self.lstm = (
            tn.RMSNorm(8, eps=1e-6),
            tn.GRU(8, 6, batch_first=True),
            tn.LSTM(6, 4, batch_first=True),
        )
        self.conv = tn.Conv1d(4, 3, 3, padding=1)
        self.up = tn.ConvTranspose1d(3, 2, 2, stride=2)

    def forward(self, x):
        x = self.block(self.words(x) + self.positions(torch.arange(x.shape[1])))
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        x = self.lstm(self.gru(x)[0])[0]
        return self.up(self.conv(x.transpose(1, 2))).transpose(1, 2)


class OurWords(nnx.Module):
    def __init__(self):
        self.words, self.positions = nnx.Embedding(9, 8), nnx.LearnedPositions(5, 8)
        self.block, self.attention = nnx.TransformerBlock(8, 2, hidden=12), nnx.MultiHeadAttention(8, 4)
        self.norm, self.gru, self.lstm = nnx.RMSNorm(8), nnx.GRU(8, 6), nnx.LSTM(6, 4)
        self.conv, self.up = nnx.Conv1d(4, 3, 3, padding=1), nnx.ConvTranspose1d(3, 2, 2, stride=2)

    def forward(self, x):
        x = self.block(self.positions(self.words(x)))
        x = self.norm(x + self.attention(x))
        return self.up(self.conv(self.lstm(self.gru(x))))


def mlp(library):
    names = {"BatchNorm": "BatchNorm1d"} if library is tn else {}
    at = lambda name: getattr(library, names.get(name, name))  # noqa: E731
    return library.Sequential(
        at("Linear")(6, 8, bias=False), at("BatchNorm")(8), at("Tanh")(), at("Dropout")(0.5),
        library.Sequential(at("Linear")(8, 8), at("LayerNorm")(8)), at("GELU")(), at("Linear")(8, 3),
    )  # fmt: skip


PAIRS = {
    "mlp": (lambda: mlp(tn), lambda: mlp(nnx), (5, 6), None),
    "cnn": (Cnn, OurCnn, (2, 8, 8, 2), (0, 3, 1, 2)),
    "words": (Words, OurWords, (3, 5), None),
}


def drawn(module, dtype, seed=0):
    """A PyTorch model whose every array has been drawn: the usual beginnings of zeros and ones would hide a mistake."""
    generator = torch.Generator().manual_seed(seed)
    module = module.to(getattr(torch, dtype)).eval()
    for name, array in module.state_dict().items():
        if array.is_floating_point():
            values = (
                torch.randn(array.shape, generator=generator, dtype=array.dtype) / max(array.shape[-1:] or (1,)) ** 0.5
            )
            array.copy_(values.abs() + 0.5 if "running_var" in name else values)
    return module


def inputs(shape, dtype, seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 9, shape) if len(shape) == 2 and shape[1] == 5 else rng.normal(size=shape).astype(dtype)


def apart(name, dtype, seed=0, through=lambda state: state):
    """How far the two models of a pair are from each other, relative to the largest output; dtypes alike."""
    theirs, ours, shape, order = PAIRS[name]
    theirs, model = drawn(theirs(), dtype, seed), ours()
    assert nnx.load_torch(through(theirs.state_dict()), into=model) is model
    x = inputs(shape, dtype, seed + 1)
    with torch.no_grad():
        tx = torch.tensor(x)
        expected = theirs(tx if order is None else tx.permute(order)).numpy()
    found = model(x)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())
