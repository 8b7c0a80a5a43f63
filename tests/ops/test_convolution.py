"""Convolution and pooling with random shapes, strides, dilations and groups: by definition in NumPy, and PyTorch's own."""

import importlib

import numpy as np
import pytest
from cases import spatial
from support.compare import assert_agrees

import nnx
from nnx import ops

N = 24


def settings(number, axes):
    """Random sizes that fit; every few an empty batch, one image, one channel."""
    rng = np.random.default_rng([number, axes])
    kernel = tuple(int(k) for k in rng.integers(1, 4, axes))
    stride = tuple(int(s) for s in rng.integers(1, 4, axes))
    dilation = tuple(int(d) for d in rng.integers(1, 3, axes))
    padding = tuple(int(p) for p in rng.integers(0, 3, axes))
    groups = int(rng.integers(1, 4)) if number % 3 else 1
    share, out = (int(n) for n in rng.integers(1, 4, 2))
    reach = [max(d * (k - 1) + 1 - 2 * p, 1) for k, d, p in zip(kernel, dilation, padding)]
    lengths = tuple(int(r + rng.integers(0, 6)) for r in reach)
    batch = (2, 0, 3, 1)[number % 4]
    x = rng.normal(size=(batch, *lengths, share * groups))
    w = rng.normal(size=(*kernel, share, out * groups))
    b = rng.normal(size=out * groups) if number % 2 else None
    return x, w, b, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def outside(number, axes):
    """The settings of a transposed convolution, with an output padding and an output that is not empty."""
    x, w, b, s = settings(number, axes)
    rng = np.random.default_rng([number, axes, 1])
    extra = tuple(int(rng.integers(0, max(a, d))) for a, d in zip(s["stride"], s["dilation"]))
    sizes = [
        (n - 1) * a + d * (k - 1) + 1 + e
        for n, a, d, k, e in zip(x.shape[1:-1], s["stride"], s["dilation"], w.shape, extra)
    ]
    padding = tuple(min(p, (n - e - 1) // 2) for p, n, e in zip(s["padding"], sizes, extra))
    return x, w, b, {**s, "padding": padding, "output_padding": extra}


def compare(f, theirs, arrays, backend, expected=None, what=""):
    """Value by definition; value and all gradients of Σ v∘y as PyTorch has them."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its autograd is the outside definition")
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = theirs(torch, *tensors)
    v = np.random.default_rng(5).normal(size=tuple(y.shape))
    (y * torch.tensor(v)).sum().backward()
    ours = [backend.asarray(a) for a in arrays]
    value = f(*ours)
    scale = max(float(np.abs(y.detach().numpy()).max(initial=0)), 1.0)
    assert_agrees(value, y.detach().numpy(), rtol=1e-12, scale=scale, backend=backend, what=what)
    if expected is not None:
        assert_agrees(value, expected, rtol=1e-12, scale=scale, backend=backend, what=what)
    weights = backend.asarray(v)

    def loss(*xs):
        out = f(*xs)
        return nnx.namespace(out).sum(out * weights)

    gradients = nnx.grad(loss, argnums=tuple(range(len(ours))))(*ours)
    for name, g, t in zip("xwb", gradients, tensors):
        theirs_g = t.grad.numpy()
        scale = max(float(np.abs(theirs_g).max(initial=0)), 1.0)
        assert_agrees(g, theirs_g, rtol=1e-10, scale=scale, backend=backend, what=f"{what} by {name}: ")


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("number", range(N))
def test_convolution(axes, number, backend):
    x, w, b, s = settings(number, axes)
    arrays = [x, w] if b is None else [x, w, b]
    compare(
        lambda x, w, b=None: ops.convolution(x, w, b, **s),
        lambda torch, x, w, b=None: spatial.torch_convolve(torch, x, w, b, **s),
        arrays,
        backend,
        spatial.convolve(x, w, b, s["stride"], s["padding"], s["dilation"], s["groups"]),
        f"{number}: {x.shape} {w.shape} {s}",
    )


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("number", range(N))
def test_transposed_convolution(axes, number, backend):
    x, w, b, s = outside(number, axes)
    arrays = [x, w] if b is None else [x, w, b]
    compare(
        lambda x, w, b=None: ops.transposed_convolution(x, w, b, **s),
        lambda torch, x, w, b=None: spatial.torch_convolve(torch, x, w, b, transposed=True, **s),
        arrays,
        backend,
        spatial.spread(x, w, b, s["stride"], s["padding"], s["output_padding"], s["dilation"], s["groups"]),
        f"{number}: {x.shape} {w.shape} {s}",
    )


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("number", range(N))
def test_pooling(axes, number, backend):
    x, w, _, s = settings(number, axes)
    kernel, stride, dilation = tuple(w.shape[:axes]), s["stride"], s["dilation"]
    half = tuple(min(p, k // 2) for p, k in zip(s["padding"], kernel))
    x = np.pad(x, ((0, 0), *((2, 3),) * axes, (0, 0)), mode="reflect") if min(x.shape) > 3 else x
    if any(n + 2 * p < d * (k - 1) + 1 for n, p, d, k in zip(x.shape[1:], half, dilation, kernel)):
        dilation, stride, half = (1,) * axes, (1,) * axes, (0,) * axes
        kernel = tuple(min(k, n) for k, n in zip(kernel, x.shape[1:]))
    what = f"{number}: {x.shape} {kernel} {stride} {half} {dilation}"
    options = {"stride": stride, "padding": half}
    compare(
        lambda x: ops.max_pool(x, kernel, dilation=dilation, **options),
        lambda torch, x: spatial.torch_pool(torch, "max_pool", x, kernel, dilation=dilation, **options),
        [x],
        backend,
        spatial.pooled(x, kernel, stride, half, dilation, np.max, -np.inf),
        what,
    )
    if any(n + 2 * p < k for n, p, k in zip(x.shape[1:], half, kernel)):
        return
    for counted in (True, False):
        if x.shape[0] == 0:
            continue  # PyTorch's average of an empty batch is an error
        compare(
            lambda x, counted=counted: ops.average_pool(x, kernel, count_include_pad=counted, **options),
            lambda torch, x, counted=counted: spatial.torch_pool(
                torch, "avg_pool", x, kernel, count_include_pad=counted, **options
            ),
            [x],
            backend,
            spatial.pooled(x, kernel, stride, half, (1,) * axes, np.mean) if counted else None,
            what,
        )


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("number", range(N))
def test_adaptive_and_global_pooling(axes, number, backend):
    rng = np.random.default_rng([number, axes])
    x = rng.normal(size=((2, 3, 1)[number % 3], *(int(n) for n in rng.integers(1, 9, axes)), 2))
    output = tuple(int(rng.integers(1, n + 1)) for n in x.shape[1:-1])
    compare(
        lambda x: ops.adaptive_average_pool(x, output),
        lambda torch, x: spatial.torch_pool(torch, "adaptive_avg_pool", x, output),
        [x],
        backend,
        spatial.adaptive(x, output),
        f"{x.shape} to {output}",
    )
    compare(
        ops.global_average_pool,
        lambda torch, x: x.mean(dim=tuple(range(1, x.ndim - 1))),
        [x],
        backend,
    )


def test_same_padding_gives_as_many_windows_as_the_stride_asks(backend):
    for n in range(3, 9):
        for kernel in range(1, 5):
            for stride in range(1, 4):
                x, w = np.random.default_rng(n).normal(size=(2, n, 3)), np.ones((kernel, 3, 2))
                y = ops.convolution(backend.asarray(x), backend.asarray(w), stride=stride, padding="same")
                assert y.shape == (2, -(-n // stride), 2)
                if stride == 1:
                    before = (kernel - 1) // 2
                    full = np.pad(x, ((0, 0), (before, kernel - 1 - before), (0, 0)))
                    expected = spatial.convolve(full, w, None, (1,), (0,), (1,), 1)
                    assert_agrees(y, expected, rtol=1e-13, scale=10.0, backend=backend)


def test_the_first_of_equal_values_has_the_gradient(backend):
    x = np.zeros((1, 4, 4, 1))
    g = nnx.grad(lambda x: nnx.namespace(x).sum(ops.max_pool(x, 2)))(backend.asarray(x))
    expected = np.zeros((1, 4, 4, 1))
    expected[:, ::2, ::2] = 1
    assert_agrees(g, expected, exact=True, backend=backend)


def test_nan_is_the_largest(backend):
    x = np.asarray([[1.0, np.nan, 2.0, 5.0, 4.0, -np.inf, np.inf, np.nan, -np.inf, -np.inf]]).reshape(1, 10, 1)
    y = backend.to_numpy(ops.max_pool(backend.asarray(x), (2,)))[0, :, 0]
    np.testing.assert_array_equal(y, [np.nan, 5.0, 4.0, np.nan, -np.inf])


def test_the_input_of_the_first_layer_gets_no_gradient(backend, monkeypatch):
    module = importlib.import_module("nnx.ops.convolution")
    monkeypatch.setattr(module, "_to_input", lambda *a, **k: pytest.fail("taken back to the input"))
    x, w = backend.asarray(np.ones((1, 4, 4, 2))), backend.asarray(np.ones((3, 3, 2, 2)))
    nnx.grad(lambda w: nnx.namespace(w).sum(ops.convolution(x, w)))(w)


IMAGE, WEIGHT = (2, 6, 6, 4), (3, 3, 4, 8)
MISTAKES = {
    "kernel too large": (lambda x, w: ops.convolution(x[:, :2], w), r"at least 3×3, the reach of the kernel, got 2×6\. Use a"),
    "kernel too large with padding": (
        lambda x, w: ops.convolution(x, w, dilation=5, padding=1),
        r"at least 11×11, .*got 6×6 \(8×8 with padding\)",
    ),
    "channels first": (
        lambda x, w: ops.convolution(np.transpose(x, (0, 3, 1, 2)), w),
        r"x of shape \(N, H, W, 4\), channels last, got \(2, 4, 6, 6\)\. These look like channels first: "
        r"xp\.permute_dims\(x, \(0, 2, 3, 1\)\)",
    ),
    "other channels": (
        lambda x, w: ops.convolution(x[..., :3], w),
        r"got \(2, 6, 6, 3\)\. Pass 4 channels in the last axis, or build a layer with in_channels=3",
    ),
    "no batch": (lambda x, w: ops.convolution(x[0], w), r"\(N, H, W, 4\), got \(6, 6, 4\)\. .*a single example is x\[None"),
    "volumes": (lambda x, w: ops.convolution(x[None], w), r"got \(1, 2, 6, 6, 4\)\. Put the batch first and the channels last\.$"),
    "flat rows": (lambda x, w: ops.convolution(x[:, 0, 0], w), r"got \(2, 4\)\. .*nnx\.Reshape\(\(height, width, channels\)\)"),
    "sequences": (lambda x, w: ops.convolution(x, w[0]), r"x of shape \(N, L, 4\), got \(2, 6, 6, 4\)"),
    "dtype": (lambda x, w: ops.convolution(x.astype("float32"), w), r"x of dtype float64, as the weights, got float32"),
    "groups": (lambda x, w: ops.convolution(np.ones((2, 6, 6, 12)), w, groups=3), r"groups=3 with 12 and 8 channels"),
    "groups of a real number": (lambda x, w: ops.convolution(x, w, groups=2.0), r"groups=2\.0 with 8\.0 and 8 channels"),
    "groups of the adjoint": (
        lambda x, w: ops.transposed_convolution(np.ones((2, 6, 6, 12)), w, groups=3), r"groups=3 with 12 and 8 channels",
    ),
    "other channels of the adjoint": (
        lambda x, w: ops.transposed_convolution(x[..., :3], w), r"got \(2, 6, 6, 3\)\. Pass 4 channels in the last axis",
    ),
    "one stride 0": (lambda x, w: ops.convolution(x, w, stride=(2, 0)), r"stride a whole number ≥ 1, .*got \(2, 0\)"),
    "stride 0": (lambda x, w: ops.convolution(x, w, stride=0), r"stride a whole number ≥ 1, or 2 of them, got 0"),
    "padding negative": (lambda x, w: ops.convolution(x, w, padding=-1), r"padding a whole number ≥ 0, .*got -1"),
    "padding by another name": (lambda x, w: ops.convolution(x, w, padding="full"), r"'same', 'valid', .*got 'full'"),
    "output padding": (
        lambda x, w: ops.transposed_convolution(x, w, stride=2, output_padding=(0, 2)),
        r"output_padding smaller than stride or dilation, got output_padding=\(0, 2\)",
    ),
    "nothing left": (
        lambda x, w: ops.transposed_convolution(x, w, padding=4),
        r"at least 1 along each spatial axis, got \(0, 0\) from x of shape \(2, 6, 6, 4\)",
    ),
    "pool too large": (lambda x, w: ops.max_pool(x, 7), r"at least 7×7, the reach of the kernel, got 6×6"),
    "pool of rows": (lambda x, w: ops.average_pool(x[0, 0], (2, 2)), r"x of shape \(N, H, W, C\), got \(6, 4\)"),
    "padding over half": (lambda x, w: ops.max_pool(x, 3, padding=2), r"at most half the kernel, got padding=\(2, 2\)"),
    "adaptive too large": (lambda x, w: ops.adaptive_average_pool(x, 7), r"spatial axes of at least \(7, 7\), got x of shape"),
    "global of rows": (lambda x, w: ops.global_average_pool(x[0, 0]), r"\(N, L, C\) or \(N, H, W, C\).*got \(6, 4\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    call, says = MISTAKES[name]
    with pytest.raises(nnx.errors.NnxError, match=says):
        call(np.ones(IMAGE), np.ones(WEIGHT))
