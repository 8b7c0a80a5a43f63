"""Recorded programs of PyTorch calls, rewritten: the bits of the function, and nothing written that is still looked at."""

import numpy as np
import pytest

import nnx
from nnx import backends
from nnx.backends.recorded.program import needed
from nnx.backends.recorded.recording import record

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
torch_program = pytest.importorskip("nnx.backends.torch_program", reason="PyTorch is not installed")


def draws(seed):
    draw = np.random.default_rng(seed)
    return [torch.from_numpy(draw.normal(size=(4, 4)).astype("float32")) for _ in range(2)]


def chain(x, w):
    return [nnx.ops.relu((x @ w + w) * 0.5 - x) / 3.0]


def view_of_what_ends(x, w):
    """The sum ends in a product, but a view of it lives on."""
    y = x + w
    z = y.T
    return [y * 2.0 + w, z + 1.0]


def slice_of_what_ends(x, w):
    y = x * w
    row = y[0, ...]
    return [y + x, row]


def inputs_that_end(x, w):
    return [x + 1.0, x * w]


def results_that_go_on(x, w):
    y = x @ w
    return [y, y + 1.0]


def squares(x, w):
    y = x - w
    return [y * y]


def dtypes(x, w):
    xp = nnx.namespace(x, w)
    wide = xp.astype(x, xp.float64) * 2.0
    mask = xp.astype(x > 0.0, x.dtype)
    return [
        wide + xp.astype(w, xp.float64),
        mask * w,
        xp.astype(xp.astype(x > w, xp.int64), x.dtype),
        xp.astype(x, x.dtype),
    ]


def shapes(x, w):
    xp = nnx.namespace(x, w)
    total = xp.sum(x * w, axis=0)
    return [
        total + w, xp.sum(x, axis=(0, 1)), xp.sum(x), xp.mean(x), xp.mean(x, axis=1, keepdims=True),
        xp.squeeze(xp.expand_dims(x, axis=1), axis=1), xp.squeeze(xp.reshape(x, (1, 16, 1)), axis=(0, 2)),
        xp.permute_dims(xp.reshape(x, (2, 2, 4)), (2, 0, 1)), xp.sum(x > 0.0, axis=0),
        xp.sum(x, axis=()), 0.5 * (x + w), (x[0, ...] + x[1, ...]) * (x + w),
    ]  # fmt: skip


FUNCTIONS = [
    chain, view_of_what_ends, slice_of_what_ends, inputs_that_end, results_that_go_on, squares, dtypes, shapes,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_bits_are_those_of_the_function(function):
    backend = backends.get("torch:cpu")
    run = torch_program.assemble(record(function, draws(0), backend)[1])
    for seed in (1, 2):
        arrays = draws(seed)
        before = [array.clone() for array in arrays]
        out, expected = run(*arrays), function(*arrays)
        for ours, theirs in zip(out, expected, strict=True):
            assert ours.dtype == theirs.dtype
            assert torch.equal(ours, theirs)
        assert all(map(torch.equal, arrays, before))


def test_a_chain_is_computed_in_the_memory_of_its_first_result():
    backend = backends.get("torch:cpu")
    program = record(chain, draws(0), backend)[1]
    calls, written = needed(program), []
    free = torch_program._overwritable(program, calls)
    for call in calls:
        written.append(torch_program.in_place(call, free).function in torch_program.IN_PLACE.values())
    assert [call.name for call in calls] == ["matmul", "add", "multiply", "subtract", "relu", "divide"]
    assert written == [False, True, True, True, True, True]


def test_gradients_of_a_network_are_the_same_bits():
    backend = backends.get("torch:cpu")
    x, w = draws(0)
    labels = torch.tensor([0, 3, 1, 2])

    def step(x, w, labels):
        def loss(w):
            h = nnx.ops.batch_norm(nnx.ops.linear(x, w, w[0, ...]))
            return nnx.losses.cross_entropy(nnx.ops.linear(nnx.ops.relu(h), w), labels)

        value, g = nnx.value_and_grad(loss)(w)
        return [value, g]

    run = torch_program.assemble(record(step, [x, w, labels], backend)[1])
    for seed in (1, 2):
        x, w = draws(seed)
        assert all(map(torch.equal, run(x, w, labels), step(x, w, labels)))
