"""Softmax and the cross-entropies far out, with masked classes, and in relative accuracy; dropout and one-hot rows."""

import math

import numpy as np
import pytest
from support.compare import assert_agrees

import nnx
from nnx import ops

INF = math.inf


def total(f, *constants):
    return lambda x: nnx.namespace(x).sum(f(x, *constants))


def test_large_logits(backend):
    x = backend.asarray([[1e4, -1e4, 1e4], [-1e4, -1e4, -1e4], [1e4, 0.0, -1e4]])
    assert_agrees(
        ops.softmax(x),
        [[0.5, 0.0, 0.5], [1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0]],
        rtol=1e-15,
        scale=1.0,
        backend=backend,
    )
    log2, log3 = math.log(2), math.log(3)
    expected = [[-log2, -2e4 - log2, -log2], [-log3] * 3, [0.0, -1e4, -2e4]]
    assert_agrees(ops.log_softmax(x), expected, rtol=1e-15, backend=backend)


def test_log_softmax_where_softmax_underflows(backend):
    y = ops.log_softmax(backend.asarray([0.0, -1000.0]))
    assert_agrees(y, [0.0, -1000.0], rtol=1e-15, backend=backend)


def test_a_class_that_cannot_be(backend):
    """A logit of −∞ masks a class: no probability, no gradient, nothing in the loss, no NaN and no warning."""
    x = backend.asarray([[0.0, -INF, 1.0], [2.0, -INF, -INF]])
    p = [[1 / (1 + math.e), 0.0, math.e / (1 + math.e)], [1.0, 0.0, 0.0]]
    assert_agrees(ops.softmax(x), p, rtol=1e-15, scale=1.0, backend=backend)
    t = np.asarray([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert_agrees(
        ops.softmax_cross_entropy(x, backend.asarray(t)),
        [math.log(1 + math.e), 0.0],
        rtol=1e-15,
        scale=1.0,
        backend=backend,
    )
    g = nnx.grad(total(ops.softmax_cross_entropy, backend.asarray(t)))(x)
    assert_agrees(g, np.asarray(p) - t, rtol=1e-15, scale=1.0, backend=backend)


def test_a_target_that_cannot_be_costs_infinitely_much(backend):
    y = ops.softmax_cross_entropy(backend.asarray([[0.0, -INF]]), backend.asarray([[0.0, 1.0]]))
    assert_agrees(y, [INF], exact=True, backend=backend)


def test_the_gradient_is_probabilities_minus_targets(backend):
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(6, 5)), rng.dirichlet(np.ones(5), size=6)
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    g = nnx.grad(total(ops.softmax_cross_entropy, backend.asarray(t)))(backend.asarray(x))
    assert_agrees(g, p - t, rtol=1e-15, scale=4.0, backend=backend)


def test_gradients_sum_to_zero_where_the_value_does_not_depend_on_a_shift(backend):
    x = backend.asarray(np.random.default_rng(1).normal(size=(3, 7)))
    w = backend.asarray(np.random.default_rng(2).normal(size=(3, 7)))
    for f in (ops.softmax, ops.log_softmax):
        g = nnx.grad(lambda x, f=f: nnx.namespace(x).sum(f(x) * w))(x)
        assert np.abs(backend.to_numpy(g).sum(-1)).max() < 1e-14


def test_sigmoid_cross_entropy_is_exact_at_both_ends(backend):
    x = backend.asarray([1e4, 50.0, -50.0, -1e4, 0.0])
    yes = [0.0, math.exp(-50), 50 + math.exp(-50), 1e4, math.log(2)]
    assert_agrees(ops.sigmoid_cross_entropy(x, backend.asarray(np.ones(5))), yes, rtol=1e-15, backend=backend)
    assert_agrees(ops.sigmoid_cross_entropy(-x, backend.asarray(np.zeros(5))), yes, rtol=1e-15, backend=backend)


def test_one_hot(backend):
    labels = backend.asarray(np.asarray([2, 0]))
    rows = ops.one_hot(backend.xp, labels, 3, backend.xp.float32)
    assert_agrees(rows, [[0, 0, 1], [1, 0, 0]], exact=True, backend=backend, dtype="float32")


@pytest.mark.parametrize("p", [0.0, 0.5, 0.9])
def test_dropout_has_the_same_mask_forward_and_backward(p, backend):
    keep = np.random.default_rng(0).random((50, 4)) > p
    x = np.random.default_rng(1).normal(size=(50, 4))
    f = lambda x, keep: ops.dropout(x, keep, p)  # noqa: E731
    y = f(backend.asarray(x), backend.asarray(keep))
    g = nnx.grad(total(f, backend.asarray(keep)))(backend.asarray(x))
    assert_agrees(y, x * (keep * (1 / (1 - p))), exact=True, backend=backend)
    assert_agrees(g, keep * (1 / (1 - p)), exact=True, backend=backend)
