"""Every layer of the table against its outside definition, on every backend."""

import numpy as np
import pytest
from cases.layers import LAYERS, Row
from layers.helpers import call, draw, gradients, prepared
from support.compare import assert_agrees

import nnx

COMPILES = pytest.mark.skip_backends(
    "jax", reason="compiles every shape anew: whole and empty batches run; gradients are NumPy's in tests/agreement"
)
rows = pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in LAYERS.items()])


def largest(x):
    return float(np.abs(np.asarray(x)).max(initial=0.0)) or 1.0


def test_the_table_is_complete():
    assert {row.covers for row in LAYERS.values()} == set(nnx.layers.LAYERS)


def test_every_row_is_its_layer_and_pytorch_or_a_reason():
    for name, row in LAYERS.items():
        assert type(row.make()) is row.covers, name
        assert (row.torch is None) == bool(row.why), name


@rows
def test_value(row: Row, backend, record_disagreement):
    model, p = prepared(row, backend)
    x = row.inputs()
    expected = row.numpy(x, p)
    worst = assert_agrees(
        call(row, model, backend.asarray(x)), expected, rtol=1e-13, scale=largest(expected), backend=backend
    )
    record_disagreement(f"{row.covers.__name__} value", backend, "float64", *worst)


@rows
def test_gradients_against_pytorch(row: Row, backend, record_disagreement):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its autograd is the outside definition")
    if row.torch is None:
        torch_rows_without(row)
        return
    model, p = prepared(row, backend)
    x = row.inputs()
    tensors = {path: torch.tensor(array, requires_grad=path in model.parameters()) for path, array in p.items()}
    tx = torch.tensor(x, requires_grad=not row.count)
    y = row.torch(torch, tx, tensors)
    weights = draw(tuple(y.shape), 1)
    (y * torch.tensor(weights)).sum().backward()
    by_path, by_x = gradients(row, model, backend.asarray(x), backend.asarray(weights))
    assert list(by_path) == list(model.parameters())
    for name, ours in (*by_path.items(), *[("x", by_x)][: not row.count]):
        theirs = (tx if name == "x" else tensors[name]).grad.numpy()
        scale = max(largest(theirs), 1.0)  # a bias before a batch norm has none but rounding
        worst = assert_agrees(ours, theirs, rtol=1e-10, scale=scale, backend=backend, what=f"{name}: ")
        record_disagreement(f"{row.covers.__name__} gradient", backend, "float64", *worst)


def torch_rows_without(row: Row):
    """Where PyTorch has no such layer its NumPy expression is linear: the slope is a difference."""
    x, v = draw(row.shape), draw(row.shape, 2)
    model = row.make()
    p = {path: np.asarray(array, dtype="float64") for path, array in model.state().items()}
    model.to("numpy", dtype="float64")
    _, by_x = gradients(row, model, x, v)
    assert_agrees(by_x, v * (row.numpy(x + 1, p) - row.numpy(x, p)), rtol=1e-10, scale=largest(by_x))


free = pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in LAYERS.items() if not row.stops])


@COMPILES
@free
def test_derivatives_by_differences_to_second_order(row: Row, backend):
    model, _ = prepared(row, backend)
    x = backend.asarray(row.inputs())
    f = (lambda model, x: call(row, model, x)) if model.parameters() else (lambda x: call(row, model, x))
    if row.count:  # whole numbers do not vary
        f, arguments = (lambda model: call(row, model, x)), (model,)
    else:
        arguments = (model, x) if model.parameters() else (x,)
    report = nnx.gradcheck(f, *arguments, order=2, directions=2, entries=2)
    assert report.passed
    assert {checked.order for checked in report.parameters} == {1, 2}


@rows
def test_dtype_and_device_are_kept(row: Row, backend):
    model, p = prepared(row, backend, "float32")
    x = row.inputs() if row.count else row.inputs().astype("float32")
    y = call(row, model, backend.asarray(x))
    expected = row.numpy(x if row.count else x.astype("float64"), p)
    assert_agrees(y, expected, rtol=3e-6, scale=largest(expected), backend=backend, dtype="float32")
    by_path, by_x = gradients(
        row, model, backend.asarray(x), backend.asarray(draw(tuple(y.shape), 1).astype("float32"))
    )
    for name, g in (*by_path.items(), *[("x", by_x)][: not row.count]):
        like = x if name == "x" else p[name]
        assert_agrees(g, np.zeros(like.shape), rtol=1.0, scale=1e3, backend=backend, dtype="float32", what=f"{name}: ")


@rows
@pytest.mark.parametrize("n", [0, pytest.param(1, marks=COMPILES)])
def test_an_empty_batch_and_a_single_row(row: Row, n, backend):
    model, p = prepared(row, backend)
    x = row.inputs()[:n]
    if not row.rows_alone and x.size // 6 < 2:
        with pytest.raises(nnx.errors.ShapeError, match=r"expected at least 2 values per channel in training"):
            call(row, model, backend.asarray(x))
        return
    y = call(row, model, backend.asarray(x))
    expected = row.numpy(x, p)
    assert_agrees(y, expected, rtol=1e-13, scale=largest(expected), backend=backend)
    weights = backend.asarray(draw(tuple(expected.shape), 1))
    by_path, by_x = gradients(row, model, backend.asarray(x), weights)
    assert row.count or tuple(by_x.shape) == x.shape
    if n == 0:
        assert all(not backend.to_numpy(g).any() for g in by_path.values())


def test_rows_of_no_values_are_flattened(backend):
    assert tuple(nnx.Flatten()(backend.asarray(np.zeros((5, 0, 3)))).shape) == (5, 0)


real = pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in LAYERS.items() if not row.count])


@real
def test_inputs_that_are_not_contiguous(row: Row, backend):
    model, _ = prepared(row, backend)
    host = draw((2 * row.shape[0], *row.shape[1:-1], 2 * row.shape[-1]))
    x = backend.asarray(host)[::2, ..., ::2]
    assert_agrees(
        call(row, model, x),
        call(row, model, backend.asarray(np.ascontiguousarray(host[::2, ..., ::2]))),
        rtol=1e-13,
        scale=10.0,
    )


EXTREMES = {
    "large": [1e4, -1e4, 1e4, -1e4, 0.0, 1e4],
    "all equal": [7.25] * 6,
    "denormal": [5e-324, -5e-324, 1e-310, -1e-310, 0.0, 2e-308],
    "zeros of both signs": [0.0, -0.0, 0.0, -0.0, 0.0, -0.0],
}


@real
@pytest.mark.parametrize("kind", EXTREMES)
def test_extremes_give_numbers_and_no_warning(row: Row, kind, backend):
    model, p = prepared(row, backend)
    x = np.broadcast_to(np.asarray(EXTREMES[kind]), row.shape).copy()
    x[0, ...] = x[0, ..., ::-1]
    y = call(row, model, backend.asarray(x))
    host = backend.to_numpy(y)
    by_path, by_x = gradients(row, model, backend.asarray(x), backend.asarray(np.ones(host.shape)))
    for name, array in (("value", y), ("gradient of x", by_x), *by_path.items()):
        assert np.isfinite(backend.to_numpy(array)).all(), f"{name}: {backend.to_numpy(array)}"
    with np.errstate(all="ignore"):
        expected = row.numpy(x, p)
    smallest = 1e-290 if backend.name == "jax" else 1e-300  # XLA takes subnormal numbers for 0
    scale = np.maximum(np.abs(expected), smallest)
    assert_agrees(y, expected, rtol=1e-12 * row.grows, scale=scale, backend=backend)
