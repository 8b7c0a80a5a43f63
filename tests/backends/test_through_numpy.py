"""Rules on PyTorch tensors on the CPU go through NumPy's memory: its bits, and no tensor that somebody holds is written."""

import numpy as np
import pytest

from nnx import backends
from nnx.backends import portable
from nnx.optim.adam import adam

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
through_numpy = pytest.importorskip("nnx.backends.through_numpy", reason="PyTorch is not installed")
NUMBERS = (1e-3, 0.9, 1 - 0.9, 0.999, 1 - 0.999, 0.5, 1e-8)
SHAPES = [(3, 4), (4,), (), (0,), (300, 120)]


def columns(backend, shapes=SHAPES, dtype="float32"):
    draw = np.random.default_rng(0)
    return [[backend.asarray((draw.normal(size=s) ** 2).astype(dtype)) for s in shapes] for _ in range(4)]


@pytest.fixture
def be():
    return backends.get("torch:cpu")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bits_are_numpys_and_the_default_agrees(be, dtype):
    numpy = backends.get("numpy")
    theirs, ours = columns(numpy, dtype=dtype), columns(be, dtype=dtype)
    given = columns(be, dtype=dtype)
    with be.memory():
        for _ in range(3):
            p, m, v = numpy.each(numpy.fuse(adam), numpy.xp, theirs, NUMBERS)
            theirs = [p, theirs[1], m, v]
            p, m, v = be.each(adam, be.xp, ours, NUMBERS)
            ours = [p, ours[1], m, v]
            p, m, v = portable.each(adam, be.xp, given, NUMBERS)
            given = [p, given[1], m, v]
    for mine, host, default in zip(ours, theirs, given, strict=True):
        for a, b, c in zip(mine, host, default, strict=True):
            assert type(a) is torch.Tensor
            assert tuple(a.shape) == b.shape
            np.testing.assert_array_equal(a.numpy(), b)
            tiny = 8 * float(np.finfo(dtype).eps)  # torch's square root is MKL's
            np.testing.assert_allclose(a.numpy(), c.numpy(), rtol=tiny, atol=tiny)


def saved_in_a_graph(x):
    leaf = torch.ones_like(x, requires_grad=True)
    product = leaf * x
    return lambda: torch.autograd.grad(product.sum(), leaf)[0]


HOLDERS = {
    "a tensor": lambda x: x,
    "its transpose": lambda x: x.T,
    "a row": lambda x: x[1],
    "its NumPy array": lambda x: x.numpy(),
    "a DLPack view": lambda x: np.from_dlpack(x),
    "a graph": saved_in_a_graph,
    "a detached parameter": lambda x: torch.nn.Parameter(x).detach(),
}


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_what_somebody_holds_is_not_written(be, hold):
    p, g, m, v = columns(be, [(3, 4), (5,)])
    memory, held = be.memory(), []
    for _ in range(6):
        with memory:
            p, m, v = be.each(adam, be.xp, [p, g, m, v], NUMBERS)
        before = p[0].numpy().copy()
        held.append((hold(p[0]), before))
    for holder, before in held:
        if callable(holder):
            holder = holder()
        now = np.asarray(holder)
        expected = before.T if now.shape == (4, 3) else before[1] if now.shape == (4,) else before
        np.testing.assert_array_equal(now, expected)


def test_memory_that_nobody_holds_is_used_again(be):
    p, g, m, v = columns(be, [(3, 4), (5,)])
    memory, places = be.memory(), set()
    for _ in range(12):
        with memory:
            p, m, v = be.each(adam, be.xp, [p, g, m, v], NUMBERS)
        places.add(p[0].data_ptr())
    assert len(places) < 8


def test_what_was_cut_from_one_array_is_known_again(be):
    p, g, m, v = columns(be, [(3, 4), (5,)])
    with be.memory():
        p, m, v = be.each(adam, be.xp, [p, g, m, v], NUMBERS)
        array = through_numpy._array(p[1])
        assert array is through_numpy._array(p[1].view(5))
        assert array.base is through_numpy._array(p[0]).base
    square = be.each(adam, be.xp, columns(be, [(3, 3)]), NUMBERS)[0][0]
    np.testing.assert_array_equal(through_numpy._array(square.T), square.numpy().T)
    assert through_numpy._array(square[:1]).shape == (1, 3)


def test_other_tensors_take_the_default(be):
    for odd in (
        torch.nn.Parameter(torch.ones(3)),
        torch.ones(3, dtype=torch.float64),
        torch.ones(3, dtype=torch.bfloat16),
        torch.ones(3, requires_grad=True),
    ):
        given = [[odd], *([torch.full((3,), 0.5)] for _ in range(3))]
        ours, theirs = (each(adam, be.xp, given, NUMBERS) for each in (be.each, portable.each))
        for (a,), (b,) in zip(ours, theirs, strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
