"""Convolution without windows: what it takes, that it agrees with the definition, and that its bits depend on shapes alone."""

from functools import partial

import numpy as np
import pytest
from cases.convolutions import CASES, arrays

import nnx
from nnx import backends
from nnx.backends import portable
from nnx.backends.convolution import direct
from nnx.backends.fast import compiled, crew
from nnx.losses import cross_entropy
from nnx.train.stepper import stepper

pytestmark = pytest.mark.skipif(not compiled.installed(), reason="numba is not installed")


@pytest.fixture
def settings(monkeypatch):
    """``settings(FROM=0)``: what :mod:`nnx.backends.convolution.direct` goes by, and plans anew."""

    def choose(**values):
        for name, value in values.items():
            monkeypatch.setattr(direct, name, value)
        direct._plan.cache_clear()

    yield choose
    direct._plan.cache_clear()


def maps(hooks, x, w, b, how):
    """The three maps of a convolution by a backend's hooks, or by the portable ones."""
    xp = backends.get("numpy").xp
    y = hooks.convolve(xp, x, w, b, *how)
    g = np.cos(np.arange(y.size)).astype(x.dtype).reshape(y.shape)
    return [
        y, hooks.convolve_to_weight(xp, x, g, w.shape[:-2], *how), hooks.convolve_to_input(xp, g, w, x.shape[1:-1], *how)
    ]  # fmt: skip


def assert_right(x, w, b, how, name=""):
    """Within some roundings of the largest sum of absolute values."""
    ours = maps(backends.get("numpy"), x, w, b, how)
    expected = maps(portable, *(a.astype("float64") for a in (x, w, b)), how)
    larger = maps(portable, *(np.abs(a).astype("float64") for a in (x, w, b)), how)
    for a, e, most in zip(ours, expected, larger, strict=True):
        assert (a.dtype, a.shape) == (x.dtype, e.shape), name
        # a sum of n terms is off by a few √n roundings of Σ|terms|; |cos| ≤ 1 is what the third argument leaves out
        bound = 8 * np.finfo(x.dtype).eps * (np.max(np.abs(most), initial=0) + np.sqrt(x.size))
        np.testing.assert_allclose(a, e, rtol=0, atol=bound, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("band", [1, 1_300, 100_000])
def test_every_kind_of_convolution(settings, dtype, band):
    settings(FROM=0, BAND=band, SHARED_FROM=10**9)
    taken, rests = set(), 0
    for name in CASES:
        x, w, b, how = arrays(name)
        wide = np.repeat(w, 3, axis=-1)
        if (plan := direct.plan(x, wide.shape, *how, w.dtype)) is not None:
            taken.add(name)
            rests += plan.rows % plan.band > 0
        assert_right(*(a.astype(dtype) for a in (x, wide, np.repeat(b, 3))), how, name)
    assert set(CASES) - taken == {"empty batch", "three axes"}
    assert (rests > 0) == (band == 1_300)


def test_any_number_of_channels_and_pixels(settings):
    settings(FROM=0)
    rng = np.random.default_rng(3)
    for trial in range(40):
        kernel = tuple(int(k) for k in rng.integers(1, 5, 2))
        dilation = tuple(int(d) for d in rng.integers(1, 3, 2))
        pads = tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (2, 2)))
        reach = [d * (k - 1) + 1 - sum(ends) for k, d, ends in zip(kernel, dilation, pads, strict=True)]
        axes = [int(rng.integers(max(1, r), max(1, r) + 12)) for r in reach]
        groups, share, columns = int(rng.integers(1, 4)), int(rng.integers(1, 9)), int(rng.integers(2, 70))
        x = rng.normal(size=(int(rng.integers(1, 4)), *axes, groups * share)).astype("float32")
        w = rng.normal(size=(*kernel, share, groups * columns)).astype("float32")
        how = (tuple(int(s) for s in rng.integers(1, 4, 2)), pads, dilation, groups)
        assert direct.plan(x, w.shape, *how, w.dtype) is not None
        assert_right(x, w, rng.normal(size=w.shape[-1]).astype("float32"), how, f"{trial}: {how}")


def test_threads_share_images_or_rows_of_one(monkeypatch, settings):
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(3, 3, 5, 20)).astype("float32"), rng.normal(size=20).astype("float32")
    how, parts, share = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), [], crew.share
    monkeypatch.setattr(crew, "size", lambda: 1 if getattr(crew._here, "busy", False) else 3)
    monkeypatch.setattr(crew, "share", lambda function, given: parts.append(len(given)) or share(function, given))
    for images in (1, 7):
        x = rng.normal(size=(images, 11, 9, 5)).astype("float32")
        settings(FROM=0, SHARED_FROM=10**9)
        alone = maps(backends.get("numpy"), x, w, b, how)
        parts.clear()
        settings(SHARED_FROM=0)
        shared = maps(backends.get("numpy"), x, w, b, how)
        assert parts == [3, 3, 3]
        np.testing.assert_array_equal(shared[0], alone[0])
        np.testing.assert_array_equal(shared[2], alone[2])
        np.testing.assert_allclose(shared[1], alone[1], rtol=0, atol=1e-4)


def test_views_and_wanted_places(settings):
    settings(FROM=0)
    be, (x, w, b, how) = backends.get("numpy"), arrays("one channel")
    odd = np.repeat(np.repeat(x, 2, axis=0), 2, axis=2)[::2, :, ::2]
    turned = np.ascontiguousarray(np.swapaxes(w, 0, 1)).swapaxes(0, 1)
    for array in (odd, turned, b):
        array.flags.writeable = False
    out = np.full((3, 6, 6, 5), np.nan)
    assert be.convolve(be.xp, odd, turned, b, *how, out=out) is out
    np.testing.assert_array_equal(out, be.convolve(be.xp, x, w, b, *how))


def test_whether_it_is_made_so_depends_on_shapes_alone():
    plan = partial(direct.plan, stride=(1, 1), pads=((1, 1), (1, 1)), dilation=(1, 1), groups=1)
    x = np.zeros((1, 28, 28, 1), "float32")
    assert plan(x, (3, 3, 1, 16), dtype=x.dtype) is plan(x + 1, (3, 3, 1, 16), dtype=x.dtype) is not None
    declined = [
        plan(x[:, :14], (3, 3, 1, 16), dtype=x.dtype),  # so small that loading the compiler takes longer
        plan(np.zeros((2, 112, 112, 1), "float32"), (3, 3, 1, 1), dtype=x.dtype),  # one output makes no vector
        plan(x, (3, 3, 1, 16), dtype=np.dtype("float64")),
        plan(x.astype("float16"), (3, 3, 1, 16), dtype=np.dtype("float16")),
        plan(np.zeros((1, 8, 8, 256), "float32"), (3, 3, 256, 256), dtype=x.dtype),  # more weights than a cache holds
    ]
    assert declined == [None] * 5


def test_windows_are_gathered_where_it_cannot_be_compiled(monkeypatch, settings):
    from nnx.backends.convolution import tiles

    def fails(*_):
        raise RuntimeError("no such processor")

    settings(FROM=0)
    monkeypatch.setattr(tiles, "kernel", fails)
    direct.kernel.cache_clear()
    try:
        x, w, b, how = arrays("plain")
        assert_right(x, np.repeat(w, 4, axis=-1), np.repeat(b, 4), how)
        assert direct.plan(x, (3, 3, 4, 12), *how, x.dtype) is None
    finally:
        direct.kernel.cache_clear()


def digits():
    return nnx.Sequential(
        nnx.Conv2d(1, 16, 3, padding=1), nnx.ReLU(), nnx.MaxPool2d(2), nnx.Conv2d(16, 24, 3, padding=1), nnx.ReLU(),
        nnx.MaxPool2d(2), nnx.Flatten(), nnx.Linear(7 * 7 * 24, 10),
    ).initialize(0)  # fmt: skip


def test_recordings_give_the_bits_of_what_is_written():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 28, 28, 1)).astype("float32"), rng.integers(0, 10, 8)
    model = digits()
    predict = nnx.compile(model)
    for images in (x[:1], x):
        np.testing.assert_array_equal(predict(images), model(images))
    found = []
    for written in (False, True):
        model, optimizer = digits(), nnx.optim.SGD(0.1)
        take, state = stepper(model, cross_entropy, not written), optimizer.init(model.parameters())
        for number in range(4):
            state = take(optimizer, state, x, y, 0, number).state
        assert written or take.declined == ""
        found.append(model.parameters())
    for path, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][path], err_msg=path)
