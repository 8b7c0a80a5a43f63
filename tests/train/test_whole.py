"""Where the library compiles, gradient and update are one function: for every optimizer, schedule and change it takes the written steps."""

import copy
import os
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
from cases.optimizers import OPTIMIZERS, SCHEDULES

import nnx
from nnx import optim, tree
from nnx.errors import StateError
from nnx.train.pieces import Laid, Pieces, layout
from nnx.train.stepper import Stepper, Written
from nnx.train.whole import FUNCTIONS, Whole

pytestmark = pytest.mark.skip_backends(
    "strict", "torch", "cupy", reason="it compiles nothing; NumPy stands for a compiler that does nothing"
)

CHAIN = optim.chain(
    optim.penalize(l2=0.1, l1=0.01), optim.clip_by_norm(0.3), optim.clip_by_global_norm(0.4), optim.AdamW(0.1)
)
KINDS = {
    **{name: row.make(row.rate) for name, row in OPTIMIZERS.items()},
    "links": CHAIN,
    "chain in a constraint": optim.Constrained(CHAIN, max_norm=0.5),
    "constraint in a chain": optim.chain(
        optim.clip_by_value(0.2), optim.Constrained(optim.SGD(0.1, momentum=0.9), max_norm=0.5)
    ),
}


def dtype_on(backend):
    return "float32" if backend.refuses("float64") else "float64"


def model_on(backend, *inner):
    return nnx.Sequential(nnx.Linear(3, 2), *inner).initialize(1, dtype=dtype_on(backend)).to(backend)


def data_on(backend, count):
    rng = np.random.default_rng(2)
    return [
        [backend.asarray(rng.normal(size=(4, width)), dtype=dtype_on(backend)) for width in (3, 2)]
        for _ in range(count)
    ]


def stepper_on(backend, model):
    """One whose plan is compiled; on NumPy by a compiler that does nothing."""
    take = Stepper(model, nnx.losses.mse)
    if backend.jit is None:
        x, y = data_on(backend, 1)[0]
        take.plans.find(x, y, 0, 0)
        take.plans.find(x, y, 0, 0)
        (plan,) = take.plans.made.values()
        plan.backend, plan.trusted = replace(backend, jit=lambda function: function), True
        plan.whole = Whole(plan)
    return take


def plan_of(take):
    return next(iter(take.plans.made.values()))


def compare(backend, optimizers, *, make=model_on, count=5, functions=1):
    """Steps, one with each of the optimizers, beside those written on NumPy."""
    host = nnx.backends.get("numpy")
    ours, theirs = make(backend), make(host).to(host, dtype_on(backend))
    take, written = stepper_on(backend, ours), Written(theirs, nnx.losses.mse)
    state, their_state = (optimizers[0].init(model.parameters()) for model in (ours, theirs))
    pairs = zip(data_on(backend, count), data_on(host, count), strict=True)
    tolerance = 1e-9 if dtype_on(backend) == "float64" else 1e-4
    for number, ((x, y), (p, q)) in enumerate(pairs):
        optimizer = optimizers[min(number, len(optimizers) - 1)]
        step = take(optimizer, state, x, y, 3, number)
        their = written(optimizer, their_state, *(host.asarray(a, dtype=dtype_on(backend)) for a in (p, q)), 3, number)
        state, their_state = step.state, their.state
        found, wanted = (
            dict(tree.paths([ours.state(), s.state, s.loss, s.outputs])) for s, ours in ((step, ours), (their, theirs))
        )
        assert found.keys() == wanted.keys()
        for path, value in wanted.items():
            np.testing.assert_allclose(
                backend.to_numpy(found[path]), value, rtol=tolerance, atol=tolerance, err_msg=path
            )
    assert take.declined == ""
    assert len(plan_of(take).whole._functions) == functions
    return take, state


ON_JAX = ("adamw on weights", "rmsprop centered momentum", "chain in a constraint")
SECONDS = pytest.mark.skip_backends("jax", reason="half a second of compiling each: NNX_LONG=1 runs it")
LONG = [] if os.environ.get("NNX_LONG") == "1" else [SECONDS]


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[] if kind in ON_JAX else LONG) for kind in KINDS])
def test_every_optimizer(kind, backend):
    compare(backend, [KINDS[kind]])


def test_every_schedule_is_the_same_function(backend):
    rates = [
        optim.SGD(row.ours, momentum=optim.Linear(0.5, end=0.9, length=9, per="step")) for row in SCHEDULES.values()
    ]
    take, _ = compare(backend, rates, count=len(rates))
    if backend.jit is not None:
        (function,) = plan_of(take).whole._functions.values()
        assert function._cache_size() == 1


def test_batch_norm_and_dropout(backend):
    compare(backend, [optim.SGD(0.1, momentum=0.9)], make=lambda be: model_on(be, nnx.BatchNorm(2), nnx.Dropout(0.4)))


def test_another_rate_and_another_optimizer_in_the_middle(backend):
    adam = optim.Adam(0.1)
    other = optim.with_learning_rate(adam, 0.02)
    compare(backend, [adam, adam, other, other, adam, optim.Adam(0.1, beta1=0.5)], count=7)
    limits = [optim.chain(optim.clip_by_value(limit), optim.SGD(0.1)) for limit in (0.1, 0.2, 0.1)]
    compare(backend, limits, functions=2)


def test_a_rate_factor_in_the_middle(backend):
    model, optimizer = model_on(backend), optim.SGD(0.1)
    take, state = stepper_on(backend, model), optimizer.init(model.parameters())
    moved = []
    for number, (x, y) in enumerate([data_on(backend, 1)[0]] * 2):
        before = backend.to_numpy(model.layers[0].bias).copy()
        fresh = model.state()
        state = take(optimizer, state, x, y, 0, number).state
        moved.append(backend.to_numpy(model.layers[0].bias) - before)
        model.load(fresh)
        state = optimizer.with_rate_factor(state, 0.5)
    np.testing.assert_allclose(moved[0], 2 * moved[1], rtol=1e-5)


def test_more_kinds_of_updates_than_are_kept(backend):
    limits = [optim.chain(optim.clip_by_value(0.1 + i), optim.SGD(0.1)) for i in range(FUNCTIONS + 2)]
    if backend.jit is None:  # nothing new where each takes time to compile
        compare(backend, limits, count=len(limits), functions=FUNCTIONS)


@dataclass(frozen=True)
class Halved(optim.SGD):
    """An update of its own."""

    def update(self, grads, state, params):
        new, state = super().update(grads, state, params)
        return {path: p * 0.5 for path, p in new.items()}, state


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(Halved(0.1), marks=LONG),
        optim.SGDW(0.1, weight_decay=0.5, applies_to=lambda path, p: bool((nnx.backends.of(p).to_numpy(p) > 0).any())),
        pytest.param(
            optim.chain(
                optim.clip_by_value(9.0),
                optim.penalize(l2=0.3, applies_to=lambda path, p: "bias" in path),
                optim.SGD(0.1),
            ),
            marks=LONG,
        ),
    ],
    ids=["own update", "looks at values", "function in a link"],
)
def test_what_may_change_between_steps_is_not_compiled(optimizer, backend):
    compare(backend, [optimizer], functions=0)


def test_a_state_of_others(backend):
    model, optimizer = model_on(backend), optim.SGD(0.1, momentum=0.9)
    take, state = stepper_on(backend, model), optimizer.init(model.parameters())
    (x, y), *_ = data_on(backend, 1)
    for wrong in ({"step": 0}, {"v": state["v"]}, {"step": 0, "v": {"layers.0.bias": state["v"]["layers.0.bias"]}}):
        with pytest.raises(StateError, match="state"):
            take(optimizer, wrong, x, y, 0, 0)
    with pytest.raises(StateError, match="the state is not of this optimizer"):
        take(optim.SGD(0.1), {}, x, y, 0, 0)
    with pytest.raises(StateError, match="the state is not of this chain"):
        take(CHAIN, state, x, y, 0, 0)


def test_everything_that_was_given_out_stays(backend):
    model, optimizer = model_on(backend, nnx.BatchNorm(2)), optim.Adam(0.1)
    take, state = stepper_on(backend, model), optimizer.init(model.parameters())
    kept, seen = [], []
    for number, (x, y) in enumerate(data_on(backend, 4)):
        step = take(optimizer, state, x, y, 0, number)
        state = step.state
        kept.append([model.state(), state, step, x, y])
        seen.append([np.array(backend.to_numpy(a)) for a in tree.leaves(model.state())])
    for things, before in zip(kept, seen):
        for array, value in zip(tree.leaves(things[0]), before):
            np.testing.assert_array_equal(backend.to_numpy(array), value)
        for leaf in tree.leaves(things[1:]):
            assert np.all(np.isfinite(backend.to_numpy(leaf) if hasattr(leaf, "dtype") else leaf))
    again = take(optimizer, kept[1][1], *kept[2][3:], 0, 2)  # an old state, looked at by nobody, is still good
    assert again.state["step"] == 3
    for path, m in again.state["m"].items():
        if "bias" in path:
            assert m.shape == kept[2][1]["m"][path].shape


def test_a_model_of_another_dtype_in_the_middle(backend):
    if dtype_on(backend) == "float32":
        pytest.skip("there is one dtype")
    model, optimizer = model_on(backend), optim.SGD(0.1)
    take, state = stepper_on(backend, model), optimizer.init(model.parameters())
    data = data_on(backend, 3)
    take(optimizer, state, *data[0], 0, 0)
    model.to(backend, "float32")
    for x, y in data[1:]:
        x, y = (backend.xp.astype(a, backend.xp.float32) for a in (x, y))
        state = take(optimizer, state, x, y, 0, 1).state
    assert all("float32" in str(a.dtype) for a in model.state().values())


def test_pieces_are_a_mapping_like_any(backend):
    shapes = {"large": (200, 100), "a": (2, 3), "scalar": (), "b": (4,)}
    arrays = {path: backend.asarray(np.full(shape, i, "float32")) for i, (path, shape) in enumerate(shapes.items())}
    where = layout(backend, tuple(shapes), tuple(shapes.values()), 2)
    parts = where.joined([[array + 9 for array in arrays.values()], list(arrays.values())])
    assert [tuple(part.shape) for part in parts] == [(22,), (200, 100), (200, 100)]
    pieces = Pieces(Laid(where, parts), 1)
    assert (list(pieces), len(pieces), "a" in pieces, "c" in pieces) == (list(shapes), 4, True, False)
    for other in (
        pieces,
        dict(pieces),
        {**pieces},
        copy.deepcopy(pieces),
        pickle.loads(pickle.dumps(pieces)),
        tree.map(lambda x: x, pieces),
    ):
        assert list(other) == list(shapes)
        for path, array in arrays.items():
            assert tuple(other[path].shape) == shapes[path]
            np.testing.assert_array_equal(backend.to_numpy(other[path]), backend.to_numpy(array))
    assert pieces["a"] is pieces["a"]
    assert [path for path, _ in tree.paths({"m": pieces})] == [f"m.{path}" for path in shapes]
