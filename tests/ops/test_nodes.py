"""Each single node of ``nnx.ops`` against the same expression differentiated op by op: value, first and second derivative.

Value and first derivative of the expression are NumPy's, for JAX would compile each of its operations.
"""

import importlib
import pkgutil

import numpy as np
import pytest
from cases.nodes import NODES, Node, draw
from support.compare import assert_agrees

import nnx
from nnx import backends, ops
from nnx.autodiff import Primitive, hooks
from nnx.autodiff.tape import Bundle

nodes = pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in NODES.items()])
TIER = {"rtol": 1e-12, "scale": 10.0}


def cast(row: Node, backend):
    return [backend.asarray(array) for array in row.inputs]


def losses(row: Node, arrays, backend):
    """Σ w∘f(x) of the floating arrays for node and plain form, with fixed w, and those arrays."""
    floating = [i for i, array in enumerate(row.inputs) if array.dtype.kind == "f"]

    def build(f):
        def loss(xs):
            full = list(arrays)
            for i, x in zip(floating, xs):
                full[i] = x
            y = f(*full)
            xp = nnx.namespace(y)
            ramp = xp.reshape(xp.arange(y.size, dtype=y.dtype, device=y.device), y.shape)
            return xp.sum(y * xp.cos(ramp))

        return loss

    plain = build(lambda *xs: row.plain(nnx.namespace(*xs), *xs))
    return build(row.node), plain, [arrays[i] for i in floating]


def test_every_primitive_is_in_the_table():
    found = set()
    for module in pkgutil.iter_modules(ops.__path__):
        contents = vars(importlib.import_module(f"nnx.ops.{module.name}"))
        found |= {name.lstrip("_") for name, value in contents.items() if isinstance(value, Primitive)}
    found |= {name for name, value in vars(hooks).items() if isinstance(value, Primitive)}
    assert found - {"erf", "put", "scatter_add"} == {row.primitive for row in NODES.values()}


def test_every_primitive_is_one_node():
    backend = backends.get("numpy")  # the tape is the same on all
    for name, row in NODES.items():
        _, _, xs = losses(row, cast(row, backend), backend)
        reached = []

        def loss(xs, row=row, reached=reached):
            y = row.node(*xs, *[a for a in cast(row, backend) if not backend.xp.isdtype(a.dtype, "real floating")])
            reached.append(y._node)
            return nnx.namespace(y).sum(y)

        nnx.grad(loss)(xs)
        first = reached[0].parents[0]
        node = first if isinstance(first, Bundle) else reached[0]  # a step with several outputs
        assert all(not parent.parents for parent in node.parents), name


@nodes
def test_value(row: Node, backend, record_disagreement):
    host = backends.get("numpy")
    expected = row.plain(host.xp, *cast(row, host))
    worst = assert_agrees(row.node(*cast(row, backend)), expected, **TIER, backend=backend)
    record_disagreement(f"ops {row.primitive} value", backend, "float64", *worst)


@nodes
def test_first_derivative(row: Node, backend, record_disagreement):
    host = backends.get("numpy")
    node, _, xs = losses(row, cast(row, backend), backend)
    _, plain, there = losses(row, cast(row, host), host)
    worst = assert_agrees(nnx.grad(node)(xs), nnx.grad(plain)(there), **TIER, backend=backend)
    record_disagreement(f"ops {row.primitive} gradient", backend, "float64", *worst)


COMPILES = pytest.mark.skip_backends("jax", reason="compiles every operation anew: values and first orders run")


@COMPILES
@nodes
def test_second_derivative(row: Node, backend, record_disagreement):
    node, plain, xs = losses(row, cast(row, backend), backend)
    vs = [backend.xp.sin(3.0 * x + 1.0) for x in xs]
    worst = assert_agrees(nnx.hvp(node, xs, vs), nnx.hvp(plain, xs, vs), rtol=1e-11, scale=10.0)
    record_disagreement(f"ops {row.primitive} second derivative", backend, "float64", *worst)
    through = nnx.grad(lambda xs: nnx.value_and_grad(node)(xs)[0])(xs)  # the value that a level above takes
    assert_agrees(through, nnx.grad(node)(xs), rtol=1e-14, scale=10.0)


@COMPILES
@nodes
def test_third_derivative(row: Node, backend):
    node, plain, xs = losses(row, cast(row, backend), backend)
    vs = [backend.xp.sin(3.0 * x + 1.0) for x in xs]

    def along(loss):
        def curvature(xs):
            products = nnx.hvp(loss, xs, vs)
            return sum(nnx.namespace(p).sum(p * v) for p, v in zip(products, vs))

        return nnx.grad(curvature)(xs)

    assert_agrees(along(node), along(plain), rtol=1e-10, scale=100.0)


def test_a_gradient_that_is_not_needed_is_not_computed():
    convolution, linear, logistic, normalization, softmax, layer_norm, rms_norm, group_norm, attention, recurrence = (
        importlib.import_module(f"nnx.ops.{name}")
        for name in (
            "convolution", "linear", "logistic", "normalization", "softmax", "layer_norm", "rms_norm", "group_norm",
            "attention", "recurrence",
        )
    )  # fmt: skip
    once = convolution._Map((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    images, kernels = draw((2, 4, 4, 3), 4), draw((2, 2, 3, 5), 5)
    x, w, g = draw((4, 5), 1), draw((5, 3), 2), draw((4, 3), 3)
    cases = [
        (linear._linear, (x, w), g, 3),
        (softmax._cross_entropy, (x, x, x), x[:, 0], 2),
        (logistic._sigmoid_cross_entropy, (x, x), x, 2),
        (normalization._batch_norm, (x, x[0], None, (0,)), x, 3),
        (convolution._convolution, (images, kernels, once), draw((2, 3, 3, 5), 6), 3),
        (convolution._to_weight, (images, draw((2, 3, 3, 5), 6), once), kernels, 2),
        (convolution._to_input, (draw((2, 3, 3, 5), 6), kernels, once), images, 2),
        (layer_norm._layer_norm, (x, x[:, :1], None), x, 3),
        (rms_norm._rms_norm, (x, x[:, :1], None), x, 2),
        (group_norm._group_norm, (x, x[:, :1, None, None], None, 1), x, 3),
        (attention._attention, (x, x, x, x @ x.T, x @ x.T, None, 1.0), x, 3),
        (recurrence._lstm, (draw((5, 20), 1), [(x,) * 7]), (x[:, None, :], x), 4),
        (recurrence._gru, (draw((5, 15), 1), [(x,) * 5]), x[:, None, :], 4),
        (convolution._transposed_convolution, (images, kernels, (5, 5), once), draw((2, 5, 5, 5), 6), 3),
    ]
    for primitive, saved, g, n in cases:
        for wanted in range(n):
            needs = tuple(i == wanted for i in range(n))
            gradients = primitive.backward(backends.get("numpy").xp, needs, saved, g)
            given = [gradient is not None for gradient in gradients[:n]]
            assert given == list(needs), primitive.__name__


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: ops.maxout(draw((), 1), 2), r"a last axis that 2 pieces divide, got shape \(\)"),
        (lambda: ops.embedding(np.asarray([0]), draw((5,), 1)), r"a weight of shape \(count, features\) .*got \(5,\)"),
        (
            lambda: ops.attention(draw((2, 5, 8), 1), *[draw((3, 5, 8), 2)] * 2),
            r"q \(…, T, d\), .*got \(2, 5, 8\), \(3, 5, 8\)",
        ),
        (lambda: ops.attention(draw((5, 8), 1), *[draw((5, 7), 2)] * 2), r"q \(…, T, d\), .*got \(5, 8\), \(5, 7\)"),
        (lambda: ops.attention(draw((8,), 1), *[draw((5, 8), 2)] * 2), r"q \(…, T, d\), .*got \(8,\), \(5, 8\) and"),
    ],
)
def test_mistakes_that_no_layer_makes(call, says):
    with pytest.raises(nnx.errors.ShapeError, match=says):
        call()


def test_attention_takes_the_scale_that_it_is_given():
    q, k, v = (draw((5, 4), number) for number in (1, 2, 3))
    np.testing.assert_allclose(ops.attention(q, k, v, scale=2.0), ops.attention(4.0 * q, k, v), rtol=1e-12)
