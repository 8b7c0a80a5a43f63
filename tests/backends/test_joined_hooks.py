"""Hooks that are expressions of the standard's functions: what a library has in one call, against that expression."""

import numpy as np
import pytest
from support.compare import assert_agrees

import nnx
from nnx import backends
from nnx.backends import portable
from nnx.backends.fast import crew, labels
from nnx.backends.recorded.recording import JOINED, Recorded, Recording, backend_over, record, space_over

pytestmark = pytest.mark.skip_backends(
    "jax", reason="has none of its own, and compiles the expressions for every shape"
)
TIER = {"rtol": 1e-12, "scale": 10.0}
BOTH = [(True, True), (True, False), (False, True), (False, False)]


def draw(backend, shape, seed, dtype="float64"):
    return backend.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def agree(ours, theirs):
    assert (ours is None) == (theirs is None)
    if ours is not None:
        assert_agrees(ours, theirs, **TIER)


def test_relu(backend):
    x, g = draw(backend, (4, 5), 0), draw(backend, (4, 5), 1)
    y = backend.relu(backend.xp, x)
    assert_agrees(y, portable.relu(backend.xp, x), exact=True)
    agree(backend.relu_back(backend.xp, g, y), portable.relu_back(backend.xp, g, y))  # but for the sign of a 0
    edges = backend.asarray([float("nan"), float("inf"), -float("inf"), 0.0])
    assert_agrees(backend.relu(backend.xp, edges), portable.relu(backend.xp, edges), exact=True)
    at_zero = backend.relu_back(backend.xp, draw(backend, (2,), 2), backend.asarray([0.0, 0.0]))
    np.testing.assert_array_equal(backend.to_numpy(at_zero), [0.0, 0.0])


@pytest.mark.parametrize("shape", [(6, 3), (2, 2, 3, 4), (2, 5, 3), (1, 4), (5, 1)])
@pytest.mark.parametrize(("scaled", "shifted"), BOTH)
def test_batch_norm(shape, scaled, shifted, backend):
    xp, features = backend.xp, shape[-1:]
    x, g = 3.0 + 2.0 * draw(backend, shape, 0), draw(backend, shape, 1)
    gamma = draw(backend, features, 2) if scaled else None
    beta = draw(backend, features, 3) if shifted else None
    *ours, saved = backend.batch_norm(xp, x, gamma, beta, 1e-5)
    *theirs, kept = portable.batch_norm(xp, x, gamma, beta, 1e-5)
    for mine, default in zip(ours, theirs, strict=True):
        agree(mine, default)
    for wanted in range(3):
        for needs in ((True, scaled, shifted), tuple(i == wanted for i in range(3))):
            if needs[1] <= scaled:
                made = backend.batch_norm_back(xp, needs, saved, g)
                assert [one is not None for one in made] == list(needs)
                for mine, default in zip(made, portable.batch_norm_back(xp, needs, kept, g), strict=True):
                    agree(mine, default)


def test_batch_norm_of_values_far_from_zero_and_all_alike(backend):
    """The variance is of what was centred, and is 0 where nothing varies."""
    x = backend.asarray(1e4 + np.random.default_rng(0).normal(size=(64, 2)))
    for values in (x, backend.xp.full_like(x, 7.25)):
        ours, theirs = (at.batch_norm(backend.xp, values, None, None, 1e-5)[:3] for at in (backend, portable))
        for mine, default in zip(ours, theirs, strict=True):
            assert_agrees(mine, default, rtol=1e-11, scale=1.0)


@pytest.mark.parametrize("integers", ["int64", "int32"])
@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 4), (1, 1)])
def test_cross_entropy(shape, integers, backend):
    """Labels that are no class give nothing, and a class that cannot be has no gradient."""
    xp = backend.xp
    host = np.random.default_rng(0).normal(size=shape) * 30
    which = np.random.default_rng(1).integers(-1, shape[-1] + 1, shape[:-1]).astype(integers)
    host[..., 0] = np.where(which == 0, host[..., 0], -np.inf) if shape[-1] > 1 else host[..., 0]
    logits, which = backend.asarray(host), backend.asarray(which)
    g = draw(backend, shape[:-1], 2)
    rows, saved = backend.cross_entropy(xp, logits, which)
    expected, kept = portable.cross_entropy(xp, logits, which)
    agree(rows, expected)
    agree(backend.cross_entropy_back(xp, saved, g), portable.cross_entropy_back(xp, kept, g))


def test_a_recording_has_the_call_or_its_parts(backend):
    """Whoever looks at a step call by call sees the same calls on every backend."""
    x = draw(backend, (4, 3), 0)
    own = [name for name in JOINED if getattr(backend, name) is not getattr(portable, name)]
    _, program = record(lambda x: [backend_over(backend).relu(space_over(backend), x)], [x], backend)
    assert [call.name for call in program.calls] == ["relu" if "relu" in own else "maximum"]
    looking = Recording()
    looking.open = True
    backend_over(backend).relu(space_over(backend), Recorded(x, space_over(backend), looking))
    assert [call.name for call in looking.calls] == ["maximum"]


def test_the_portable_hooks_are_numpys():
    """But for the product, which is shared among threads, and cross-entropy, whose bits are the portable one's."""
    own = [name for name in JOINED if getattr(backends.get("numpy"), name) is not getattr(portable, name)]
    assert own == ["product", "cross_entropy", "cross_entropy_back"]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(7, 10), (3, 5, 4), (1, 1), (0, 3), (300, 300), (6, 200)])
def test_cross_entropy_of_numpy_has_the_bits_of_the_default(shape, dtype, compiled, monkeypatch):
    monkeypatch.setattr(labels, "worth", lambda size: compiled and nnx.backends.fast.compiled.installed())
    monkeypatch.setattr(crew, "size", lambda: 3)
    be, rng = backends.get("numpy"), np.random.default_rng(3)
    logits, g = (rng.normal(size=size) * 9 for size in (shape, shape[:-1]))
    if shape == (7, 10):
        logits[1, 3], logits[2, :] = np.nan, -np.inf
        logits[3, 0] = np.inf
    logits, g = logits.astype(dtype), g.astype(dtype)
    for low, high in ((0, shape[-1]), (-2, shape[-1] + 2)):  # classes all of them, and not
        which = rng.integers(low, high, shape[:-1])
        with np.errstate(invalid="ignore"):
            rows, saved = be.cross_entropy(be.xp, logits, which)
            expected, kept = portable.cross_entropy(be.xp, logits, which)
            np.testing.assert_array_equal(rows, expected)
            back = be.cross_entropy_back(be.xp, saved, g)
            np.testing.assert_array_equal(back, portable.cross_entropy_back(be.xp, kept, g))
        assert back.dtype == rows.dtype == dtype
