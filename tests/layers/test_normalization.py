"""Batch norm: what it stores, against PyTorch; how it treats repeated calls and hard statistics."""

import numpy as np
import pytest
from layers.helpers import draw
from support.compare import assert_agrees

import nnx

SHAPES = [(6, 3), (4, 2, 5, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_running_statistics_are_pytorchs(shape, backend, record_disagreement):
    torch = pytest.importorskip(
        "torch", reason="PyTorch is not installed: its running statistics are the outside definition"
    )
    ours = nnx.BatchNorm(3, momentum=0.9).initialize(0, dtype="float64").to(backend)
    theirs = (torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d)(3, momentum=0.1, dtype=torch.float64)
    for step in range(3):
        x = 2.0 + 3.0 * draw(shape, step)
        with nnx.training(step=step):
            ours(backend.asarray(x))
        theirs(torch.tensor(x) if len(shape) == 2 else torch.tensor(x).permute(0, 3, 1, 2))
    for name, expected in (("running_mean", theirs.running_mean), ("running_variance", theirs.running_var)):
        worst = assert_agrees(ours.buffers()[name], expected.numpy(), rtol=1e-14, scale=10.0, backend=backend)
        record_disagreement(f"BatchNorm {name}", backend, "float64", *worst)
    theirs.eval()
    x = draw(shape, 9)
    expected = (
        theirs(torch.tensor(x)) if len(shape) == 2 else theirs(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    )
    assert_agrees(ours(backend.asarray(x)), expected.detach().numpy(), rtol=1e-14, scale=10.0, backend=backend)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_formula(shape, backend):
    """momentum · old + (1 − momentum) · new, with the unbiased variance."""
    layer = nnx.BatchNorm(3, momentum=0.75).initialize(0, dtype="float64").to(backend)
    x = draw(shape)
    with nnx.training():
        y = layer(backend.asarray(x))
    rows = x.reshape(-1, 3)
    assert_agrees(layer.running_mean, 0.25 * rows.mean(0), rtol=1e-14, scale=1.0, backend=backend)
    assert_agrees(layer.running_variance, 0.75 + 0.25 * rows.var(0, ddof=1), rtol=1e-14, backend=backend)
    normal = backend.to_numpy(y).reshape(-1, 3)
    assert np.abs(normal.mean(0)).max() < 1e-15
    assert np.abs(normal.var(0) - 1).max() < 3e-5  # eps


def test_a_layer_called_twice_moves_twice(backend):
    shared = nnx.BatchNorm(3).initialize(0, dtype="float64").to(backend)
    apart = shared.copy()
    a, b = backend.asarray(draw((6, 3), 1)), backend.asarray(draw((6, 3), 2))
    with nnx.training():
        nnx.grad(lambda m, a, b: nnx.namespace(a).sum(m(a) * m(b)))(shared, a, b)
    for x in (a, b):
        with nnx.training():
            apart(x)
    assert_agrees(list(shared.buffers().values()), list(apart.buffers().values()), exact=True)


def test_a_far_mean_costs_no_digits(backend):
    """Two passes: the one-pass formula E x² − (E x)² has nothing left of a variance of 1 beside a mean of 10⁸."""
    layer, x = nnx.BatchNorm(1, momentum=0.0).initialize(0, dtype="float64").to(backend), 1e8 + draw((1000, 1))
    with nnx.training():
        layer(backend.asarray(x))
    assert_agrees(layer.running_variance, (x - 1e8).var(0, ddof=1), rtol=1e-7, backend=backend)


def test_a_constant_channel(backend):
    layer, x = nnx.BatchNorm(2).to(backend), backend.asarray(np.full((4, 2), 3.0, dtype="float32"))
    with nnx.training():
        g = nnx.grad(lambda x: nnx.namespace(x).sum(layer(x) ** 2))(x)
    assert_agrees(g, np.zeros((4, 2)), exact=True, backend=backend, dtype="float32")


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (1, 1, 1, 3)], ids=str)
def test_one_value_has_no_variance(shape, backend):
    layer, x = nnx.BatchNorm(3).to(backend), backend.asarray(np.ones(shape, dtype="float32"))
    message = r"expected at least 2 values per channel in training, got x of shape \(.*Use a larger batch"
    with pytest.raises(nnx.errors.ShapeError, match=message), nnx.training():
        layer(x)
    assert tuple(layer(x).shape) == shape


def test_two_positions_of_one_image_are_enough(backend):
    layer, x = nnx.BatchNorm(3).to(backend), backend.asarray(draw((1, 1, 2, 3)).astype("float32"))
    with nnx.training():
        assert np.isfinite(backend.to_numpy(layer(x))).all()
