"""Batches in shards: the step that the whole batch would take, sums in one order for any number of processes, and what does not go."""

import operator
import threading
from functools import reduce
from itertools import pairwise
from queue import Queue

import numpy as np
import pytest

import nnx
from nnx.errors import BackendUnavailable, ConfigError, StateError
from nnx.train.sharing import joining
from nnx.train.sharing.group import ALONE, Group
from nnx.train.sharing.sharded import Sharded
from nnx.train.sharing.shards import LONG, Tree, cut, own, summed
from nnx.train.step import train_step

ROWS = 29
LOSS = nnx.losses.cross_entropy


class Threads(Group):
    """Processes that are threads."""

    def __init__(self, rank, queues):
        self.rank, self.size, self.queues = rank, len(queues), queues

    def swap(self, peer, send, receive):
        self.queues[peer][self.rank].put(send.copy())
        receive[...] = self.queues[self.rank][peer].get(timeout=30)


def by_all(size, work):
    """What ``work(group)`` gives in each of ``size`` threads."""
    queues = [[Queue() for _ in range(size)] for _ in range(size)]
    found = [None] * size

    def one(rank):
        found[rank] = work(Threads(rank, queues))

    threads = [threading.Thread(target=one, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def batch(backend, rows=ROWS):
    rng = np.random.default_rng(0)
    return backend.asarray(rng.normal(size=(rows, 5)).astype(np.float32)), backend.asarray(np.arange(rows) % 3)


def network(backend, *inner):
    return nnx.Sequential(nnx.Linear(5, 6), *inner, nnx.Tanh(), nnx.Linear(6, 3)).initialize(1).to(backend)


def host(backend, arrays):
    return {path: backend.to_numpy(array) for path, array in arrays.items()}


# cutting and adding ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rows", range(1, 70))
def test_every_row_is_in_one_shard(rows):
    for shards in (1, 2, 8, 16):
        parts = cut(rows, shards)
        assert len(parts) == shards
        assert [row for part in parts for row in range(rows)[part]] == list(range(rows))
        sizes = [part.stop - part.start for part in parts]
        assert all(a >= b for a, b in pairwise(sizes))
        filled = [size for size in sizes if size]
        assert max(filled) - min(filled) <= 1
        assert min(filled) >= min(2, rows)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("length", [7, LONG // 4 + 3])
@pytest.mark.parametrize("filled", [1, 3, 5, 8])
def test_the_order_of_the_sum_does_not_depend_on_the_processes(size, length, filled):
    rng = np.random.default_rng(length)
    leaves = (rng.normal(size=(8, length)) * 10.0 ** rng.integers(-3, 4, size=(8, 1))).astype(np.float32)
    present = [leaf if k < filled else None for k, leaf in enumerate(leaves)]

    def add(a, b):
        return a if b is None else a + b

    pairs = [add(a, b) for a, b in zip(present[::2], present[1::2], strict=True)]
    whole = add(add(pairs[0], pairs[1]), add(pairs[2], pairs[3]))
    if filled == 8:
        assert not np.array_equal(whole, reduce(operator.add, leaves))  # another order has other bits

    def work(group):
        tree = Tree()
        for k in own(8, group):
            tree.add(present[k])
        total = tree.total()
        vector = np.full(length, np.nan, dtype=np.float32) if total is None else total.copy()
        return summed(group, vector, [rank * 8 // size < filled for rank in range(size)])

    for total in by_all(size, work):
        np.testing.assert_array_equal(total, whole)


# the step -------------------------------------------------------------------------------------------------------------
def test_it_is_the_step_of_the_whole_batch(backend):
    """That which NumPy takes, as it is written; the rows are a multiple of the shards, for JAX compiles each length."""
    numpy, optimizer = nnx.backends.get("numpy"), nnx.optim.SGD(0.1, momentum=0.9)
    models = network(backend), network(numpy)
    states = [optimizer.init(model.parameters()) for model in models]
    step = Sharded(models[0], LOSS, 4, ALONE)
    for number in range(3):
        taken = step(optimizer, states[0], *batch(backend, 16), 3, number)
        whole = train_step(models[1], LOSS, optimizer, states[1], *batch(numpy, 16), 3, number)
        states = [taken.state, whole.state]
        assert float(backend.to_numpy(taken.loss)) == pytest.approx(float(whole.loss), rel=1e-5)
        np.testing.assert_allclose(backend.to_numpy(taken.outputs), whole.outputs, rtol=1e-4, atol=1e-5)
    found = host(backend, models[0].parameters())
    for path, array in models[1].parameters().items():
        np.testing.assert_allclose(found[path], array, rtol=1e-4, atol=1e-6, err_msg=path)


def test_shards_of_unequal_length_are_weighted():
    x, y = batch(nnx.backends.get("numpy"))
    model = network(nnx.backends.get("numpy"))
    found = Sharded(model, LOSS, 8, ALONE).gradient(x, y, 0, 0)
    loss, grads = nnx.value_and_grad(lambda m, x, y: LOSS(m(x), y))(model, x, y)
    assert float(found.loss) == pytest.approx(float(loss), rel=1e-6)
    for path, array in grads.items():
        np.testing.assert_allclose(found.grads[path], array, rtol=1e-4, atol=1e-6, err_msg=path)


@pytest.mark.skip_backends(
    "jax", reason="each of three groups compiles its step anew, which takes long and shows nothing new"
)
@pytest.mark.parametrize("rows", [ROWS, 5])
def test_any_number_of_processes_takes_the_same_step(backend, rows):
    x, y = batch(backend, rows)

    def work(group):
        model = network(backend, nnx.BatchNorm(6), nnx.Dropout(0.4))
        step, optimizer = Sharded(model, LOSS, 4, group), nnx.optim.Adam(0.01)
        state = optimizer.init(model.parameters())
        with backend.use():
            for number in range(3):
                taken = step(optimizer, state, x, y, 3, number)
                state = taken.state
        found = host(backend, model.state()) | {"loss": backend.to_numpy(taken.loss)}
        return found | {"outputs": backend.to_numpy(taken.outputs)}

    (alone,) = by_all(1, work)
    for found in by_all(2, work):
        for path, array in alone.items():
            np.testing.assert_array_equal(found[path], array, err_msg=path)


def test_recorded_and_written_steps_have_the_same_bits():
    backend = nnx.backends.get("numpy")
    (x, y), optimizer = batch(backend), nnx.optim.Adam(0.01)
    models = [network(backend, nnx.BatchNorm(6), nnx.Dropout(0.4)) for _ in range(2)]
    for model, compile in zip(models, (None, False), strict=True):
        step, state = Sharded(model, LOSS, 8, ALONE, compile), optimizer.init(model.parameters())
        for number in range(5):
            state = step(optimizer, state, x, y, 3, number).state
        assert any(plan and plan.trusted for plan in step.plans.made.values()) == (compile is None)
    for path, array in models[1].state().items():
        np.testing.assert_array_equal(models[0].state()[path], array, err_msg=path)


def test_running_statistics_are_the_weighted_mean_of_those_of_the_shards():
    backend = nnx.backends.get("numpy")
    model = nnx.Sequential(nnx.BatchNorm(5, momentum=0.5), nnx.Linear(5, 3)).initialize(1)
    x, y = batch(backend)
    Sharded(model, LOSS, 4, ALONE)(nnx.optim.SGD(0.1), nnx.optim.SGD(0.1).init(model.parameters()), x, y, 0, 0)
    parts = [x[part] for part in cut(ROWS, 4)]
    mean = sum(part.mean(axis=0) * len(part) for part in parts) / ROWS
    variance = sum(part.var(axis=0, ddof=1) * len(part) for part in parts) / ROWS
    np.testing.assert_allclose(model.layers[0].running_mean, 0.5 * mean, rtol=1e-5)
    np.testing.assert_allclose(model.layers[0].running_variance, 0.5 + 0.5 * variance, rtol=1e-5)


def test_a_longer_batch_finds_room():
    backend = nnx.backends.get("numpy")
    step, fresh = (Sharded(network(backend), LOSS, 4, ALONE) for _ in range(2))
    step.gradient(*batch(backend, 5), 0, 0)
    np.testing.assert_array_equal(
        step.gradient(*batch(backend), 0, 1).outputs, fresh.gradient(*batch(backend), 0, 1).outputs
    )


def test_each_shard_draws_for_itself():
    model = nnx.Sequential(nnx.Linear(5, 40), nnx.Dropout(0.5), nnx.Linear(40, 3)).initialize(1)
    x, y = np.ones((16, 5), dtype=np.float32), np.zeros(16, dtype=np.int64)
    step = Sharded(model, LOSS, 8, ALONE)
    steps = [step.gradient(x, y, 0, number) for number in range(4)]
    shards = {found.outputs[part].tobytes() for found in steps for part in cut(16, 8)}
    assert len(shards) == 4 * 8
    assert step.gradient(x, y, 0, 1).outputs.tobytes() == steps[1].outputs.tobytes()


def test_what_a_step_gives_is_kept_when_the_next_is_taken():
    model = network(nnx.backends.get("numpy"), nnx.BatchNorm(6))
    (x, y), optimizer = batch(nnx.backends.get("numpy")), nnx.optim.SGD(0.1)
    step, state = Sharded(model, LOSS, 4, ALONE), optimizer.init(model.parameters())
    first = step(optimizer, state, x, y, 0, 0)
    given = {"loss": first.loss, "outputs": first.outputs, **model.buffers()}
    kept = {name: array.copy() for name, array in given.items()}
    step(optimizer, first.state, x, y, 0, 1)
    for name, array in kept.items():
        np.testing.assert_array_equal(given[name], array, err_msg=name)


def test_the_loop_that_fit_is():
    """Shards of one rank, by hand: gradients weighted, added up in the tree, one update."""
    train = nnx.data.load("digits").take(np.arange(96))
    optimizer, sizes = nnx.optim.Adam(0.01), [part.stop - part.start for part in cut(48, 4)]
    fitted, by_hand = (nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 10)).initialize(0) for _ in range(2))
    nnx.fit(fitted, train, epochs=1, batch_size=48, optimizer=optimizer, shards=4)
    by_hand.layers[0].fit(train.x)
    state = optimizer.init(by_hand.parameters())
    for number, rows in enumerate(nnx.data.batches(96, 48, seed=0, epoch=0)):
        parts = []
        for k, part in enumerate(cut(48, 4)):
            with nnx.training(seed=0, step=4 * number + k):
                grads = nnx.grad(lambda m, x, y: LOSS(m(x), y))(by_hand, train.x[rows[part]], train.y[rows[part]])
            parts.append({path: g * (sizes[k] / 48) for path, g in grads.items()})
        grads = {p: (parts[0][p] + parts[1][p]) + (parts[2][p] + parts[3][p]) for p in parts[0]}
        params, state = optimizer.update(grads, state, by_hand.parameters())
        by_hand.load(params)
    for path, array in by_hand.parameters().items():
        np.testing.assert_array_equal(fitted.parameters()[path], array)


# what does not go -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shards": 6}, "shards a power of two, got 6"),
        ({"shards": True}, "shards a power of two, got True"),
        ({"shards": 0}, "shards a power of two, got 0"),
        ({"shards": 16}, "batch_size ≥ 32, 2 rows for each of 16 shards, got 24"),
        ({"shards": 8, "optimizer": nnx.optim.LBFGS()}, "a step for every batch, got L-BFGS"),
        ({"shards": 8, "finish": nnx.optim.LBFGS()}, "a step for every batch, got L-BFGS"),
    ],
)
def test_fit_refuses(settings, message):
    train = nnx.data.load("digits").take(np.arange(48))
    with pytest.raises(ConfigError, match=message):
        nnx.fit(nnx.Sequential(nnx.Linear(64, 10)), train, batch_size=24, epochs=1, **settings)


@pytest.mark.parametrize(
    ("size", "fix"), [(3, r"mpiexec -n 2\."), (16, r"mpiexec -n 8 or shards=16\."), (12, "mpiexec -n 8")]
)
def test_some_numbers_of_processes_are_refused(size, fix):
    from nnx.train.sharing.shards import check_shards

    with pytest.raises(ConfigError, match=f"up to 8 processes.* got {size}. Use {fix}"):
        check_shards(8, Threads(0, [None] * size), 64)


def test_a_buffer_that_has_no_mean_is_refused():
    class Counts(nnx.Module):
        def __init__(self):
            self.weight = nnx.Parameter((5, 3), nnx.init.zeros())
            self.calls = nnx.Buffer(np.zeros((), dtype=np.int64))

        def forward(self, x):
            self.calls = self.calls + 1
            return x @ self.weight

    x, y = batch(nnx.backends.get("numpy"))
    model = Counts().initialize(0)
    with pytest.raises(StateError, match="calls of dtype int64"):
        Sharded(model, LOSS, 2, ALONE).gradient(x, y, 0, 0)


def test_without_mpi_many_processes_are_refused(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "2")
    assert joining.launched() == (1, 2)
    monkeypatch.setitem(__import__("sys").modules, "mpi4py", None)
    joining.join.cache_clear()
    with pytest.raises(BackendUnavailable, match=r"MPI for the 2 processes.* pip install 'nnx-array\[mpi\]'"):
        joining.join()
    joining.join.cache_clear()


def test_one_process_needs_no_mpi():
    assert joining.join() is ALONE
