"""Activations where they are delicate: at kinks, far out, at infinities and NaN, and in their relative accuracy."""

import math

import numpy as np
import pytest
from support.compare import assert_agrees

import nnx
from nnx import ops

FAR = [1e4, -1e4, 745.0, -745.0, 40.0, -40.0]

KINKS = {
    "relu": (ops.relu, 0.0),
    "leaky_relu": (lambda x: ops.leaky_relu(x, 0.1), 0.1),
    "elu": (lambda x: ops.elu(x, 0.5), 0.5),
}


def slope(f, x):
    return nnx.grad(lambda x: nnx.namespace(x).sum(f(x)))(x)


@pytest.mark.parametrize("name", KINKS)
def test_at_the_kink_the_derivative_from_the_left(name, backend):
    f, left = KINKS[name]
    x = backend.asarray([0.0, -0.0])
    assert_agrees(slope(f, x), [left, left], exact=True, backend=backend)


@pytest.mark.parametrize("name", KINKS)
def test_at_the_kink_the_mixed_derivative_is_the_same_in_both_orders(name, backend):
    f, left = KINKS[name]
    x, w = backend.asarray([0.0, 1.0]), backend.asarray([2.0, 2.0])

    def loss(x, w):
        return nnx.namespace(x, w).sum(w * f(x))

    by_x = nnx.grad(lambda x: nnx.namespace(x).sum(nnx.grad(loss, argnums=1)(x, w)))(x)
    by_w = nnx.grad(lambda w: nnx.namespace(w).sum(nnx.grad(loss, argnums=0)(x, w)))(w)
    assert_agrees(by_x, [left, 1.0], exact=True, backend=backend)
    assert_agrees(by_w, [left, 1.0], exact=True, backend=backend)


@pytest.mark.parametrize(
    "f, expected", [(ops.sigmoid, [1 / 4, 0.0, -1 / 8, 0.0]), (ops.softplus, [1 / 2, 1 / 4, 0.0, -1 / 8])]
)
def test_smooth_functions_have_all_derivatives_at_zero(f, expected, backend):
    g, x = f, backend.asarray(0.0)
    for value in expected:
        g = nnx.grad(g)
        assert_agrees(g(x), np.asarray(value), rtol=1e-15, scale=1.0, backend=backend)


def test_sigmoid_far_out(backend):
    x = backend.asarray(FAR)
    expected = [1.0, 0.0, 1.0, math.exp(-745.0), 1 / (1 + math.exp(-40)), math.exp(-40)]
    tiny = [1e-300 if backend.name == "jax" else 0.0] * 6  # XLA takes subnormal numbers for 0
    assert_agrees(ops.sigmoid(x), expected, rtol=1e-15, scale=np.maximum(expected, tiny) + 1e-310, backend=backend)
    slopes = [0.0, 0.0, math.exp(-745.0), math.exp(-745.0), math.exp(-40), math.exp(-40)]
    assert_agrees(slope(ops.sigmoid, x), slopes, rtol=1e-14, scale=np.maximum(slopes, tiny) + 1e-308, backend=backend)


def test_softplus_far_out(backend):
    x = backend.asarray([1e4, -1e4, 40.0, -40.0, -700.0])
    expected = [1e4, 0.0, 40 + math.exp(-40), math.exp(-40), math.exp(-700)]
    assert_agrees(ops.softplus(x), expected, rtol=1e-15, backend=backend)


def test_silu_and_gelu_far_out(backend):
    x = backend.asarray([1e4, -1e4, -40.0])
    assert_agrees(ops.silu(x), [1e4, 0.0, -40 * math.exp(-40)], rtol=1e-15, backend=backend)
    for approximate in (False, True):
        y = ops.gelu(x, approximate)
        assert_agrees(y, [1e4, 0.0, 0.0], rtol=1e-15, scale=1e4, backend=backend)
        g = slope(lambda x, a=approximate: ops.gelu(x, a), x)
        assert_agrees(g, [1.0, 0.0, 0.0], rtol=1e-15, scale=1.0, backend=backend)


def test_gelu_by_tanh_is_as_far_from_the_exact_one_as_it_says(backend):
    x = backend.asarray(np.linspace(-6, 6, 2001))
    gap = np.abs(backend.to_numpy(ops.gelu(x) - ops.gelu(x, approximate=True))).max()
    assert 4.6e-4 < gap < 4.8e-4


def test_tanh_is_two_sigmoids(backend):
    x = backend.asarray(np.linspace(-30, 30, 121))
    assert_agrees(ops.tanh(x), 2 * ops.sigmoid(2 * x) - 1, rtol=1e-15, scale=1.0)


@pytest.mark.parametrize(
    "f",
    [ops.relu, ops.leaky_relu, ops.elu, ops.sigmoid, ops.tanh, ops.softplus, ops.silu, ops.gelu],
    ids=lambda f: f.__name__,
)
def test_nan_is_never_hidden(f, backend):
    assert np.isnan(backend.to_numpy(f(backend.asarray([float("nan")])))).all()


def test_infinities(backend):
    x = backend.asarray([math.inf, -math.inf])
    for f, expected in (
        (ops.relu, [math.inf, 0.0]),
        (ops.leaky_relu, [math.inf, -math.inf]),
        (ops.elu, [math.inf, -1.0]),
        (ops.sigmoid, [1.0, 0.0]),
        (ops.tanh, [1.0, -1.0]),
        (ops.softplus, [math.inf, 0.0]),
    ):
        assert_agrees(f(x), expected, exact=True, backend=backend)


def test_equal_pieces_share_the_gradient_of_maxout(backend):
    x = backend.asarray([[1.0, 1.0, 3.0, 2.0]])
    assert_agrees(ops.maxout(x, 2), [[1.0, 3.0]], exact=True, backend=backend)
    assert_agrees(slope(lambda x: ops.maxout(x, 2), x), [[0.5, 0.5, 1.0, 0.0]], exact=True, backend=backend)


def test_maxout_refuses_what_it_cannot_divide(backend):
    with pytest.raises(nnx.errors.ShapeError, match=r"a last axis that 3 pieces divide, got shape \(2, 4\)"):
        ops.maxout(backend.asarray(np.zeros((2, 4))), 3)
    with pytest.raises(nnx.errors.ConfigError, match=r"expected pieces ≥ 1, got 0"):
        ops.maxout(backend.asarray(np.zeros((2, 4))), 0)
