"""Rows of convolution, pooling and what changes the shape of images. See ``cases/layers.py``."""

import numpy as np
from cases import spatial
from cases.layer_row import IMAGES, SEQUENCES, Row

import nnx

SQUARES = (2, 6, 5, 6)


SPATIAL: dict[str, Row] = {
    "convolution of sequences": Row(
        nnx.Conv1d,
        lambda: nnx.Conv1d(6, 4, 3, stride=2, padding=1),
        lambda x, p: spatial.convolve(x, p["weight"], p["bias"], (2,), (1,), (1,), 1),
        lambda torch, x, p: spatial.torch_convolve(torch, x, p["weight"], p["bias"], stride=2, padding=1),
        shape=SEQUENCES,
    ),
    "convolution": Row(
        nnx.Conv2d,
        lambda: nnx.Conv2d(6, 4, 3, padding="same"),
        lambda x, p: spatial.convolve(x, p["weight"], p["bias"], (1, 1), (1, 1), (1, 1), 1),
        lambda torch, x, p: spatial.torch_convolve(torch, x, p["weight"], p["bias"], padding="same"),
        shape=SQUARES,
    ),
    "convolution in groups, without bias": Row(
        nnx.Conv2d,
        lambda: nnx.Conv2d(6, 9, (3, 2), stride=(1, 2), dilation=(2, 1), groups=3, bias=False),
        lambda x, p: spatial.convolve(x, p["weight"], None, (1, 2), (0, 0), (2, 1), 3),
        lambda torch, x, p: spatial.torch_convolve(
            torch, x, p["weight"], None, stride=(1, 2), dilation=(2, 1), groups=3
        ),
        shape=SQUARES,
    ),
    "transposed convolution of sequences": Row(
        nnx.ConvTranspose1d,
        lambda: nnx.ConvTranspose1d(6, 4, 4, stride=2, padding=1),
        lambda x, p: spatial.spread(x, p["weight"], p["bias"], (2,), (1,), (0,), (1,), 1),
        lambda torch, x, p: spatial.torch_convolve(
            torch, x, p["weight"], p["bias"], transposed=True, stride=2, padding=1
        ),
        shape=SEQUENCES,
    ),
    "transposed convolution": Row(
        nnx.ConvTranspose2d,
        lambda: nnx.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1, groups=2),
        lambda x, p: spatial.spread(x, p["weight"], p["bias"], (2, 2), (0, 0), (1, 1), (1, 1), 2),
        lambda torch, x, p: spatial.torch_convolve(
            torch, x, p["weight"], p["bias"], transposed=True, stride=2, output_padding=1, groups=2
        ),
        shape=SQUARES,
    ),
    "max pool of sequences": Row(
        nnx.MaxPool1d,
        lambda: nnx.MaxPool1d(3, stride=2, padding=1),
        lambda x, p: spatial.pooled(x, (3,), (2,), (1,), (1,), np.max, -np.inf),
        lambda torch, x, p: spatial.torch_pool(torch, "max_pool", x, 3, stride=2, padding=1),
        shape=SEQUENCES,
    ),
    "max pool": Row(
        nnx.MaxPool2d,
        lambda: nnx.MaxPool2d(2),
        lambda x, p: spatial.pooled(x, (2, 2), (2, 2), (0, 0), (1, 1), np.max),
        lambda torch, x, p: spatial.torch_pool(torch, "max_pool", x, 2),
        shape=SQUARES,
    ),
    "average pool of sequences": Row(
        nnx.AvgPool1d,
        lambda: nnx.AvgPool1d(3, stride=1, padding=1),
        lambda x, p: spatial.pooled(x, (3,), (1,), (1,), (1,), np.mean),
        lambda torch, x, p: spatial.torch_pool(torch, "avg_pool", x, 3, stride=1, padding=1) if len(x) else 0 * x,
        shape=SEQUENCES,
    ),
    "average pool": Row(
        nnx.AvgPool2d,
        lambda: nnx.AvgPool2d((3, 2)),
        lambda x, p: spatial.pooled(x, (3, 2), (3, 2), (0, 0), (1, 1), np.mean),
        lambda torch, x, p: spatial.torch_pool(torch, "avg_pool", x, (3, 2)),
        shape=SQUARES,
    ),
    "adaptive average pool of sequences": Row(
        nnx.AdaptiveAvgPool1d,
        lambda: nnx.AdaptiveAvgPool1d(3),
        lambda x, p: spatial.adaptive(x, (3,)),
        lambda torch, x, p: spatial.torch_pool(torch, "adaptive_avg_pool", x, 3),
        shape=SEQUENCES,
    ),
    "adaptive average pool": Row(
        nnx.AdaptiveAvgPool2d,
        lambda: nnx.AdaptiveAvgPool2d((3, 4)),
        lambda x, p: spatial.adaptive(x, (3, 4)),
        lambda torch, x, p: spatial.torch_pool(torch, "adaptive_avg_pool", x, (3, 4)),
        shape=SQUARES,
    ),
    "global average pool": Row(
        nnx.GlobalAvgPool,
        nnx.GlobalAvgPool,
        lambda x, p: x.mean((1, 2)),
        lambda torch, x, p: x.mean((1, 2)),
        shape=SQUARES,
    ),
    "reshape": Row(
        nnx.Reshape,
        lambda: nnx.Reshape((8, 3, 2)),
        lambda x, p: x.reshape(len(x), 8, 3, 2),
        lambda torch, x, p: torch.reshape(x, (len(x), 8, 3, 2)),
        shape=IMAGES,
    ),
    "standardize images": Row(
        nnx.Standardize,
        lambda: nnx.Standardize(6).fit(2.0 + 3.0 * np.random.default_rng(0).normal(size=(9, 4, 2, 6))),
        lambda x, p: (x - p["mean"]) / p["scale"],
        None,
        shape=IMAGES,
        why="PyTorch has no such layer; scikit-learn's is compared in test_preparation.py",
    ),
}
