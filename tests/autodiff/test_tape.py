"""What the tape costs: flat memory without the collector, deep graphs, nothing done for constants."""

import gc
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nnx
from nnx.autodiff import namespace_over
from nnx.autodiff.tape import Node, backward


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def network(params: dict[str, Any], x: Any) -> Any:
    xp = nnx.namespace(x, *params.values())
    hidden = xp.tanh(x @ params["w1"] + params["b1"])
    values, _ = xp.linalg.eigh(xp.matrix_transpose(hidden) @ hidden)
    return xp.mean((hidden @ params["w2"]) ** 2) + 1e-3 * xp.sum(values) + xp.sum(xp.unstack(params["b1"])[0])


def parameters(backend: Any) -> tuple[dict[str, Any], Any]:
    rng = np.random.default_rng(0)
    shapes = {"w1": (4, 5), "b1": (5,), "w2": (5, 1)}
    return {name: backend.asarray(rng.standard_normal(s)) for name, s in shapes.items()}, backend.asarray(
        rng.standard_normal((8, 4))
    )


def hessian_step(params: dict[str, Any], x: Any) -> Any:
    return nnx.hvp(lambda p: network(p, x), params, params)


@pytest.mark.skip_backends("jax", "torch", reason="the library's own objects come and go; the tape is the same")
@pytest.mark.parametrize("step", [nnx.value_and_grad(network), hessian_step], ids=["gradient", "second order"])
def test_no_step_leaves_an_object(step: Any, backend: Any, no_collector: None) -> None:
    """With the collector off: no step leaves a cycle, so nothing outlives it."""
    params, x = parameters(backend)
    for _ in range(5):
        step(params, x)
    before = len(gc.get_objects())
    for _ in range(100):
        step(params, x)
    assert len(gc.get_objects()) - before < 20


def test_memory_is_flat_over_a_thousand_steps(no_collector: None) -> None:
    """A few hundred bytes a step are Python's own lists of free tuples filling up; one kept array would be more."""
    params, x = parameters(nnx.backends.get("numpy"))
    step = nnx.value_and_grad(network)
    for _ in range(20):
        step(params, x)
    tracemalloc.start()
    try:
        for _ in range(1000):
            step(params, x)
        assert tracemalloc.get_traced_memory()[0] < 1000 * 500
    finally:
        tracemalloc.stop()


def test_a_leak_would_be_seen(no_collector: None) -> None:
    params, x = parameters(nnx.backends.get("numpy"))
    kept = []
    before = len(gc.get_objects())
    for _ in range(100):
        kept.append(nnx.vjp(lambda p: network(p, x), params))
    assert len(gc.get_objects()) - before > 1000


def test_nothing_is_left_of_a_computation(backend: Any, no_collector: None) -> None:
    """The tape goes with the last array that was computed on it."""
    space = namespace_over(backend.xp)
    x = space.leaf(backend.asarray(np.asarray([1.0, 2.0])))
    y = space.sum(space.exp(x) * x)
    node = weakref.ref(y)
    del y
    assert node() is None


def deep(x: Any, depth: int) -> Any:
    y = x
    for _ in range(depth):
        y = y + 1e-9
    return y * y


@pytest.mark.parametrize("depth", [20_000])
def test_deep_graphs_do_not_overflow_the_stack(depth: int) -> None:
    x = np.asarray(1.0)
    assert nnx.grad(lambda x: deep(x, depth))(x) == pytest.approx(2.0, rel=1e-4)


def test_deep_graphs_of_second_order() -> None:
    x = np.asarray(1.0)
    chain = lambda x: deep(nnx.namespace(x).sin(x), 5_000)  # noqa: E731

    def sines(x: Any) -> Any:
        for _ in range(5_000):
            x = nnx.namespace(x).sin(x)
        return x

    assert np.isfinite(nnx.hvp(chain, x, x))
    assert np.isfinite(nnx.hvp(sines, x, x))


def test_a_deep_graph_that_is_dropped_without_going_back() -> None:
    space = namespace_over(nnx.backends.get("numpy").xp)
    y = space.leaf(np.asarray(1.0))
    for _ in range(20_000):
        y = space.sin(y)
    del y


def test_constants_are_not_recorded(backend: Any) -> None:
    space = namespace_over(backend.xp)
    constant, leaf = space.asarray(backend.asarray(np.ones(3))), space.leaf(backend.asarray(np.ones(3)))
    assert (constant * 2.0 + space.sum(constant))._node is None
    assert list((constant * leaf)._node.parents) == [leaf._node]


def test_a_tape_that_was_released_says_so(backend: Any) -> None:
    space = namespace_over(backend.xp)
    x = space.leaf(backend.asarray(np.asarray(2.0)))
    y = x * x
    one = backend.asarray(np.asarray(1.0))
    backward([(y._node, one)], backend.xp, release=True)
    with pytest.raises(RuntimeError, match=r"use nnx\.vjp to go back more than once"):
        backward([(y._node, one)], backend.xp)


@pytest.mark.parametrize(
    "have, want",
    [((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 3), ()), ((4, 2, 3), (1, 3)), ((0, 3), (1, 3)), ((0, 3), ())],
    ids=str,
)
def test_broadcasting_is_undone(have: tuple[int, ...], want: tuple[int, ...], backend: Any) -> None:
    space = namespace_over(backend.xp)
    x = space.leaf(backend.asarray(np.ones(want)))
    y = space.broadcast_to(x, have)
    (g,) = backward([(y._node, backend.asarray(np.ones(have)))], backend.xp).values()
    np.testing.assert_array_equal(backend.to_numpy(g), np.full(want, np.prod(have) / max(np.prod(want), 1)))


def test_gradients_have_the_type_of_their_argument(backend: Any) -> None:
    xp = backend.xp
    x, y = backend.asarray(np.ones(2, dtype=np.float32)), backend.asarray(np.ones(2))
    gx, gy = nnx.grad(lambda x, y: nnx.namespace(x).sum(nnx.namespace(x).multiply(x, y)), argnums=(0, 1))(x, y)
    assert (gx.dtype, gy.dtype) == (xp.float32, xp.float64)


def test_nodes_are_numbered_in_order_of_making() -> None:
    first, second = Node((), (), (), None), Node((), (), (), None)
    assert first.order < second.order
