"""Rules over many arrays at once: the default's bits, and memory that is used again only when nobody looks."""

import numpy as np
import pytest

from nnx import backends
from nnx.backends import portable
from nnx.backends.fast import crew, together

SHAPES = [(3, 4), (4,), (), (0,), (200, 100), (2, 2, 2)]
"""One of them larger than what is joined."""


def rule(xp, p, g, m, rate, decay):
    m = decay * m + g * g
    return p - rate * g / (xp.sqrt(m) + 1e-3 * rate), m


def columns(backend, seed=0, shapes=SHAPES):
    draw = np.random.default_rng(seed)
    return [
        [backend.asarray(np.asarray(draw.normal(size=shape) ** 2, dtype="float32")) for shape in shapes]
        for _ in range(3)
    ]


@pytest.mark.parametrize("shapes", [SHAPES, SHAPES[4:5] * 2], ids=["small and large", "large"])
def test_every_backend_gives_the_bits_of_the_default(shapes, backend):
    oracle = backends.get("numpy") if backend.name == "torch" else backend  # torch's own square root is not exact
    ours = backend.each(backend.fuse(rule), backend.xp, columns(backend, 0, shapes), (0.1, 0.9))
    default = portable.each(oracle.fuse(rule), oracle.xp, columns(oracle, 0, shapes), (0.1, 0.9))
    joined = portable.each_joined(oracle.fuse(rule), oracle.xp, columns(oracle, 0, shapes), (0.1, 0.9))
    assert len(ours) == len(default) == len(joined) == 2
    for mine, theirs in zip([*ours, *joined], [*default, *default]):
        for a, b, shape in zip(mine, theirs, shapes, strict=True):
            assert tuple(a.shape) == shape
            np.testing.assert_array_equal(backends.of(a).to_numpy(a), oracle.to_numpy(b))


def test_arrays_of_several_dtypes_are_taken_one_by_one(backend):
    given = columns(backend, shapes=[(2,), (3,)])
    wide = [[backend.xp.astype(column[0], backend.dtype("float64")), column[1]] for column in given]
    for each in (backend.each, portable.each_joined):
        ours = each(rule, backend.xp, wide, (0.1, 0.9))
        assert [array.dtype for array in ours[0]] == [wide[0][0].dtype, wide[0][1].dtype]


def test_a_training_in_memory_that_is_used_again_gives_the_same_bits():
    be = backends.get("numpy")
    (p, g, m), memory = columns(be), together.Memory()
    p2, m2, places = p, m, set()
    for step in range(12):
        p, m = portable.each(rule, be.xp, [p, g, m], (0.1 / (step + 1), 0.9))
        with memory:
            p2, m2 = be.each(rule, be.xp, [p2, g, m2], (0.1 / (step + 1), 0.9))
        places.add(id(p2[0]))
        for a, b in zip([*p, *m], [*p2, *m2], strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(places) < 6


@pytest.mark.parametrize("part", ["all of a piece", "a view of a piece", "one piece of many"])
def test_what_somebody_holds_is_not_written(part):
    be, memory = backends.get("numpy"), together.Memory()
    p, g, m = columns(be, shapes=[(3, 4), (5,)])
    held = {}
    for step in range(10):
        with memory:
            p, m = be.each(rule, be.xp, [p, g, m], (0.1, 0.9))
        held[step] = p[0] if part == "all of a piece" else p[0][1:, 0] if part == "a view of a piece" else m[1]
        held[step] = (held[step], held[step].copy())
    for array, before in held.values():
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("size", [99, 1600, 1700, 5003])
def test_blocks_shared_among_threads_give_the_same_bits(monkeypatch, size):
    be, shared, share = backends.get("numpy"), [], crew.share
    given = columns(be, shapes=[(size,), (size, 3)])
    default = portable.each(rule, be.xp, given, (0.1, 0.9))
    monkeypatch.setattr(together, "BLOCK", 100)
    monkeypatch.setattr(crew, "size", lambda: 3)
    monkeypatch.setattr(crew, "share", lambda function, parts: shared.append(len(parts)) or share(function, parts))
    ours = be.each(rule, be.xp, given, (0.1, 0.9))
    for a, b in zip([*ours[0], *ours[1]], [*default[0], *default[1]], strict=True):
        np.testing.assert_array_equal(a, b)
    assert (max(shared) == 1) == (size == 99)


def test_memory_of_another_grouping_is_let_go():
    be, memory = backends.get("numpy"), together.Memory()
    p, g, m = columns(be)
    for _ in range(3):
        with memory:
            p, m = be.each(rule, be.xp, [p, g, m], (0.1, 0.9))
    assert len(memory._sets) == 2  # small arrays, and a large one
    gradients = together.Set(tuple(x.shape for x in g), g[0].dtype)
    for piece, x in zip(gradients.pieces, g, strict=True):
        piece[...] = x
    for _ in range(4):
        with memory:
            p, m = be.each(rule, be.xp, [p, gradients.pieces, m], (0.1, 0.9))
    assert sorted(len(made) for made in memory._sets.values()) == [0, 0, 4]


def test_pieces_in_another_order_are_not_taken_for_the_whole():
    made = together.Set(((2, 2), (2, 2)), np.dtype("float32"))
    made.flat[:] = np.arange(8)
    assert together.joined(made.pieces) is made.flat
    np.testing.assert_array_equal(together.joined(made.pieces[::-1]), [4, 5, 6, 7, 0, 1, 2, 3])
    np.testing.assert_array_equal(together.joined([made.pieces[0]]), [0, 1, 2, 3])
    np.testing.assert_array_equal(together.joined([made.pieces[0], made.pieces[0]]), [0, 1, 2, 3, 0, 1, 2, 3])
