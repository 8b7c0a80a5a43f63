"""Updates written over the old arrays: the same bits, whenever nobody looks; and never where somebody does."""

import numpy as np
import pytest

import nnx
from nnx import backends
from nnx.backends.fast import overwriting, together
from nnx.train.stepper import Stepper, stepper

pytest.importorskip("numba", reason="numba is not installed: arrays are not written over")

ROWS, STEPS = 8, 40
OPTIMIZERS = {
    "adam": nnx.optim.Adam(nnx.optim.StepDecay(1e-2, every=3, factor=0.5, per="step")),
    "amsgrad": nnx.optim.Adam(1e-2, amsgrad=True),
    "adamw, two groups": nnx.optim.AdamW(1e-2),
    "plain descent": nnx.optim.SGD(0.1),
    "nesterov": nnx.optim.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": nnx.optim.RMSprop(1e-2, centered=True, momentum=0.5),
    "chain": nnx.optim.chain(nnx.optim.penalize(l2=1e-2), nnx.optim.clip_by_global_norm(0.5), nnx.optim.Adam(1e-2)),
}


def network():
    shared = nnx.Linear(6, 6)
    return nnx.Sequential(nnx.Linear(4, 6), nnx.ReLU(), shared, nnx.BatchNorm(6), nnx.Tanh(), shared, nnx.Linear(6, 3))


def batch(number):
    draw = np.random.default_rng(number)
    return draw.normal(size=(ROWS, 4)).astype("float32"), draw.integers(0, 3, ROWS)


@pytest.fixture
def written_over(monkeypatch):
    """How many updates were written over their operands."""
    count, call = [0], overwriting.Over.__call__

    def counting(self, *args):
        done = call(self, *args)
        count[0] += done
        return done

    monkeypatch.setattr(overwriting.Over, "__call__", counting)
    return count


def trained(optimizer, look=lambda number, model, state: None, steps=STEPS):
    """The model and the optimizer's state after so many steps; ``look`` sees both before each."""
    model = network().initialize(0)
    take, state = stepper(model, nnx.losses.cross_entropy), optimizer.init(model.parameters())
    for number in range(steps):
        look(number, model, state)
        state = take(optimizer, state, *batch(number), 0, number).state
    assert isinstance(take, Stepper)
    assert not take.declined
    return model, state


def same(a, b):
    (model, state), (other, theirs) = a, b
    for x, y in zip(nnx.tree.leaves((model.state(), state)), nnx.tree.leaves((other.state(), theirs)), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("compiled", ["from the first step", "never"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_bits_are_those_of_new_arrays(name, compiled, monkeypatch, written_over):
    monkeypatch.setattr("nnx.backends.fast.compiled.CALLS", 0 if compiled == "from the first step" else 1 << 40)
    over = trained(OPTIMIZERS[name])
    assert written_over[0] > STEPS - 8
    with monkeypatch.context() as patch:
        patch.setattr("nnx.train.in_place._Rule.__call__", lambda *args: None)
        same(over, trained(OPTIMIZERS[name]))


@pytest.mark.parametrize("name", ["adamw, two groups", "chain"])
def test_long_arrays_that_lie_alone_are_written_over_too(name, monkeypatch, written_over):
    monkeypatch.setattr(together, "SMALL", 12)  # the weights of the network are longer, its biases are not
    over = trained(OPTIMIZERS[name])
    assert written_over[0] > STEPS - 8
    monkeypatch.setattr("nnx.train.in_place._Rule.__call__", lambda *args: None)
    same(over, trained(OPTIMIZERS[name]))


HELD = {
    "the model's state": lambda model, state: model.state(),
    "a weight": lambda model, state: [model.layers[0].weight],
    "a view of a bias": lambda model, state: [model.layers[0].bias[1:]],
    "the shared weight": lambda model, state: [model.layers[2].weight.T],
    "a moment": lambda model, state: [state["m"]["layers.0.weight"]],
    "a column of moments": lambda model, state: dict(state["v"]),
}


@pytest.mark.parametrize("what", HELD)
def test_what_somebody_holds_stays_as_it_is(what, written_over):
    kept = []

    def look(number, model, state):
        if number % 5 == 0:
            held = HELD[what](model, state)
            kept.append((held, [array.copy() for array in nnx.tree.leaves(held)]))

    trained(OPTIMIZERS["adam"], look)
    assert len(kept) == STEPS // 5
    for held, before in kept:
        for array, copy in zip(nnx.tree.leaves(held), before, strict=True):
            np.testing.assert_array_equal(array, copy)
    assert written_over[0] > STEPS / 2  # in between nobody looks


def test_a_run_gives_out_a_state_of_its_readers_own(written_over):
    class Collector(nnx.train.Callback):
        def __init__(self):
            self.kept = []

        def on_epoch(self, run, record):
            self.kept.append((run.state, {path: m.copy() for path, m in run.state["m"].items()}, run.model.state()))

    collector, optimizer = Collector(), nnx.optim.Adam(1e-2)
    x, y = np.random.default_rng(0).normal(size=(64, 4)).astype("float32"), np.arange(64) % 3
    nnx.fit(
        network().initialize(0),
        nnx.data.load((x, y)),
        optimizer=optimizer,
        epochs=6,
        batch_size=8,
        callbacks=[collector],
    )
    assert written_over[0] > 20
    assert [state["step"] for state, _, _ in collector.kept] == [8, 16, 24, 32, 40, 48]
    for state, m, _ in collector.kept:
        for path, array in m.items():
            np.testing.assert_array_equal(state["m"][path], array)
    first, last = (weights["layers.0.weight"] for _, _, weights in (collector.kept[0], collector.kept[-1]))
    assert not np.array_equal(first, last)


def test_a_state_that_is_put_back_is_not_written_over():
    run = nnx.train.Run(network().initialize(0), "classification", 1, 1, "accuracy")
    there = {"step": 3, "m": {"w": np.ones(2)}}
    run.state = there
    assert run.working is not there
    assert run.working["m"] is not there["m"]
    assert run.state["m"] is not run.working["m"]
    assert run.state["m"]["w"] is there["m"]["w"]


def test_long_arrays_are_written_over_by_a_compiled_loop_alone(monkeypatch):
    be, sets = backends.get("numpy"), [together.Set(((300,),), np.dtype("float32")) for _ in range(3)]
    for made in sets:
        made.flat[:] = np.linspace(0, 1, 300)

    def descent(xp, p, g, m, rate):
        return p - rate * g, m + g

    columns, holders = [made.pieces[:] for made in sets], [[1], [1]]
    first, gradients = columns[0], columns[1]
    for block, rule, done in ((100, descent, False), (1000, descent, True), (100, be.fuse(descent), True)):
        monkeypatch.setattr(overwriting, "BLOCK", block)
        monkeypatch.setattr("nnx.backends.fast.compiled.CALLS", 0)
        before = sets[0].flat.copy()
        over = be.over(rule, be.xp, [(columns, holders)])
        assert over([first], [gradients], [[0.5]]) == done
        np.testing.assert_array_equal(sets[0].flat, before - np.float32(0.5) * sets[1].flat if done else before)
    held = sets[2].pieces[0]
    assert not over([first], [gradients], [[0.5]])
    assert held is columns[2][0]


def test_arrays_that_are_not_all_of_a_set_are_not_written_over():
    be, given = backends.get("numpy"), [[np.ones(3, "float32")] for _ in range(3)]
    assert be.over(lambda xp, p, g, m: (p, m), be.xp, [(given, [[1], [1]])]) is None
