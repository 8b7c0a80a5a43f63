"""L-BFGS inside ``fit``: one fixed function of all rows, its minimum that of SciPy, and what is told of it."""

import os
import signal

import numpy as np
import pytest
from support.clouds import bits, blobs, network

import nnx
from nnx.errors import ConfigError, DivergedError
from nnx.optim import LBFGS, penalize
from nnx.train import Callback, evaluate

SMALL = 1e-9
COMPILES = pytest.mark.skip_backends("jax", reason="compiles each operation, five seconds and more: the others run")


def linear(dtype="float64"):
    return nnx.Sequential(nnx.Linear(4, 3)).initialize(0, dtype=dtype)


def test_a_logistic_regression_ends_in_scipys_minimum(backend):
    optimize = pytest.importorskip("scipy.optimize", reason="needs scipy")
    special = pytest.importorskip("scipy.special", reason="needs scipy")
    data, l2 = blobs(), 1e-2
    x, hot = data.x.astype(np.float64), np.eye(3)[data.y]

    def objective(v):  # mean of log Σ exp(z) − z_y, and ½ λ Σ w² on the weights alone; its derivative in closed form
        w, b = v[:12].reshape(4, 3), v[12:]
        z = x @ w + b
        off = (special.softmax(z, axis=1) - hot) / len(x)
        loss = np.mean(special.logsumexp(z, axis=1) - np.sum(z * hot, axis=1)) + 0.5 * l2 * np.sum(w * w)
        return loss, np.concatenate([(x.T @ off + l2 * w).ravel(), off.sum(axis=0)])

    options = {"gtol": 1e-10, "ftol": 0.0, "maxiter": 10_000}
    outside = optimize.minimize(objective, np.zeros(15), jac=True, method="L-BFGS-B", options=options)

    model = linear()
    run = nnx.fit(
        model, data, optimizer=nnx.optim.chain(penalize(l2=l2), LBFGS(tolerance=SMALL)), epochs=200, batch_size=32,
        backend=backend,
    )  # fmt: skip
    assert run.stopped == "converged: every entry of the gradient is within 1e-09"
    assert run.state["loss"] == pytest.approx(outside.fun, abs=1e-13)
    weight = backend.to_numpy(model.parameters()["layers.0.weight"])
    np.testing.assert_allclose(weight, outside.x[:12].reshape(4, 3), atol=1e-7)
    assert run.history[-1]["loss"] == pytest.approx(outside.fun - 0.5 * l2 * np.sum(outside.x[:12] ** 2), abs=1e-9)
    assert len(run.history) <= 1.5 * outside.nit


@COMPILES
def test_the_rows_are_gathered_a_few_at_a_time(backend):
    class Counting(nnx.Module):
        rows = []

        def forward(self, x):
            self.rows.append(x.shape[0])
            return x

    def trained(batch_size):
        counting = Counting()
        Counting.rows = []
        model = nnx.Sequential(counting, *linear().layers)
        run = nnx.fit(model, blobs(), optimizer=LBFGS(), epochs=8, batch_size=batch_size, backend=backend)
        return run.curve("loss"), max(Counting.rows)

    few, most = trained(7)
    assert most == 7
    whole, all_of_them = trained(90)
    assert all_of_them == 90
    np.testing.assert_allclose(few, whole, rtol=1e-9)


@COMPILES
def test_the_loss_is_that_of_inference(backend):
    """Dropout lets everything through, and batch norm takes its running statistics: so does ``evaluate``."""
    data = blobs()
    model = network()
    nnx.fit(model, data, epochs=2, backend=backend)
    before = {path: a for path, a in bits(model).items() if "running" in path}
    run = nnx.fit(model, data, optimizer=LBFGS(), epochs=6, batch_size=32)
    assert {path: a for path, a in bits(model).items() if "running" in path} == before
    measured = evaluate(model, data)
    assert run.history[-1]["loss"] == pytest.approx(measured["loss"], rel=1e-5)
    assert run.history[-1]["accuracy"] == pytest.approx(measured["accuracy"])
    assert run.curve("loss") == sorted(run.curve("loss"), reverse=True)
    assert [record["step"] for record in run.history] == [1, 2, 3, 4, 5, 6]
    assert run.history[-1]["learning_rate"] == run.state["length"] > 0


def test_real_targets(backend):
    data = blobs(n=300, task="regression")
    x = np.concatenate([data.x, np.ones((300, 1))], axis=1).astype(np.float64)
    residual = np.linalg.lstsq(x, data.y.astype(np.float64), rcond=None)[1][0] / 300
    model = nnx.Sequential(nnx.Linear(4, 1)).initialize(0, dtype="float64")
    run = nnx.fit(model, data, optimizer=LBFGS(), epochs=50, batch_size=100, backend=backend)
    assert run.history[-1]["loss"] == pytest.approx(residual, abs=1e-9)
    assert run.history[-1]["mae"] < 1e-3


def test_statistics_that_nobody_measured_are_measured_as_by_pytorch():
    torch = pytest.importorskip("torch", reason="needs torch")
    data = blobs(n=96)
    prepared, *layers = network().layers
    known = nnx.BatchNorm(16)  # of mean 0, and yet of a batch
    model = nnx.Sequential(prepared, nnx.Dropout(0.5), *layers[:3], known, *layers[3:]).initialize(3)
    model.load({**model.buffers(), "layers.5.running_variance": np.full(16, 4.0, "float32")})
    prepared.fit(data.x)
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 16, bias=False), torch.nn.BatchNorm1d(16), torch.nn.ReLU())
    theirs[0].weight.data = torch.tensor(model.state()["layers.2.weight"].T.copy())
    standardized = torch.tensor(model.layers[0](data.x))
    torch.optim.swa_utils.update_bn(standardized.split(32), theirs)

    nnx.fit(model, data, optimizer=LBFGS(), epochs=1, batch_size=32)
    state = model.state()
    np.testing.assert_allclose(state["layers.3.running_mean"], theirs[1].running_mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(state["layers.3.running_variance"], theirs[1].running_var.numpy(), rtol=1e-5)
    assert not np.allclose(state["layers.3.running_variance"], 1.0)
    assert (state["layers.5.running_variance"] == 4.0).all()


def test_dropout_does_not_matter():
    def trained(p):
        model = nnx.Sequential(nnx.Linear(4, 8), nnx.ReLU(), nnx.Dropout(p), nnx.Linear(8, 3))
        nnx.fit(model, blobs(), optimizer=LBFGS(), epochs=5)
        return bits(model)

    assert trained(0.5) == trained(0.0)


# Taking over -----------------------------------------------------------------------------------------------------------
def test_it_takes_over_from_adam_and_gets_further(tmp_path):
    train, val = nnx.data.split(nnx.data.load("digits"), (0.8, 0.2), seed=0)

    def model():
        return nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 32), nnx.ReLU(), nnx.Linear(32, 10))

    both = model()
    run = nnx.fit(
        both, train, val, optimizer=nnx.optim.Adam(3e-3), epochs=4, finish=LBFGS(), finish_epochs=8, batch_size=128,
        directory=tmp_path / "run",
    )  # fmt: skip
    adam = model()
    nnx.fit(adam, train, val, optimizer=nnx.optim.Adam(3e-3), epochs=12, batch_size=128)
    assert evaluate(both, train)["loss"] < 0.5 * evaluate(adam, train)["loss"]
    assert run.epochs == len(run.history) == 12
    assert [record["epoch"] for record in run.history] == list(range(1, 13))
    steps = -(-len(train) // 128)
    assert run.step == run.history[-1]["step"] == 4 * steps + 8
    assert len({frozenset(record) for record in run.history}) == 1, "every line has the same names"
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 12

    twice = model()
    nnx.fit(twice, train, val, optimizer=nnx.optim.Adam(3e-3), epochs=4, batch_size=128)
    nnx.fit(twice, train, val, optimizer=LBFGS(), epochs=8, batch_size=128)
    assert bits(twice) == bits(both)


def test_a_callback_sees_how_far_it_is():
    seen = []

    class Watch(Callback):
        def on_step(self, run):
            seen.append((run.steps_into_epoch, run.steps_per_epoch, round(run.done, 3)))

    nnx.fit(linear(), blobs(n=32), epochs=1, batch_size=16, finish=LBFGS(), finish_epochs=2, callbacks=[Watch()])
    assert seen == [(1, 2, 0.167), (2, 2, 0.333), (1, 1, 0.667), (1, 1, 1.0)]


def test_a_callback_that_ends_it_ends_all_of_it():
    ends = [lambda run, record: record["epoch"] == 2]
    run = nnx.fit(linear(), blobs(), epochs=5, finish=LBFGS(), callbacks=ends)
    assert len(run.history) == 2
    assert run.stopped == "a callback ended it"


# Endings ----------------------------------------------------------------------------------------------------------------
def test_at_the_limit_of_the_precision_it_ends_and_says_so():
    model = linear("float32")
    optimizer = nnx.optim.chain(penalize(l2=0.1), LBFGS(tolerance=0))
    run = nnx.fit(model, blobs(), optimizer=optimizer, epochs=500)
    assert run.stopped == "no step downhill: at the limit of the precision"
    assert len(run.history) < 100
    assert run.history[-1]["loss"] == pytest.approx(evaluate(model, blobs())["loss"], rel=1e-6)


def test_at_a_minimum_it_has_nothing_to_do():
    model = linear()
    optimizer = nnx.optim.chain(penalize(l2=0.1), LBFGS())
    nnx.fit(model, blobs(), optimizer=optimizer, epochs=100)
    before = bits(model)
    run = nnx.fit(model, blobs(), optimizer=optimizer, epochs=100)
    assert run.stopped == "converged: every entry of the gradient is within 1e-05"
    assert len(run.history) == 1
    assert bits(model) == before


def test_without_a_finite_loss_it_diverges_and_keeps_the_weights():
    model = linear()
    model.load({path: a * np.nan for path, a in model.parameters().items()})
    with pytest.raises(
        DivergedError, match=r"layers.0.weight: expected finite weights, got nan .*before the first step"
    ):
        nnx.fit(model, blobs(), optimizer=LBFGS(), epochs=3)


def test_a_signal_within_an_iteration_leaves_the_one_before():
    calls, kept = [], []

    def loss(outputs, y):
        calls.append(1)
        if len(calls) == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return nnx.losses.cross_entropy(outputs, y)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        model = linear()
        run = nnx.fit(
            model, blobs(), loss=loss, optimizer=LBFGS(), epochs=50, batch_size=30,
            callbacks=[lambda run, record: kept.append(bits(run.model))],
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    assert run.stopped == "interrupted"
    assert len(calls) == 20, "it ends after the batch at hand"
    assert 1 <= len(run.history) < 50
    assert bits(model) == kept[-1]


# What is refused ----------------------------------------------------------------------------------------------------------
def test_a_model_that_draws_at_inference_is_refused():
    class Noise(nnx.Module):
        draws = np.random.default_rng(0)

        def forward(self, x):
            return x * (1.0 + 0.1 * float(self.draws.normal()))

    model = nnx.Sequential(*linear().layers, Noise())
    before = bits(model)
    for arguments in ({"optimizer": LBFGS()}, {"finish": LBFGS()}):
        with pytest.raises(ConfigError, match=r"a loss that is the same function at every call.*Draw only inside"):
            nnx.fit(model, blobs(), epochs=1, **arguments)
    assert bits(model) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"finish": nnx.optim.Adam()}, r"expected L-BFGS to finish with, got Adam.*Write finish=nnx.optim.LBFGS"),
        ({"finish": LBFGS(), "finish_epochs": 0}, "finish_epochs a whole number ≥ 1, got 0"),
        ({"optimizer": LBFGS(), "callbacks": [nnx.optim.ReduceOnPlateau()]}, "learning rate, for reduce on plateau"),
        ({"optimizer": LBFGS(), "callbacks": [nnx.train.Babysit("x")]}, "learning rate, for a rate file, got LBFGS"),
    ],
)
def test_what_cannot_be_is_refused(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=says):
        nnx.fit(linear(), blobs(), epochs=1, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_constraints_are_not_for_lbfgs():
    with pytest.raises(ConfigError, match="optimizer is of the wrong kind"):
        nnx.optim.Constrained(LBFGS(), max_norm=1.0)


def test_a_batch_of_one_row_is_fine_at_inference():
    assert nnx.fit(network(), blobs(n=33), optimizer=LBFGS(), epochs=1, batch_size=32).step == 1
