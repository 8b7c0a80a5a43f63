"""The training pass: a place, not a switch; keyed draws, collected buffers, nesting, threads, compilers."""

import math
import threading

import numpy as np
import pytest
from layers.helpers import draw
from layers.models import Counter, mlp
from support.compare import assert_agrees

import nnx
from nnx import backends
from nnx.layers import current_pass


def ones(backend, *shape):
    return backend.asarray(np.ones(shape, dtype="float32"))


def total(x):
    return nnx.namespace(x).sum(x)


def planted(_):
    raise ZeroDivisionError("planted")


def masked(layer, x, **where):
    with nnx.training(**where):
        return backends.of(x).to_numpy(layer(x)) == 0


# dropout --------------------------------------------------------------------------------------------------------------
def test_a_bare_call_is_inference(backend):
    model, x = mlp(0.5).to(backend), backend.asarray(draw((6, 4)).astype("float32"))
    before = {path: backend.to_numpy(array).copy() for path, array in model.state().items()}
    assert_agrees(model(x), model(x), exact=True)
    assert_agrees(nnx.Dropout(0.5)(x), x, exact=True)
    for path, array in model.state().items():
        assert_agrees(array, before[path], exact=True, backend=backend)


def test_masks_are_the_same_bits_on_every_backend(backend):
    for shape in ((7, 5), (3, 2, 2, 3), (1,), (0, 4)):
        layer = nnx.Dropout(0.3)
        here, there = np.ones(shape, dtype="float32"), ones(backend, *shape)
        assert np.array_equal(masked(layer, here, seed=5, step=7), masked(layer, there, seed=5, step=7))


def test_masks_are_a_function_of_seed_step_and_path(backend):
    x = ones(backend, 40, 10)
    model = nnx.Sequential(nnx.Dropout(0.5), nnx.Dropout(0.5))
    first = masked(model.layers[0], x, seed=0, step=0)
    assert np.array_equal(first, masked(model.layers[0], x, seed=0, step=0))
    assert (first != masked(model.layers[0], x, seed=1, step=0)).mean() > 0.4
    assert (first != masked(model.layers[0], x, seed=0, step=1)).mean() > 0.4
    seen = []
    with nnx.training(), nnx.layers.observing(lambda module, args, out: seen.append(backend.to_numpy(out) == 0)):
        model(x)
    assert (seen[0] != masked(nnx.Dropout(0.5), x)).mean() > 0.4  # layers.0 is another path than a lone layer
    alone = seen[1][~seen[0]]  # where the first let a value pass, the second drops half, whatever the first did
    assert 0.35 < alone.mean() < 0.65


def test_a_shared_layer_draws_for_each_call(backend):
    drop, x = nnx.Dropout(0.5), ones(backend, 40, 10)
    with nnx.training(seed=0, step=0):
        first, second = drop(x), drop(x)
    with nnx.training(seed=0, step=0):
        again = drop(x), drop(x)
    assert_agrees((first, second), again, exact=True)
    assert (backend.to_numpy(first) != backend.to_numpy(second)).mean() > 0.4
    seen = []
    model = nnx.Sequential(drop, nnx.ReLU(), drop)
    with nnx.training(), nnx.layers.observing(lambda module, args, out: seen.append(backend.to_numpy(out) == 0)):
        model(x)
    assert 0.35 < seen[2][~seen[0]].mean() < 0.65  # of what the first call let pass the second drops half


def test_dropout_keeps_the_mean_and_the_share(backend):
    for p in (0.1, 0.5, 0.9):
        x = ones(backend, 400, 100)
        with nnx.training(seed=2, step=0):
            y = backend.to_numpy(nnx.Dropout(p)(x))
        sigma = math.sqrt(p * (1 - p) / y.size)
        assert abs((y == 0).mean() - p) < 4 * sigma
        assert abs(y.mean() - 1) < 4 * sigma / (1 - p)
        assert np.unique(y).tolist() == [0.0, np.float32(1 / (1 - p))]


def test_dropout_of_nothing_is_the_identity_and_draws_nothing(backend):
    x = ones(backend, 3, 3)
    with nnx.training():
        assert nnx.Dropout(0.0)(x) is x


def test_the_gradient_has_the_mask_of_the_value(backend):
    layer, x = nnx.Dropout(0.5), ones(backend, 20, 5)
    with nnx.training(seed=3, step=4):
        y = layer(x)
    with nnx.training(seed=3, step=4):
        g = nnx.grad(lambda x: nnx.namespace(x).sum(layer(x)))(x)
    assert_agrees(g, y, exact=True)


@pytest.mark.parametrize("called", [False, True])
def test_a_layer_that_came_later_draws_by_its_place(backend, called):
    """Whether the model was called in between must not matter to the masks."""
    x = ones(backend, 4, 6)
    whole = nnx.Sequential(nnx.Dropout(0.5), nnx.Linear(6, 5), nnx.Dropout(0.5)).initialize(0).to(backend)
    grown = nnx.Sequential(nnx.Linear(6, 5)).initialize(0).to(backend)
    grown.load(dict(zip(grown.state(), whole.state().values(), strict=True)))
    grown.layers.insert(0, nnx.Dropout(0.5))
    grown.layers.append(nnx.Dropout(0.5))
    if called:
        grown(x)
    found = []
    for model in (whole, grown):
        with nnx.training(seed=1, step=2):
            found.append(nnx.grad(lambda model: total(model(x) ** 2))(model)["layers.1.weight"])
    assert_agrees(found[1], backend.to_numpy(found[0]), exact=True, backend=backend)


def test_a_checkpoint_draws_the_same_masks_and_moves_no_statistics_twice(backend):
    x = backend.asarray(draw((6, 4)).astype("float32"))
    block = nnx.Sequential(nnx.Linear(4, 4), nnx.BatchNorm(4), nnx.Dropout(0.5))

    def pulled(wrapped):
        model = block.initialize(seed=0).to(backend)
        part = wrapped(lambda model, x: model(x))
        with nnx.training(seed=1, step=2):
            value, grads = nnx.value_and_grad(lambda m, x: nnx.namespace(x).sum(part(m, part(m, x)) ** 2))(model, x)
        found = grads | {f"new {path}": array for path, array in model.buffers().items()}
        return [value, *found.values()], list(found)

    (plain, names), (again, same) = pulled(lambda part: part), pulled(nnx.checkpoint)
    assert names == same
    assert_agrees(again, plain, exact=True)


def test_a_checkpoint_of_a_part_draws_and_counts_by_its_place_in_the_whole(backend):
    class Block(nnx.Module):
        def __init__(self, wrapped):
            self.inner = nnx.Sequential(nnx.Linear(4, 4), nnx.BatchNorm(4), nnx.Dropout(0.5))
            self.part = wrapped(lambda inner, x: inner(x))

        def forward(self, x):
            return self.part(self.inner, x)

    x, results = backend.asarray(draw((6, 4)).astype("float32")), []
    for wrapped in (lambda part: part, nnx.checkpoint):
        model = nnx.Sequential(Block(wrapped), Block(wrapped)).initialize(seed=0).to(backend)
        with nnx.training(seed=1, step=2) as this:
            value, grads = nnx.value_and_grad(lambda m, x: nnx.namespace(x).sum(m(x) ** 2))(model, x)
        assert set(this.buffers) == set(model.buffers())
        results.append([value, *grads.values(), *model.buffers().values()])
    assert_agrees(results[1], results[0], exact=True)


def test_a_part_may_be_differentiated_inside_of_the_whole():
    class Block(nnx.Module):
        def __init__(self):
            self.inner = nnx.Sequential(nnx.Linear(4, 4), nnx.BatchNorm(4))

        def forward(self, x):
            grads = nnx.grad(lambda inner: total(inner(x) ** 3))(self.inner)
            return x * grads["layers.0.weight"][0, 0]

    model, x = nnx.Sequential(Block(), Block()).initialize(seed=0), draw((6, 4)).astype("float32")
    with nnx.training() as this:
        nnx.grad(lambda model: total(model(x)))(model)
    assert set(this.buffers) == set(model.buffers())


# buffers --------------------------------------------------------------------------------------------------------------
def test_buffers_are_written_when_the_block_ends(backend):
    layer, x = Counter().to(backend, dtype="float64"), backend.asarray(draw((5, 2)))
    with nnx.training() as this:
        y = layer(x)
        assert backend.to_numpy(layer.total).tolist() == [0.0, 0.0]
        assert list(this.buffers) == ["total", "calls"]
    assert_agrees(y, draw((5, 2)), exact=True, backend=backend)
    assert_agrees(layer.total, draw((5, 2)).sum(0), rtol=1e-15, scale=10.0, backend=backend)
    assert int(backend.to_numpy(layer.calls)) == 1


def test_buffers_assigned_while_tracing_are_written_too(backend):
    layer, x = Counter().to(backend, dtype="float64"), backend.asarray(draw((5, 2)))
    with nnx.training():
        nnx.grad(lambda layer, x: nnx.namespace(x).sum(layer(x)), argnums=1)(layer, x)
    assert_agrees(layer.total, draw((5, 2)).sum(0), rtol=1e-15, scale=10.0, backend=backend)
    assert int(backend.to_numpy(layer.calls)) == 1


def test_without_write_back_the_model_stays_as_it_was(backend):
    model, x = mlp().to(backend), backend.asarray(draw((6, 4)).astype("float32"))
    before = dict(model.state())
    with nnx.training(write_back=False) as this:
        model(x)
    assert all(array is before[path] for path, array in model.state().items())
    assert list(this.buffers) == ["layers.1.running_mean", "layers.1.running_variance"]
    with nnx.training():
        model(x)
    assert_agrees(list(this.buffers.values()), list(model.buffers().values()), exact=True)


def test_an_exception_inside_writes_nothing_back(backend):
    model, x = mlp().to(backend), backend.asarray(draw((6, 4)).astype("float32"))
    before = dict(model.state())
    with pytest.raises(ZeroDivisionError, match="planted"), nnx.training():
        planted(model(x))
    assert all(array is before[path] for path, array in model.state().items())
    assert current_pass() is None
    assert masked(nnx.Dropout(0.5), ones(backend, 30, 3)).any()  # counts of the broken pass are gone
    assert np.array_equal(
        masked(nnx.Dropout(0.5), ones(backend, 30, 3)), masked(nnx.Dropout(0.5), ones(backend, 30, 3))
    )


def test_passes_nest_and_the_innermost_counts(backend):
    drop, x, counter = nnx.Dropout(0.5), ones(backend, 20, 5), Counter().to(backend, dtype="float64")
    data = backend.asarray(draw((5, 2)))
    plain = masked(drop, x, seed=0, step=0)
    with nnx.training(seed=0, step=0) as outer:
        first = backend.to_numpy(drop(x)) == 0
        with nnx.training(seed=0, step=0) as inner:
            assert current_pass() is inner
            assert np.array_equal(backend.to_numpy(drop(x)) == 0, plain)
            drop(x)
            counter(data)
        assert int(backend.to_numpy(counter.calls)) == 1  # the inner block has ended
        assert outer.buffers == {}
        assert current_pass() is outer
        second = backend.to_numpy(drop(x)) == 0
    with nnx.training(seed=0, step=0):
        expected = [backend.to_numpy(drop(x)) == 0 for _ in range(2)]
    assert np.array_equal([first, second], expected)  # the inner pass took no number of the outer one


def test_two_threads_have_each_their_own_pass(backend):
    drop, x = nnx.Dropout(0.5), ones(backend, 40, 10)
    expected = [masked(drop, x, seed=seed, step=0) for seed in range(2)]
    models, found = [mlp(0.5).to(backend) for _ in range(2)], [None, None]
    meeting = threading.Barrier(2)
    data = backend.asarray(draw((6, 4)).astype("float32"))

    def work(seed):
        with nnx.training(seed=seed, step=0):
            meeting.wait(timeout=30)
            found[seed] = backend.to_numpy(drop(x)) == 0
            meeting.wait(timeout=30)
            for _ in range(20):
                models[seed](data)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    assert current_pass() is None
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not np.array_equal(*expected)
    assert_agrees(list(models[0].buffers().values()), list(models[1].buffers().values()), exact=True)


def test_keys_are_whole_numbers():
    with pytest.raises(nnx.errors.ConfigError, match=r"expected an integer seed and step, got seed=0\.5, step=0"):
        masked(nnx.Dropout(0.5), np.ones(3), seed=0.5)


# compilers ------------------------------------------------------------------------------------------------------------
def test_a_step_under_jit_is_the_step_itself():
    """Parameters and buffers swapped in by path; the pass hands out the new buffers and writes nothing into the model."""
    jax = pytest.importorskip("jax", reason="jax is not installed: nothing else here compiles a step")
    backend = backends.get("jax")
    prepare = nnx.Standardize(4).fit(draw((50, 4)))
    model = nnx.Sequential(prepare, *mlp(0.5).layers).initialize(0, dtype="float64")
    prepare.fit(draw((50, 4)))
    model.to(backend)
    x, y = backend.asarray(draw((8, 4), 1)), backend.asarray(np.arange(8) % 3)

    def step(params, buffers, x, y):
        twin = model.map_arrays(lambda path, array: params.get(path, buffers.get(path, array)))
        with nnx.training(seed=0, step=0, write_back=False) as this:
            loss = lambda m, x, y: nnx.losses.cross_entropy(m(x), y)  # noqa: E731
            value, grads = nnx.value_and_grad(loss)(twin, x, y)
        return value, grads, this.buffers

    before = dict(model.state())
    plain = step(model.parameters(), model.buffers(), x, y)
    compiled = jax.jit(step)(model.parameters(), model.buffers(), x, y)
    for a, b in zip(jax.tree.leaves(compiled), jax.tree.leaves(plain), strict=True):
        assert_agrees(a, b, rtol=1e-12, scale=1.0)
    assert compiled[2].keys() == {"layers.2.running_mean", "layers.2.running_variance"}
    assert all(array is before[path] for path, array in model.state().items())
    model.load({**model.buffers(), **compiled[2]})
    assert_agrees(model.buffers()["layers.2.running_mean"], compiled[2]["layers.2.running_mean"], exact=True)
