"""Convolution, its adjoints, and pooling: every override against the portable default and the definition."""

import threading
import tracemalloc
from functools import cache

import numpy as np
import pytest
from cases import spatial
from cases.convolutions import CASES, arrays
from support.compare import assert_agrees

from nnx import backends
from nnx.backends import portable


def by_definition(x, w, b, stride, pads, dilation, groups):
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    return spatial.convolve(padded, w, b, stride, (0,) * len(stride), dilation, groups)


@cache
def wanted(name):
    """The value, a gradient g of it, and <g, x∗dw>, <g, dx∗w> for a few directions: the same for every backend."""
    x, w, b, how = arrays(name)
    expected = by_definition(x, w, b, *how)
    g, along = np.random.default_rng(1).normal(size=expected.shape), []
    for seed in range(4):
        dw, dx = (np.random.default_rng(seed).normal(size=a.shape) for a in (w, x))
        sums = [np.sum(g * by_definition(x, dw, None, *how)), np.sum(g * by_definition(dx, w, None, *how))]
        along.append((dw, dx, *sums))
    return expected, g, along


@pytest.mark.parametrize("name", CASES)
def test_convolution_and_its_adjoints(be, tables, name):
    x, w, b, how = arrays(name)
    expected, g, along = wanted(name)
    there = [be.asarray(a) for a in (x, w, b, g)]
    for hooks in tables:
        y = hooks.convolve(be.xp, *there[:3], *how)
        assert_agrees(y, expected, rtol=1e-13, scale=20.0, backend=be)
        without = hooks.convolve(be.xp, there[0], there[1], None, *how)
        assert_agrees(without, expected - b, rtol=1e-13, scale=20.0, backend=be)
        to_weight = be.to_numpy(hooks.convolve_to_weight(be.xp, there[0], there[3], w.shape[:-2], *how))
        to_input = be.to_numpy(hooks.convolve_to_input(be.xp, there[3], there[1], x.shape[1:-1], *how))
        assert (to_weight.shape, to_input.shape) == (w.shape, x.shape)
        for (
            dw,
            dx,
            along_w,
            along_x,
        ) in along:  # <g, x∗w> = <to_weight, w> = <to_input, x>, in any direction of w and of x
            np.testing.assert_allclose(np.sum(to_weight * dw), along_w, rtol=0, atol=1e-11 * (1 + np.abs(g).sum()))
            np.testing.assert_allclose(np.sum(to_input * dx), along_x, rtol=0, atol=1e-11 * (1 + np.abs(g).sum()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("block", [600, 500_000])
def test_windows_gathered_by_a_compiled_loop_have_the_same_bits(monkeypatch, block, dtype):
    pytest.importorskip("numba", reason="numba is not installed")
    from nnx.backends.convolution import blocked, compiled_windows

    be, gathered = backends.get("numpy"), []
    monkeypatch.setattr(blocked, "BLOCK", block)
    loops = compiled_windows._loops()
    monkeypatch.setattr(
        compiled_windows, "_loops", lambda: [lambda *given, loop=loop: gathered.append(loop(*given)) for loop in loops]
    )
    for name in CASES:
        x, w, b, how = arrays(name)
        x, w, b = (a.astype(dtype) for a in (x, w, b))
        found = {}
        for compiled in (False, True):
            monkeypatch.setattr(compiled_windows, "worth", lambda size, compiled=compiled: compiled)
            before = len(gathered)
            y = be.convolve(be.xp, x, w, b, *how)
            found[compiled] = [
                y, be.convolve_to_weight(be.xp, x, y, w.shape[:-2], *how),
                be.convolve_to_input(be.xp, y, w, x.shape[1:-1], *how),
            ]  # fmt: skip
            assert (len(gathered) > before) == (compiled and name not in ("groups", "three axes", "empty batch")), name
        for ours, theirs in zip(found[True], found[False], strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("block", [1, 600, 5000])
def test_blocks_of_any_size_give_the_same(monkeypatch, block, installed):
    from nnx.backends.convolution import blocked, kernel_rows

    monkeypatch.setattr(blocked, "BLOCK", block)
    by_rows, gatherer = set(), kernel_rows.gatherer
    monkeypatch.setattr(kernel_rows.compiled, "installed", lambda: installed)
    monkeypatch.setattr(kernel_rows, "gatherer", lambda *given: by_rows.add(name) or gatherer(*given))
    be = backends.get("numpy")
    for name in CASES:
        monkeypatch.setattr(blocked, "_own", threading.local())  # no room that another case has left
        x, w, b, how = arrays(name)
        y = be.convolve(be.xp, x, w, b, *how)
        np.testing.assert_allclose(y, by_definition(x, w, b, *how), rtol=0, atol=1e-12)
        for ours, default, options in (
            (be.convolve_to_weight, portable.convolve_to_weight, (x, y, w.shape[:-2])),
            (be.convolve_to_input, portable.convolve_to_input, (y, w, x.shape[1:-1])),
        ):
            np.testing.assert_allclose(
                ours(be.xp, *options, *how), default(be.xp, *options, *how), rtol=0, atol=1e-10, err_msg=name
            )
    assert by_rows == (set() if installed else {"plain", "more padding than kernel", "rows apart", "empty batch"})


def test_the_windows_of_a_batch_are_never_all_there(monkeypatch):
    from nnx.backends.convolution import blocked

    monkeypatch.setattr(blocked, "_own", threading.local())
    be, how = backends.get("numpy"), ((2, 2), ((0, 0), (0, 0)), (1, 1), 1)
    x, w = np.ones((64, 21, 21, 8)), np.ones((5, 5, 8, 8))
    y = be.convolve(be.xp, x, w, None, *how)
    windows = y[..., 0].nbytes * 25 * 8
    for call in (
        lambda: be.convolve(be.xp, x, w, None, *how),
        lambda: be.convolve_to_weight(be.xp, x, y, (5, 5), *how),
        lambda: be.convolve_to_input(be.xp, y, w, (21, 21), *how),
    ):
        made = call().nbytes
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak - 2 * made < windows / 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_shared_among_threads_and_results_where_they_are_wanted(monkeypatch, dtype):
    from nnx.backends.convolution import blocked
    from nnx.backends.fast import crew

    be, shared, share = backends.get("numpy"), [], crew.share
    for name in CASES:
        x, w, b, how = (a.astype(dtype) if isinstance(a, np.ndarray) else a for a in arrays(name))
        x = np.concatenate([x, 2 * x, 3 * x])
        alone = be.convolve(be.xp, x, w, b, *how)
        rest = [(be.convolve_to_weight, x, alone, w.shape[:-2]), (be.convolve_to_input, alone, w, x.shape[1:-1])]
        wanted = [alone, *(function(be.xp, *given, *how) for function, *given in rest)]
        with monkeypatch.context() as patch:
            patch.setattr(blocked, "SHARED_FROM", 0)
            patch.setattr(crew, "size", lambda: 1 if getattr(crew._here, "busy", False) else 3)
            patch.setattr(crew, "share", lambda function, parts: shared.append(len(parts)) or share(function, parts))
            outs = [np.full_like(a, np.nan) for a in wanted]
            got = [be.convolve(be.xp, x, w, b, *how, out=outs[0])]
            got += [f(be.xp, *given, *how, out=out) for (f, *given), out in zip(rest, outs[1:], strict=True)]
        for a, e, out in zip(got, wanted, outs, strict=True):
            assert a is out
            assert_agrees(a, e, rtol=float(np.finfo(dtype).eps) * 64, scale=np.max(np.abs(e), initial=0.0))
        assert (name in ("groups", "empty batch")) == (3 not in shared), name
        shared.clear()


@pytest.mark.parametrize("name", CASES)
def test_what_numpy_gives_lies_in_order_as_where_a_recording_wants_it(name):
    """A mean over pixels goes over them as they lie: a step as written would have other last bits than its recording."""
    be, (x, w, b, how) = backends.get("numpy"), arrays(name)
    y = be.convolve(be.xp, x, w, b, *how)
    back = (
        be.convolve_to_weight(be.xp, x, y, w.shape[:-2], *how),
        be.convolve_to_input(be.xp, y, w, x.shape[1:-1], *how),
    )
    assert [a.flags.c_contiguous for a in (y, *back)] == [True, True, True]


def test_views_are_taken(be):
    x, w, b, how = arrays("plain")
    wide = be.asarray(np.repeat(np.repeat(x, 2, axis=0), 2, axis=-1))[::2, ..., ::2]
    turned = be.asarray(np.ascontiguousarray(np.swapaxes(w, -1, -2)))
    turned = be.xp.permute_dims(turned, (0, 1, 3, 2))
    y = be.convolve(be.xp, wide, turned, be.asarray(b), *how)
    expected = by_definition(x, w, b, *how)
    assert_agrees(y, expected, rtol=1e-13, scale=20.0, backend=be)
    g = be.xp.permute_dims(be.asarray(np.ascontiguousarray(np.swapaxes(expected, 1, 2))), (0, 2, 1, 3))
    ours = be.convolve_to_weight(be.xp, wide, g, (3, 3), *how)
    assert_agrees(
        ours, portable.convolve_to_weight(np_xp(), x, expected, (3, 3), *how), rtol=1e-12, scale=1e3, backend=be
    )
    ours = be.convolve_to_input(be.xp, g, turned, (6, 7), *how)
    assert_agrees(
        ours, portable.convolve_to_input(np_xp(), expected, w, (6, 7), *how), rtol=1e-12, scale=1e3, backend=be
    )


def np_xp():
    return backends.get("numpy").xp


POOLS = {
    "side by side": ((6, 8), (2, 2), (2, 2), (1, 1)),
    "a rest": ((7, 5), (2, 2), (2, 2), (1, 1)),
    "overlapping": ((6, 7), (3, 2), (1, 2), (1, 1)),
    "gaps": ((9, 9), (2, 2), (3, 4), (1, 2)),
    "dilated, side by side": ((8, 8), (2, 2), (1, 1), (3, 3)),
    "one axis": ((9,), (3,), (2,), (1,)),
    "three axes": ((4, 3, 5), (2, 2, 2), (1, 1, 2), (1, 1, 2)),
}


@pytest.mark.parametrize("name", POOLS)
def test_pool_and_unpool(be, name):
    if be.name == "jax" and name not in ("a rest", "overlapping", "one axis"):
        pytest.skip("JAX compiles every shape anew: three of these run")
    compare_pools(be, name, 2, 3, "float32")


def test_pool_and_unpool_of_nothing(be):
    compare_pools(be, "a rest", 0, 3, "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", POOLS)
def test_large_arrays_on_numpy(name, dtype):
    compare_pools(backends.get("numpy"), name, 150, 16, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_pools_after_many_calls(monkeypatch, dtype):
    pytest.importorskip("numba", reason="numba is not installed")
    from nnx.backends.convolution import compiled_pool

    monkeypatch.setattr(compiled_pool, "worth", lambda size: True)
    assert compiled_pool._loops(np.dtype(dtype).char) is not None  # else all of this is another's work
    for name in POOLS:
        compare_pools(backends.get("numpy"), name, 2, 3, dtype)


@pytest.mark.parametrize("kernel", [(3,), (3, 3), (2, 5)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_what_many_windows_give_back_to_one_place_comes_in_one_order(monkeypatch, kernel, dilation):
    pytest.importorskip("numba", reason="numba is not installed")
    from nnx.backends.convolution import compiled_pool

    be, rng = backends.get("numpy"), np.random.default_rng(0)
    how = (kernel, (1,) * len(kernel), (dilation,) * len(kernel))
    x = rng.integers(0, 2, (3, *[12] * len(kernel), 5)).astype("float32")  # ones are the largest of many windows
    y, place = be.pool(be.xp, x, *how)
    g = rng.normal(size=y.shape).astype("float32")
    found = []
    for compiled in (False, True):  # a training goes from one to the other, and must not notice
        monkeypatch.setattr(compiled_pool, "worth", lambda size, compiled=compiled: compiled)
        found.append(be.unpool(be.xp, g, place, x.shape[1:-1], *how))
    np.testing.assert_array_equal(*found)


def compare_pools(be, name, batch, channels, dtype):
    axes, kernel, stride, dilation = POOLS[name]
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, size=(batch, *axes, channels)).astype(dtype)  # many equal values
    x.reshape(-1)[::17] = np.nan
    host = backends.get("numpy")
    y, place = (np.asarray(a) for a in portable.pool(host.xp, x, kernel, stride, dilation))
    np.testing.assert_array_equal(y, spatial.pooled(x, kernel, stride, (0,) * len(axes), dilation, np.max))
    ours, at = be.pool(be.xp, be.asarray(x), kernel, stride, dilation)
    np.testing.assert_array_equal(be.to_numpy(ours), y)
    np.testing.assert_array_equal(be.to_numpy(at), place)
    g = rng.integers(-9, 9, size=y.shape).astype(dtype)
    back = be.unpool(be.xp, be.asarray(g), at, axes, kernel, stride, dilation)
    expected = portable.unpool(host.xp, g, place, axes, kernel, stride, dilation)
    assert_agrees(back, expected, exact=True, backend=be)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pools_without_a_compiler(monkeypatch, dtype):
    from nnx.backends.convolution import compiled_pool

    monkeypatch.setattr(compiled_pool, "worth", lambda size: False)
    monkeypatch.setattr(compiled_pool, "BLOCK", 1000)
    for name in POOLS:
        compare_pools(backends.get("numpy"), name, 4, 3, dtype)


def test_a_window_too_large_for_places_in_bytes():
    be, rng = backends.get("numpy"), np.random.default_rng(0)
    x = rng.normal(size=(2, 18, 19, 2))
    how = ((17, 16), (1, 2), (1, 1))
    out = (np.empty((2, 2, 2, 2)), np.empty((2, 2, 2, 2), np.int32))
    for y, place in (be.pool(be.xp, x, *how), be.pool(be.xp, x, *how, out=out)):
        expected = portable.pool(be.xp, x, *how)
        np.testing.assert_array_equal(y, expected[0])
        np.testing.assert_array_equal(place, expected[1])
        back = be.unpool(be.xp, y, place, (18, 19), *how)
        np.testing.assert_allclose(back, portable.unpool(be.xp, y, place, (18, 19), *how), rtol=1e-15)
