"""Loops in a recorded program give the bits of its calls, whatever the calls are and whatever they meet."""

import math
import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnx
from nnx import backends
from nnx.backends.fast import compiled
from nnx.backends.recorded import buffers, looped, loops
from nnx.backends.recorded.elementwise import EXPRESSIONS, spelled
from nnx.backends.recorded.groups import Plan
from nnx.backends.recorded.program import Call, values_in
from nnx.backends.recorded.recording import record

BINARY = ["add", "subtract", "multiply", "divide", "maximum", "minimum"]
UNARY = ["negative", "square", "sqrt", "abs", "sign"]
COMPARISONS = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
SPECIAL = [0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e-42, -1e-42, 5e-324, 3.5, -2.25, 1e38, -1e38, 0.1]
SHAPES = [(0, 3), (1, 2), (1, 5), (2, 2), (3, 4), (5, 3), (7, 9), (4, 1), (3, 33)]

needs_numba = pytest.mark.skipif(not compiled.installed(), reason="numba is not installed")


def drawn(seed, shape, dtype):
    """Two matrices, two rows, a column, a mask and a single number, with all that is special about floats in them."""
    draw, (n, d) = np.random.default_rng(seed), shape

    def floats(*shape):
        some = np.asarray(SPECIAL)[draw.integers(0, len(SPECIAL), shape)]
        return np.where(draw.random(shape) < 0.3, some, draw.normal(size=shape)).astype(dtype)

    mask = draw.random((n, d)) < 0.5
    return [floats(n, d), floats(n, d), floats(d), floats(1, d), floats(n, 1), mask, floats(1).reshape(())]


def program_of(seed):
    """A function of such arrays: what it does is drawn, too."""

    def function(x, y, row, wide, column, mask, point):
        xp, draw, shape = nnx.namespace(x), random.Random(seed), x.shape
        matrices, rows, masks, others, out = [x, y], [row, wide], [mask], [column, point], []

        def keep(z):
            (matrices if z.shape == shape else rows).append(z)

        def number(x):
            v = draw.choice([0.5, -2.0, 3, 0, 1e-3, 0.0])
            return draw.choice([lambda: x + v, lambda: v * x, lambda: v / x, lambda: xp.maximum(x, v), lambda: v - x])()

        def heavy(x):
            reverse = xp.asarray(np.arange(shape[0])[::-1].copy())
            views = [lambda: xp.flip(x, axis=1), lambda: xp.flip(x, axis=0), lambda: xp.reshape(x.T, shape)]
            return draw.choice([*views, lambda: xp.exp(x), lambda: xp.take(x, reverse, axis=0)])()

        def reshaped(x):
            return xp.reshape(x, shape[1:]) if x.ndim == 2 else xp.expand_dims(x, axis=0)

        def step():
            m, n = draw.choice(matrices), draw.choice([*matrices, *rows, *others])
            r, b, c = draw.choice([*matrices, *rows]), draw.choice(masks), draw.choice(masks)
            pair = (m, n) if draw.random() < 0.6 else (n, m)
            binary, one = getattr(xp, draw.choice(BINARY)), getattr(xp, draw.choice(UNARY))
            draw.choice(
                [
                    lambda: keep(binary(*pair)),
                    lambda: keep(binary(m, n)),
                    lambda: keep(one(r)),
                    lambda: keep(number(r)),
                    lambda: rows.append(binary(draw.choice(rows), draw.choice([*rows, point]))),
                    lambda: masks.append(getattr(xp, draw.choice(COMPARISONS))(*pair)),
                    lambda: masks.append(draw.choice([xp.isfinite, xp.isnan])(m)),
                    lambda: masks.append(xp.astype(m, xp.bool)),
                    lambda: masks.append(draw.choice([xp.logical_and, xp.logical_or])(b, xp.logical_not(c))),
                    lambda: masks.append(draw.choice([b & c, b | c, ~b])),
                    lambda: keep(xp.where(b, m, draw.choice([*matrices, *rows]))),
                    lambda: keep(xp.astype(b, x.dtype)),
                    lambda: rows.append(xp.sum(m, axis=0, keepdims=draw.random() < 0.5)),
                    lambda: rows.append(xp.mean(m, axis=0, keepdims=draw.random() < 0.5)),
                    lambda: rows.append(reshaped(draw.choice(rows))),
                    lambda: keep(heavy(m)),
                    lambda: keep(xp.broadcast_to(draw.choice(rows), shape)),
                    lambda: out.append(draw.choice([m, r, b])),
                ]
            )()

        for _ in range(draw.randint(2, 14)):
            step()
        return [*out, matrices[-1], rows[-1], masks[-1]]

    return function


def interpreted(loop):
    """A loop as Python runs it."""
    scope = {"number": loop.numbers.dtype.type, "index": int, "sqrt": np.sqrt}
    exec(f"def kernel{loop.lines}", scope)
    return scope["kernel"]


def with_loops(program, borrowed=(), groups=lambda found: found):
    plan = Plan(program)
    made = [(group, looped._call(group, loops.write(plan, group))) for group in groups(plan.groups())]
    return buffers.assemble(plan.ordered(made), borrowed), len(made)


def assert_same_bits(ours, theirs):
    """Of NaNs only that they are."""
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    unlike = ours != theirs
    if ours.dtype.kind == "f":
        unlike = (unlike & ~(np.isnan(ours) & np.isnan(theirs))) | (np.signbit(ours) != np.signbit(theirs)) & ~np.isnan(
            ours
        )
    assert not np.any(unlike), (ours, theirs)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32), shape=st.sampled_from(SHAPES), dtype=st.sampled_from(["float32", "float64"]), pick=st.randoms()
)  # fmt: skip
def test_a_program_with_loops_gives_the_bits_of_its_calls(seed, shape, dtype, pick):
    function, be = program_of(seed), backends.get("numpy")
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(loops.Loop, "kernel", interpreted)
        out, program = record(function, drawn(seed, shape, dtype), be)
        borrowed = [i for i in range(len(out)) if pick.random() < 0.4]
        calls = buffers.assemble(program, borrowed)
        run, _ = with_loops(program, borrowed, lambda found: [group for group in found if pick.random() < 0.8])
        for again in range(2):
            arrays = drawn(seed + again, shape, dtype)
            before = [array.copy() for array in arrays]
            for ours, theirs in zip(run(*arrays), calls(*arrays), strict=True):
                assert_same_bits(ours, theirs)
            for array, kept in zip(arrays, before):
                assert_same_bits(array, kept)


def everything(x, y, row, wide, column, mask, point):
    """Every expression there is, in one loop, since all are of x · 1."""
    xp = nnx.namespace(x)
    x = x * 1.0
    floats = [getattr(xp, name)(x, y) for name in BINARY] + [getattr(xp, name)(x) for name in UNARY]
    masks = [getattr(xp, name)(x, y) for name in COMPARISONS] + [xp.isnan(x), xp.isfinite(x), xp.astype(x, xp.bool)]
    masks += [xp.logical_and(mask, masks[0]), xp.logical_or(mask, masks[0]), xp.logical_not(masks[0])]
    masks += [mask & masks[2], mask | masks[2], ~masks[2]]
    return [*floats, *masks, xp.where(mask, x, y), xp.astype(masks[0], x.dtype), xp.maximum(x, 0.0), xp.minimum(0, x)]


def normalised(x, y, row, wide, column, mask, point):
    """What a hidden layer does, forward and some of backward."""
    xp = nnx.namespace(x)
    centred = x - xp.mean(x, axis=0, keepdims=True)
    z = xp.maximum(centred / xp.sqrt(xp.mean(xp.square(centred), axis=0, keepdims=True) + 1e-5) * row + wide, 0)
    kept = z * (xp.astype(mask, x.dtype) * 1.25)
    g = y * xp.astype(z > 0, x.dtype) * point - column
    return [kept, xp.sum(g, axis=0), xp.flip(g * wide, axis=0)]


def shifted(x, y, row, wide, column, mask, point):
    return [(x + row) * 0.5 - x]


def chained(x, y, row, wide, column, mask, point):
    return [(x + y) * 0.5 - x]


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_expression_compiled_gives_the_bits_of_its_call(dtype):
    x, y = map(np.asarray, zip(*product(SPECIAL, repeat=2)))
    x, y = (np.stack([z, -z, z[::-1]]).astype(dtype) for z in (x, y))
    arrays = [x, y, x[0], y[:1], x[:, 1:2], x > y, x[0, 0]]
    with np.errstate(all="ignore"):
        _, program = record(everything, arrays, backends.get("numpy"))
        plan = Plan(program)
        assert {spelled(call) for group in plan.groups() for call in group.calls} == set(EXPRESSIONS)
        run, count = with_loops(program)
        assert count > 0
        for ours, theirs in zip(run(*arrays), buffers.assemble(program)(*arrays), strict=True):
            assert_same_bits(ours, theirs)


@needs_numba
@pytest.mark.parametrize("function", [normalised, chained])
def test_threads_share_a_loop(function, monkeypatch):
    parts = []
    monkeypatch.setattr(looped, "SHARED_FROM", 64)
    monkeypatch.setattr(looped.crew, "size", lambda: 2)
    monkeypatch.setattr(looped.crew, "share", lambda kernel, given: [parts.append(kernel(*part)) for part in given])
    arrays = drawn(3, (9, 70), "float32")
    with np.errstate(all="ignore"):
        _, program = record(function, arrays, backends.get("numpy"))
        run, count = with_loops(program)
        for ours, theirs in zip(run(*arrays), buffers.assemble(program)(*arrays), strict=True):
            assert_same_bits(ours, theirs)
    assert len(parts) == 2 * count


def test_alike_layers_have_the_same_loop():
    def names(shape):
        _, program = record(normalised, drawn(0, shape, "float32"), backends.get("numpy"))
        plan = Plan(program)
        return [loops.write(plan, group).name for group in plan.groups()]

    with np.errstate(all="ignore"):
        assert names((4, 6)) == names((9, 33))


def test_what_is_the_same_in_all_rows_is_computed_once_for_a_column():
    _, program = record(
        normalised,
        [*[np.ones((4, 6))] * 2, *[np.ones(6)] * 2, *[np.ones((4, 1))] * 2, np.ones(())],
        backends.get("numpy"),
    )
    plan = Plan(program)
    lines = "".join(loops.write(plan, group).lines for group in plan.groups()).splitlines()
    assert [len(line) - len(line.lstrip()) for line in lines if "sqrt" in line] == [8]


def test_what_only_a_loop_needs_is_not_stored():
    _, program = record(chained, [np.ones((4, 6))] * 7, backends.get("numpy"))
    plan = Plan(program)
    (group,) = plan.groups()
    assert [call.name for call in group.calls] == ["add", "multiply", "subtract"]
    assert group.kept == {value.number for value in values_in(program.outputs)}
    loop = Call(looped.LOOP, None, tuple(program.inputs[:2]), {}, program.outputs[0])
    assert plan.ordered([(group, loop)]).calls == (loop,)


def test_a_sum_over_rows_is_a_part_of_a_loop():
    _, program = record(
        lambda x, y: [nnx.namespace(x).sum(x * y, axis=0)], [np.ones((4, 6))] * 2, backends.get("numpy")
    )
    (group,) = Plan(program).groups()
    assert [call.name for call in group.calls] == ["multiply", "sum"]


@pytest.mark.parametrize(
    "costly, calls, stored", [(True, [3, 1], [2, 1]), (False, [2, 2], [1, 1])], ids=["costly", "cheap"]
)
def test_what_two_loops_need_is_stored_where_to_compute_it_again_costs_more(costly, calls, stored):
    def function(x, y):
        xp = nnx.namespace(x)
        both = xp.sqrt(xp.sqrt(y)) if costly else y * 2.0
        return [both + 1.0, x @ x + both]

    _, program = record(function, [np.ones((4, 4))] * 2, backends.get("numpy"))
    groups = Plan(program).groups()
    assert [len(group.calls) for group in groups] == calls
    assert [len(group.kept) for group in groups] == stored


def test_what_a_product_needs_is_stored():
    _, program = record(lambda x, y: [((x + y) * 2.0) @ y], [np.ones((4, 4))] * 2, backends.get("numpy"))
    (group,) = Plan(program).groups()
    assert [call.name for call in group.calls] == ["add", "multiply"]
    assert group.kept == {group.calls[-1].out.number}


def test_a_single_call_is_not_worth_a_loop():
    _, program = record(lambda x: [x + 1.0], [np.ones((400, 400))], backends.get("numpy"))
    chosen = looped.Chosen(program)
    assert (chosen.loops, chosen.saved) == ([], 0.0)


def test_a_loop_over_larger_arrays_saves_more():
    programs = [record(chained, [np.ones((4, n))] * 7, backends.get("numpy"))[1] for n in (60, 600, 6000)]
    saved = [looped.Chosen(program).saved for program in programs]
    assert 0 < saved[0] < saved[1] < saved[2]


@pytest.fixture
def at_once(monkeypatch):
    """Loops are compiled at the first opportunity."""
    for name in ("IMPORT", "COMPILE", "LOAD"):
        monkeypatch.setattr(looped, name, 0.0)
    monkeypatch.setattr(looped, "FIRST", 2)


def trained(program, arrays, runs):
    """The program run so often, and the bits of each run held against those of its calls."""
    run, calls = looped.assemble(program), buffers.assemble(program)
    for _ in range(runs):
        for ours, theirs in zip(run(*arrays), calls(*arrays), strict=True):
            assert_same_bits(ours, theirs)
    return run


@needs_numba
def test_calls_become_loops_once_that_pays(at_once, monkeypatch):
    arrays = [np.ones((40, 50))] * 7
    _, program = record(chained, arrays, backends.get("numpy"))
    assert trained(program, arrays, 2)._chosen is None
    run = trained(program, arrays, 4)
    assert (run._runs, run.declined) == (-1, "")
    monkeypatch.setattr(looped, "IMPORT", 1e3)
    monkeypatch.setattr(looped, "COMPILE", 1e3)
    monkeypatch.setattr(loops.Loop, "is_known", lambda loop: False)
    run = trained(program, arrays, 9)
    assert run._runs > 0
    assert run._chosen.saved > 0


@needs_numba
def test_results_are_not_overwritten_by_the_next_run(at_once):
    arrays = [np.ones((4, 6)), *[np.full((4, 6), 2.0)] * 6]
    _, program = record(chained, arrays, backends.get("numpy"))
    run = trained(program, arrays, 4)
    first = run(*arrays)[0]
    run(np.zeros((4, 6)), *arrays[1:])
    np.testing.assert_array_equal(first, np.full((4, 6), 0.5))


@needs_numba
@pytest.mark.parametrize("trouble", ["does not compile", "gives other bits", "meets another layout"])
def test_where_a_loop_fails_the_calls_run(trouble, at_once, monkeypatch):
    def kernel(loop):
        if trouble == "does not compile":
            raise NotImplementedError("no such loop")
        made = interpreted(loop)

        def run(*given):
            if not given[1].flags.c_contiguous:
                raise TypeError("no matching definition")
            made(*given)
            if trouble == "gives other bits":
                given[-5][...] = 7

        return run

    monkeypatch.setattr(loops.Loop, "kernel", kernel)
    arrays = [np.arange(24.0).reshape(4, 6)] * 2 + [np.ones(6)] * 5
    _, program = record(shifted, arrays, backends.get("numpy"))
    run = trained(program, arrays, 5)
    if trouble == "meets another layout":
        assert not run.declined
        turned = np.asfortranarray(arrays[0])
        np.testing.assert_array_equal(run(turned, *arrays[1:])[0], run(*arrays)[0])
    expected = {
        "does not compile": "no such loop",
        "gives other bits": "other bits",
        "meets another layout": "matching",
    }
    assert expected[trouble] in run.declined
    np.testing.assert_array_equal(run(*arrays)[0], buffers.assemble(program)(*arrays)[0])


@needs_numba
def test_a_training_with_loops_is_the_training_as_written(at_once):
    from nnx.train.stepper import Stepper, Written

    def train(kind):
        model = nnx.Sequential(
            nnx.Linear(4, 6, bias=False), nnx.BatchNorm(6), nnx.ReLU(), nnx.Dropout(0.3), nnx.Linear(6, 5),
            nnx.LeakyReLU(), nnx.LayerNorm(5), nnx.Linear(5, 3),
        ).initialize(1)  # fmt: skip
        take, optimizer, draw = kind(model, nnx.losses.cross_entropy), nnx.optim.Adam(1e-2), np.random.default_rng(0)
        state = optimizer.init(model.parameters())
        for number in range(8):
            x, y = draw.normal(size=(8, 4)).astype("float32"), draw.integers(0, 3, 8)
            state = take(optimizer, state, x, y, 0, number).state
        return model.state(), take

    (ours, take), (theirs, _) = train(Stepper), train(Written)
    (plan,) = take.plans.made.values()
    assert (plan._run._runs, plan._run.declined) == (-1, "")
    for path, array in theirs.items():
        np.testing.assert_array_equal(ours[path], array, err_msg=path)
