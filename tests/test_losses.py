"""Losses against PyTorch and closed forms: values, reductions, gradients, weights, extremes, errors."""

import math

import numpy as np
import pytest
from cases.losses import LABELS, LOSSES, WEIGHTS, Row, X, draw, smoothed, softened
from support.compare import assert_agrees

import nnx
from nnx import losses
from nnx.errors import ConfigError, DtypeError, MixedArraysError, ShapeError

rows = pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in LOSSES.items()])
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
REDUCE = {"mean": np.mean, "sum": np.sum, "none": np.asarray}


def pytorch():
    return pytest.importorskip("torch", reason="PyTorch is not installed: its losses are the outside definition")


def test_the_table_is_complete():
    assert {row.covers for row in LOSSES.values()} == set(losses.LOSSES)


@rows
@reductions
def test_value(row: Row, reduction, backend, record_disagreement):
    y = row.loss(backend.asarray(row.x), backend.asarray(row.t), reduction=reduction)
    expected = np.asarray(REDUCE[reduction](row.rows(row.x, row.t)))
    worst = assert_agrees(backend.xp.asarray(y), expected, rtol=1e-14, scale=10.0, backend=backend)
    record_disagreement(f"{row.covers} value", backend, "float64", *worst)


@rows
@reductions
def test_pytorch_agrees_with_value_and_gradient(row: Row, reduction, backend, record_disagreement):
    torch = pytorch()
    x = torch.tensor(row.x, requires_grad=True)
    theirs = row.torch(torch.nn.functional, x, torch.tensor(row.t))
    theirs = {"mean": torch.mean, "sum": torch.sum, "none": lambda y: y}[reduction](theirs)
    w = np.cos(np.arange(theirs.numel())).reshape(tuple(theirs.shape))
    (theirs * torch.tensor(w)).sum().backward()

    def weighted(x, t, w):
        return nnx.namespace(x).sum(row.loss(x, t, reduction=reduction) * w)

    g = nnx.grad(weighted)(*map(backend.asarray, (row.x, row.t, w)))
    worst = assert_agrees(g, x.grad.numpy(), rtol=1e-14, scale=1.0, backend=backend)
    record_disagreement(f"{row.covers} gradient", backend, "float64", *worst)


@rows
def test_derivatives_to_second_order(row: Row, backend):
    assert nnx.gradcheck(row.loss, backend.asarray(row.x), backend.asarray(row.t), order=2, entries=2).passed


@rows
def test_the_loss_of_a_perfect_or_an_ignorant_prediction(row: Row, backend):
    if row.perfect is not None:
        x, t, expected = row.perfect
        y = row.loss(backend.asarray(x), backend.asarray(t))
        assert_agrees(backend.xp.asarray(y), np.asarray(expected), rtol=1e-14, scale=1.0, backend=backend)


@rows
def test_float32_outputs_give_a_float32_loss_whatever_the_targets(row: Row, backend):
    x = backend.asarray(row.x, dtype="float32")
    for t in (row.t, row.t.astype("int64"), row.t.astype("float32")):
        if row.t.dtype.kind == "i" and t.dtype.kind == "f":
            continue
        y = backend.xp.asarray(row.loss(x, backend.asarray(t)))
        expected = np.asarray(row.rows(row.x, t).mean())
        assert_agrees(y, expected, rtol=1e-6, scale=2.0, backend=backend, dtype="float32")
        g = nnx.grad(row.loss)(x, backend.asarray(t))
        assert g.dtype == backend.xp.float32


@rows
def test_an_empty_batch_has_no_mean(row: Row, backend):
    x, t = backend.asarray(row.x[:0]), backend.asarray(row.t[:0])
    with pytest.raises(ShapeError, match=rf"{row.covers}: expected at least one row to average, got an empty batch"):
        row.loss(x, t)
    assert float(backend.to_numpy(row.loss(x, t, reduction="sum"))) == 0.0
    assert tuple(row.loss(x, t, reduction="none").shape) == (0,)


@rows
def test_an_unknown_reduction(row: Row):
    with pytest.raises(ConfigError, match=rf"{row.covers}: expected reduction mean, sum or none, got 'max'"):
        row.loss(row.x, row.t, reduction="max")


@pytest.mark.parametrize("name", sorted(set(losses.LOSSES) - {"cross_entropy", "hinge"}))  # those two take labels
@pytest.mark.parametrize(
    "shapes", [((5,), (5, 1)), ((5, 1), (5,)), ((5, 2), (5, 1)), ((1,), ()), ((5,), (4,))], ids=str
)
def test_a_loss_never_broadcasts(name, shapes, backend):
    x, t = (backend.asarray(np.zeros(shape)) for shape in shapes)
    message = (
        rf"{name}: expected targets of the shape of the outputs, .*, got .*\. Reshape the targets, e\.g\. y\[:, None\]"
    )
    with pytest.raises(ShapeError, match=message):
        losses.get(name)(x, t)


@pytest.mark.parametrize("shapes", [((5, 2), (5, 1)), ((5,), (5,)), ((5, 2), (4,))], ids=str)
def test_hinge_takes_one_label_for_each_row(shapes, backend):
    scores, labels = backend.asarray(np.zeros(shapes[0])), backend.asarray(np.zeros(shapes[1], dtype="int64"))
    with pytest.raises(ShapeError, match=r"hinge: expected scores of shape \(N, C\) and labels of shape \(N,\), got"):
        losses.hinge(scores, labels)
    with pytest.raises(DtypeError, match=r"hinge: expected integer labels, got .*float64"):
        losses.hinge(backend.asarray(np.zeros((3, 2))), backend.asarray(np.zeros(3)))
    with pytest.raises(ConfigError, match=r"hinge: expected margin > 0, got 0"):
        losses.hinge(scores, labels, margin=0)


# cross-entropy --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@reductions
def test_class_weights_are_pytorchs(smoothing, reduction, backend):
    torch = pytorch()
    x = torch.tensor(X, requires_grad=True)
    options = {"weight": torch.tensor(WEIGHTS), "label_smoothing": smoothing, "reduction": reduction}
    theirs = torch.nn.functional.cross_entropy(x, torch.tensor(LABELS), **options)
    theirs.sum().backward()

    def ours(x, t, w):
        return losses.cross_entropy(x, t, class_weights=w, label_smoothing=smoothing, reduction=reduction)

    arrays = tuple(map(backend.asarray, (X, LABELS, WEIGHTS)))
    value = backend.xp.asarray(ours(*arrays))
    assert_agrees(value, theirs.detach().numpy(), rtol=1e-14, scale=10.0, backend=backend)
    g = nnx.grad(lambda *arrays: nnx.namespace(*arrays).sum(ours(*arrays)))(*arrays)
    assert_agrees(g, x.grad.numpy(), rtol=1e-14, scale=4.0, backend=backend)


def test_class_weights_of_probabilities(backend):
    """Σ w t (−log p) / Σ w t: as for labels, and unlike PyTorch, which divides by N here."""
    t = softened(7, 4)
    p = np.exp(X) / np.exp(X).sum(-1, keepdims=True)
    y = losses.cross_entropy(*map(backend.asarray, (X, t)), class_weights=backend.asarray(WEIGHTS))
    expected = -(t * WEIGHTS * np.log(p)).sum() / (t * WEIGHTS).sum()
    assert_agrees(backend.xp.asarray(y), np.asarray(expected), rtol=1e-14, backend=backend)


def test_constant_class_weights_change_nothing(backend):
    x, t = backend.asarray(X), backend.asarray(LABELS)
    for smoothing in (0.0, 0.1):
        plain = losses.cross_entropy(x, t, label_smoothing=smoothing)
        weighted = losses.cross_entropy(x, t, label_smoothing=smoothing, class_weights=backend.asarray(np.full(4, 3.0)))
        assert_agrees(backend.xp.asarray(weighted), backend.xp.asarray(plain), rtol=1e-14)


def test_rows_without_weight_give_no_loss_and_no_nan(backend):
    x, t = backend.asarray(X[:2]), backend.asarray(np.asarray([3, 3]))
    f = lambda x, t, w: losses.cross_entropy(x, t, class_weights=w)  # noqa: E731
    value, g = nnx.value_and_grad(f)(x, t, backend.asarray(WEIGHTS))
    assert float(backend.to_numpy(value)) == 0.0
    assert not backend.to_numpy(g).any()


def test_smoothed_targets(backend):
    ours = losses.cross_entropy(backend.asarray(X), backend.asarray(LABELS), label_smoothing=0.4)
    soft = losses.cross_entropy(backend.asarray(X), backend.asarray(smoothed(0.4)))
    assert_agrees(backend.xp.asarray(ours), backend.xp.asarray(soft), rtol=1e-15, scale=4.0)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_labels_of_any_integer_type(dtype, backend):
    y = losses.cross_entropy(backend.asarray(X), backend.asarray(LABELS, dtype=dtype), reduction="none")
    assert_agrees(y, losses.cross_entropy(backend.asarray(X), backend.asarray(LABELS), reduction="none"), exact=True)


def test_the_start_of_training_is_near_ln_c(backend):
    for c in (2, 10, 100):
        model = nnx.Linear(20, c, init=nnx.init.normal(0.01)).to(backend)
        x = backend.asarray(draw((500, 20), 1).astype("float32"))
        loss = losses.cross_entropy(model(x), backend.asarray(np.arange(500) % c))
        assert abs(float(backend.to_numpy(loss)) - math.log(c)) < 0.01


@rows
@pytest.mark.parametrize("size", [1e4, -1e4, 0.0, 5e-324])
def test_extreme_outputs_give_numbers(row: Row, size, backend):
    x = np.where(row.x > 0, size, -size)
    value, g = nnx.value_and_grad(row.loss)(backend.asarray(x), backend.asarray(row.t))
    assert np.isfinite(backend.to_numpy(value))
    assert np.isfinite(backend.to_numpy(g)).all()
    with np.errstate(all="ignore"):
        expected = row.rows(x, row.t).mean()
    if np.isfinite(expected):
        scale = max(1e4, abs(expected))
        assert_agrees(backend.xp.asarray(value), np.asarray(expected), rtol=1e-14, scale=scale, backend=backend)


CROSS = {
    "logits": (lambda: (X[0], LABELS), {}, ShapeError, r"cross_entropy: expected logits of shape \(N, C\), got \(4,\)"),
    "columns": (
        lambda: (X, LABELS[:, None]),
        {},
        ShapeError,
        r"expected labels of shape \(7,\) or probabilities of shape \(7, 4\), got \(7, 1\)\. One label for each row; reshape",
    ),
    "rows": (lambda: (X, LABELS[:3]), {}, ShapeError, r"expected labels of shape \(7,\) .*, got \(3,\)"),
    "float labels": (lambda: (X, LABELS * 1.0), {}, DtypeError, r"expected integer labels, got .*float64\. Cast them"),
    "smoothing": (
        lambda: (X, LABELS),
        {"label_smoothing": 1.0},
        ConfigError,
        r"expected 0 ≤ label_smoothing < 1, got 1\.0",
    ),
    "weights": (
        lambda: (X, LABELS),
        {"class_weights": np.ones(1)},
        ShapeError,
        r"expected class_weights of shape \(4,\), got \(1,\)",
    ),
}


@pytest.mark.parametrize("case", CROSS)
def test_errors_of_cross_entropy(case, backend):
    make, options, kind, message = CROSS[case]
    options = {name: backend.asarray(v) if name == "class_weights" else v for name, v in options.items()}
    with pytest.raises(kind, match=message):
        losses.cross_entropy(*map(backend.asarray, make()), **options)


def test_other_errors(backend):
    other = "strict" if backend.name == "numpy" else "numpy"
    foreign = nnx.backends.get(other).asarray(np.array(X))
    with pytest.raises(MixedArraysError, match=r"expected arrays of .* only, got one of .* beside them"):
        losses.mse(backend.asarray(X), foreign)
    with pytest.raises(DtypeError, match=r"mse: expected floating-point outputs, got .*int64\. Cast them"):
        losses.mse(backend.asarray(LABELS), backend.asarray(LABELS))
    with pytest.raises(ConfigError, match=r"huber: expected delta > 0, got 0"):
        losses.huber(backend.asarray(X), backend.asarray(X), delta=0)
    with pytest.raises(
        ConfigError, match=r"expected a loss: binary_cross_entropy, cross_entropy, .*, got 'cross-entropy'"
    ):
        losses.get("cross-entropy")
    assert losses.get(losses.mse) is losses.mse
