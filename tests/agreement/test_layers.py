"""Value and gradient of every layer, pairwise, in the tier of its arithmetic.

exact       built of + − · / √, comparisons, indexing and random bits alone
ulp         one exp, log, tanh, expm1 or erf among them
scaled      sums and products: c √K eps times the size of the terms
"""

import math

import numpy as np
import pytest
from agreement.runs import to_host
from cases.layers import LAYERS
from layers.helpers import call, draw, gradients, prepared
from support.compare import assert_agrees

C = 4.0
EXACT = {
    "batch norm", "batch norm of images", "dropout", "dropout, training", "dropout of nothing, training", "flatten",
    "leaky relu", "maxout", "relu", "unstandardize",
    "max pool", "max pool of sequences", "reshape",
    "embedding", "embedding with padding", "learned positions", "sinusoidal positions",
}  # fmt: skip
ULP = {
    "elu": 4.0,
    "sigmoid": 3.0,
    "softplus": 4.0,
    "tanh": 4.0,
    "silu": 4.0,
    "standardize": 2.0,
    "standardize images": 2.0,
}
"""``standardize``: XLA multiplies by the reciprocal where a divisor is broadcast."""
TERMS = {"gelu": 4, "min-max": 2, "gelu by tanh": 4, "pca": 8, "pca, whitening": 10, "softmax": 6, "linear": 6, "linear without bias": 6, "linear on the last of four axes": 6,
         "batch norm, training": 30, "batch norm of images, training": 72, "batch norm without scale, training": 30,
         "sequential": 60,
         "convolution of sequences": 18, "convolution": 54, "convolution in groups, without bias": 12,
         "transposed convolution of sequences": 12, "transposed convolution": 12, "average pool of sequences": 3, "average pool": 6,
         "adaptive average pool of sequences": 3, "adaptive average pool": 4, "global average pool": 30,
         "layer norm": 30, "layer norm of images, without scale": 30, "rms norm": 12, "rms norm without scale": 12, "group norm": 30,
         "group norm of images": 80, "group norm without scale": 200, "residual": 8, "attention": 40,
         "causal attention without bias": 40, "attention, training": 40, "transformer block": 90, "gru": 60, "lstm": 60}  # fmt: skip

rows = pytest.mark.parametrize("name", LAYERS)
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def scaled(terms, dtype):
    return C * math.sqrt(terms) * float(np.finfo(dtype).eps)


def tier_of(name, dtype, expected):
    if name in EXACT:
        return {"exact": True}
    if name in ULP:
        return {"ulp": ULP[name]}
    return {"rtol": scaled(TERMS[name], dtype), "scale": max(1.0, np.abs(expected).max())}


def test_every_layer_has_a_tier():
    assert EXACT | set(ULP) | set(TERMS) == set(LAYERS)
    assert len(EXACT) + len(ULP) + len(TERMS) == len(LAYERS)


def inputs(row, dtype):
    return row.inputs() if row.count else row.inputs().astype(dtype)


@rows
@DTYPES
def test_value(name, dtype, backend, others, record_disagreement):
    row, x = LAYERS[name], inputs(LAYERS[name], dtype)
    ours = call(row, prepared(row, backend, dtype)[0], backend.asarray(x))
    for other in others:
        expected = to_host(call(row, prepared(row, other, dtype)[0], other.asarray(x)))
        worst = assert_agrees(ours, expected, **tier_of(name, dtype, expected), backend=backend, what=f"{other.spec}: ")
        record_disagreement(f"agree: {row.covers.__name__}", backend, dtype, *worst)


@rows
@DTYPES
def test_gradients(name, dtype, backend, others, record_disagreement):
    """All are sums over the batch at most, of terms as large as the largest gradient."""
    row, x = LAYERS[name], inputs(LAYERS[name], dtype)

    def all_of(backend):
        model, _ = prepared(row, backend, dtype)
        weights = draw(tuple(call(row, model, backend.asarray(x)).shape), 1).astype(dtype)
        return gradients(row, model, backend.asarray(x), backend.asarray(weights))

    by_path, by_x = all_of(backend)
    for other in others:
        by_path_there, by_x_there = all_of(other)
        pairs = [(path, g, by_path_there[path]) for path, g in by_path.items()]
        for path, g, there in pairs if row.count else [*pairs, ("x", by_x, by_x_there)]:
            expected = to_host(there)
            scale = max(1.0, np.abs(expected).max())
            worst = assert_agrees(g, expected, rtol=scaled(72, dtype), scale=scale, backend=backend, what=f"{path}: ")
            record_disagreement(f"agree: {row.covers.__name__} gradient", backend, dtype, *worst)
