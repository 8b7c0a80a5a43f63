"""Recorded functions give what the functions give, bit for bit, for other arrays of the same shapes."""

import random

import numpy as np
import pytest
from array_api_compat import device
from hypothesis import given, settings
from hypothesis import strategies as st

import nnx
from nnx import backends
from nnx.backends.recorded import buffers
from nnx.backends.recorded.program import needed, replay
from nnx.backends.recorded.recording import RecordingError, compiled, record


def draws(backend, seed):
    draw = np.random.default_rng(seed)
    x, w = draw.normal(size=(6, 5)), draw.normal(size=(5, 4))
    return [
        backend.asarray(x.astype("float32")),
        backend.asarray(w.astype("float32")),
        backend.asarray(draw.integers(0, 4, 6)),
    ]


def products(x, w, labels):
    xp = nnx.namespace(x, w)
    y = xp.maximum(x @ w, xp.zeros((), dtype=x.dtype, device=device(x)))
    return [y, xp.sum(y, axis=0), xp.mean(y, axis=-1, keepdims=True), xp.max(y)]


def views(x, w, labels):
    xp = nnx.namespace(x, w)
    a = xp.reshape(x * 2.0, (5, 6))
    b = xp.permute_dims(a, (1, 0)) + x
    return [a[1:, ::2] - 1.0, b, xp.expand_dims(b, axis=0), xp.concat([a, xp.flip(a, axis=0)], axis=1), x.T, w]


def slices(x, w, labels):
    """Slices of what was broadcast lie on one another: none is overwritten."""
    xp = nnx.namespace(x, w)
    wide = xp.broadcast_to(xp.expand_dims(x * 2.0, axis=1), (6, 3, 5))
    total = x
    for t in range(3):
        total = total * 0.5 + xp.exp(-wide[:, t, :] - 1.0)
    return [total + wide[:, 2, :] * 1.0]


def choices(x, w, labels):
    xp = nnx.namespace(x, w)
    y = xp.where(x > 0.0, x, 0.1 * x)
    hot = xp.astype(xp.expand_dims(labels, axis=-1) == xp.arange(4, dtype=labels.dtype, device=device(labels)), x.dtype)
    return [y, xp.astype(x > 0.0, x.dtype) * y, hot - 0.5, xp.take(w, xp.astype(labels, xp.int64), axis=0)]


def many(x, w, labels):
    """Buffers are used again, and a result outlives what it was made of."""
    xp = nnx.namespace(x, w)
    y, first = x, xp.exp(x)
    for _ in range(4):
        y = xp.sqrt(xp.square(y) + 1.0) - y
    q, r = xp.linalg.qr(w)
    return [y, first, y, xp.abs(q @ r), xp.exp(-first)]


def steps(x, w, labels):
    """A gradient, and a gradient of a gradient."""

    def loss(w):
        return nnx.losses.cross_entropy(nnx.ops.gelu(x) @ w, labels)

    value, g = nnx.value_and_grad(loss)(w)
    return [value, g, nnx.hvp(loss, w, g)]


def turned(x, w, labels):
    """What NumPy makes of a turned array is turned too, and sums go over it in that order."""
    xp = nnx.namespace(x, w)
    wide = xp.expand_dims(x, axis=-1) * xp.reshape(w, (20,))
    back = xp.permute_dims(wide, (1, 2, 0)) * 1.5
    kind = xp.where(back > 0.0, back, xp.exp(back))
    return [xp.sum(kind), xp.mean(kind, axis=(0, 1)), xp.max(back - 1.0, axis=0), xp.astype(kind, xp.float64)]


FUNCTIONS = [products, views, slices, choices, many, turned, steps]


def same(ours, theirs, backend):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.dtype == b.dtype
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_array_equal(backend.to_numpy(a), backend.to_numpy(b))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_a_recording_gives_the_same_bits(function, backend):
    arrays = draws(backend, 0)
    out, program = record(function, arrays, backend)
    same(out, function(*arrays), backend)
    plain, assembled = replay(program), backend.assemble(program)
    for seed in (1, 2, 3):
        arrays = draws(backend, seed)
        same(plain(*arrays), function(*arrays), backend)
        same(assembled(*arrays), function(*arrays), backend)


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_however_arrays_lie_in_memory_the_bits_are_the_same(seed):
    """A function that turns, flips, cuts and sums arrays: what it does is drawn, too."""
    be = backends.get("numpy")

    def function(x):
        xp, draw, seen = nnx.namespace(x), random.Random(seed), [x]
        for _ in range(draw.randint(3, 9)):
            y = draw.choice(seen)
            axes, axis = draw.sample(range(y.ndim), y.ndim), draw.randrange(y.ndim)
            other = draw.choice([z for z in seen if z.shape == y.shape])
            seen.append(
                draw.choice(
                    [
                        lambda y=y, axes=axes: xp.permute_dims(y, tuple(axes)),
                        lambda y=y, axes=axes: xp.permute_dims(y, tuple(axes)) * 1.5,
                        lambda y=y, axis=axis: xp.flip(y, axis=axis),
                        lambda y=y: y[..., 1:] if y.shape[-1] > 2 else xp.exp(-y),
                        lambda y=y, other=other: y - other,
                        lambda y=y, other=other: xp.where(other > 0.0, y, 0.5 * other),
                        lambda y=y, axis=axis: y * xp.sum(y, axis=axis, keepdims=True),
                        lambda y=y, axis=axis: xp.mean(y, axis=axis, keepdims=True) - y,
                    ]
                )()
            )
        return [xp.sum(seen[-1]), xp.mean(seen[-2], axis=0), xp.sum(seen[-1] * seen[-1], axis=(0, 1))]

    arrays = [np.random.default_rng(i).normal(size=(5, 4, 6)).astype("float32") for i in range(3)]
    run = compiled(function, arrays[:1], be)
    for array in arrays:
        same(run(array), function(array), be)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_results_are_not_overwritten_by_the_next_run(function, backend):
    run = compiled(function, draws(backend, 0), backend)
    first = run(*draws(backend, 1))
    kept = [np.array(backend.to_numpy(array)) for array in first]
    run(*draws(backend, 2))
    for array, before in zip(first, kept):
        np.testing.assert_array_equal(backend.to_numpy(array), before)


def test_borrowed_results_are_in_one_array_and_are_overwritten():
    be = backends.get("numpy")
    run = compiled(lambda x, y: [x + y, x * y, x - y], [np.ones((2, 3)), np.ones((2, 3))], be, (0, 1))
    a, b, c = run(np.full((2, 3), 3.0), np.full((2, 3), 2.0))
    assert a.base is b.base is not None
    assert (a[0, 0], b[0, 0], c[0, 0]) == (5, 6, 1)
    run(np.zeros((2, 3)), np.full((2, 3), 7.0))
    assert (a[0, 0], b[0, 0], c[0, 0]) == (7, 0, 1)


def test_the_smallest_spare_buffer_is_taken():
    _, program = record(lambda x: [x + 1.0], [np.ones(4)], backends.get("numpy"))
    assembly = buffers._Assembly(program, ())
    assembly.free[np.dtype("float64")] = [np.empty(n) for n in (3, 6, 5, 4 * buffers.WASTE + 1)]
    assert [assembly._spare(np.dtype("float64"), 4).size for _ in range(3)] == [5, 6, 4]


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod"])
def test_a_reduction_into_a_buffer_makes_no_array(name):
    """Called once, and its result is an output of the next call."""
    _, program = record(
        lambda x: [getattr(nnx.namespace(x), name)(x, axis=0) + 1.0], [np.ones((3, 4))], backends.get("numpy")
    )
    assembly = buffers._Assembly(program, (0,))
    assembly.run()
    assert len(assembly.source.lines) == (3 if name == "mean" else 2)


def test_a_chain_of_calls_is_in_one_buffer_and_meets_arrays_of_its_dtype():
    function = lambda x: [nnx.namespace(x).exp(x * 2.0) * (x + 1) - 1]  # noqa: E731
    _, program = record(function, [np.ones((3, 4), dtype="float32")], backends.get("numpy"))
    assembly = buffers._Assembly(program, (0,))
    np.testing.assert_allclose(assembly.run()(np.zeros((3, 4), dtype="float32"))[0], 0.0)
    assert len({id(buffer.array) for buffer in assembly.root.values()}) == 3  # of each factor, and the lent one
    numbers = [x for x in assembly.source.scope.values() if isinstance(x, np.ndarray) and not x.ndim]
    assert [(float(x), x.dtype.name) for x in numbers] == [(2.0, "float32"), (1.0, "float32"), (1.0, "float32")]


def test_recorded_arrays_live_on_a_backend_of_their_own(backend):
    def function(x, w, labels):
        be = backends.of(x)
        assert be.asarray(x) is x
        assert type(be.asarray(np.ones(3))) is type(x)
        with pytest.raises(RecordingError, match="moving it to the host needs a value that changes"):
            be.to_numpy(x)
        return [x]

    record(function, draws(backend, 0), backend)


def test_inputs_are_never_written():
    be = backends.get("numpy")
    x = np.arange(6.0)
    run = compiled(lambda x: [nnx.namespace(x).exp(nnx.namespace(x).sqrt(x) * 2.0)], [x], be)
    run(x)
    np.testing.assert_array_equal(x, np.arange(6.0))


def test_what_no_output_needs_is_left_out(backend):
    def wasteful(x, w, labels):
        nnx.namespace(x).exp(x)
        return [x + 1.0]

    _, program = record(wasteful, draws(backend, 0), backend)
    assert [call.name for call in program.calls] == ["exp", "add"]
    assert [call.name for call in needed(program)] == ["add"]


@pytest.mark.parametrize(
    "looks",
    [
        lambda x: [x if x[0, 0] > 0 else -x],
        lambda x: [x * float(x[0, 0])],
        lambda x: [x * int(x[0, 0])],
        lambda x: [x + np.asarray(x)],
        lambda x: [x[: x[0, 0], :]],
    ],
    ids=["if", "float", "int", "numpy", "index"],
)
def test_a_function_of_the_values_cannot_be_recorded(looks, backend):
    with pytest.raises(RecordingError, match="needs a value that changes from step to step"):
        record(looks, draws(backend, 0)[:1], backend)


def test_assignment_cannot_be_recorded(backend):
    def assigns(x):
        y = x + 1.0
        y[0, 0] = 2.0
        return [y]

    with pytest.raises(RecordingError, match="no function of x"):
        record(assigns, draws(backend, 0)[:1], backend)


def test_constants_are_computed_once():
    be = backends.get("numpy")

    def function(x):
        xp = nnx.namespace(x)
        return [x + xp.exp(xp.ones_like(x)), xp.zeros_like(x)]

    _, program = record(function, [np.ones(3)], be)
    assert [call.name for call in program.calls] == ["add"]
    one, zero = be.assemble(program)(np.zeros(3))
    np.testing.assert_array_equal(one, np.exp(np.ones(3)))
    np.testing.assert_array_equal(zero, np.zeros(3))
