"""``fit`` is the loop that one would write by hand, and what surrounds it."""

import json
import math
import os
import signal
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from support.clouds import bits, blobs, network

import nnx
from nnx.errors import ConfigError, DataError, DivergedError, ShapeError, StateError
from nnx.train import Callback, EarlyStopping, evaluate


def test_a_run_shows_how_far_and_how_good_it_is() -> None:
    run = nnx.train.Run(network(), "classification", 20, 5, "accuracy", stopped="interrupted")
    assert repr(run) == "Run(epoch 0 of 20, interrupted)"
    run.history.append({"epoch": 1, "step": 5, "loss": 1.23456, "val_accuracy": 0.5, "seconds": 0.1})
    assert repr(run) == "Run(epoch 1 of 20, loss 1.235, val_accuracy 0.5, interrupted)"


@pytest.mark.parametrize(
    "optimizer",
    [
        nnx.optim.Adam(nnx.optim.StepDecay(1e-2, every=2, factor=0.5)),
        nnx.optim.chain(
            nnx.optim.penalize(l2=1e-2), nnx.optim.clip_by_global_norm(0.5), nnx.optim.SGD(0.1, momentum=0.9)
        ),
    ],
    ids=["adam", "chain"],
)
def test_it_equals_the_loop_written_by_hand_bit_for_bit(backend, optimizer):
    train, val = nnx.data.split(blobs(), (0.8, 0.2), seed=1)
    epochs, batch_size, seed = 3, 16, 5

    fitted = network().initialize(seed)
    run = nnx.fit(
        fitted, train, val, optimizer=optimizer, epochs=epochs, batch_size=batch_size, seed=seed, backend=backend,
        compile=None if backend.jit is None else False,
    )  # fmt: skip

    model = network().initialize(seed)
    model.layers[0].fit(train.x)
    model.to(backend)

    def loss_fn(model, x, y):
        return nnx.losses.cross_entropy(model(x), y)

    steps = nnx.data.batch_count(len(train), batch_size)
    optimizer = optimizer.with_steps_per_epoch(steps)
    params = model.parameters()
    state, step = optimizer.init(params), 0
    for epoch in range(epochs):
        for rows in nnx.data.batches(len(train), batch_size, seed=seed, epoch=epoch):
            x, y = backend.asarray(train.x[rows]), backend.asarray(train.y[rows])
            with nnx.training(seed=seed, step=step):
                _, grads = nnx.value_and_grad(loss_fn)(model, x, y)
            params, state = optimizer.update(grads, state, params)
            model.load(params)
            step += 1

    assert bits(fitted) == bits(model)
    assert run.step == step == epochs * steps
    assert evaluate(fitted, val) == evaluate(model, val)


def test_whole_numbers_that_are_looked_up_stay_what_they_are(backend):
    draw = np.random.default_rng(0)
    x = draw.integers(0, 5, (30, 3))
    data = nnx.data.Dataset(x, (x[:, 0] > 2).astype(np.int64), classes=("low", "high"))

    def words():
        return nnx.Sequential(nnx.Embedding(5, 4), nnx.GlobalAvgPool(), nnx.Linear(4, 2))

    model, by_hand, optimizer = words(), words().initialize(0).to(backend), nnx.optim.SGD(0.1)
    nnx.fit(model, data, data, optimizer=optimizer, epochs=1, batch_size=15, backend=backend, compile=False)
    assert evaluate(model, data)["accuracy"] > 0
    assert nnx.predict(model, x).shape == (30, 2)
    params = by_hand.parameters()
    state = optimizer.init(params)
    for rows in nnx.data.batches(30, 15, seed=0, epoch=0):
        given = backend.asarray(x[rows]), backend.asarray(data.y[rows])
        grads = nnx.grad(lambda model, x, y: nnx.losses.cross_entropy(model(x), y))(by_hand, *given)
        params, state = optimizer.update(grads, state, params)
        by_hand.load(params)
    assert bits(model) == bits(by_hand)


def test_the_seed_decides_and_nothing_else():
    def trained(seed, **kwargs):
        model = network()
        nnx.fit(model, blobs(), epochs=2, batch_size=16, seed=seed, **kwargs)
        return bits(model)

    assert trained(3) == trained(3)
    assert trained(3) != trained(4)
    assert trained(3) == trained(3, callbacks=[lambda run, record: None])


def test_history_has_what_was_measured(tmp_path):
    train, val = nnx.data.split(blobs(), (0.8, 0.2), seed=0)
    run = nnx.fit(network(), train, val, epochs=4, batch_size=16, directory=tmp_path / "run")
    assert [record["epoch"] for record in run.history] == [1, 2, 3, 4]
    assert set(run.history[0]) == {
        "epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "examples_per_second", "seconds",
    }  # fmt: skip
    stored = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert stored == run.history
    last = evaluate(run.model, val)
    assert run.history[-1]["val_loss"] == pytest.approx(last["loss"])
    assert run.best["val_accuracy"] == max(run.curve("val_accuracy"))
    assert run.monitor == "val_accuracy"


def test_the_mean_loss_weighs_every_row_alike():
    data = blobs(n=50)
    model = nnx.Sequential(nnx.Linear(4, 3)).initialize(0)
    run = nnx.fit(model, data, epochs=1, batch_size=32, optimizer=nnx.optim.SGD(1e-20))
    assert run.history[0]["loss"] == pytest.approx(evaluate(model, data)["loss"], rel=1e-6)
    assert run.history[0]["accuracy"] == pytest.approx(evaluate(model, data)["accuracy"])


def test_preparation_sees_the_training_rows_alone():
    train, val = nnx.data.split(blobs(), (0.5, 0.5), seed=0)
    model = network()
    nnx.fit(model, train, val, epochs=1)
    np.testing.assert_allclose(model.state()["layers.0.mean"], train.x.mean(axis=0), atol=1e-6)


def test_a_chain_of_preparations_behind_a_flatten_is_fitted_in_order():
    data = blobs()
    images = nnx.data.load((data.x.reshape(-1, 2, 2), data.y))
    model = nnx.Sequential(nnx.Flatten(), nnx.Standardize(4), nnx.MinMaxScale(4), nnx.Linear(4, 3))
    nnx.fit(model, images, epochs=1)
    scaled = nnx.Standardize(4).fit(data.x)(data.x)
    np.testing.assert_allclose(model.state()["layers.2.minimum"], scaled.min(axis=0), rtol=1e-4)
    assert evaluate(model, images)["accuracy"] > 0


def test_what_is_fitted_already_stays():
    model = network()
    model.layers[0].fit(np.zeros((2, 4), dtype="float32") + 7)
    nnx.fit(model, blobs(), epochs=1)
    np.testing.assert_array_equal(model.state()["layers.0.mean"], np.full(4, 7.0, dtype="float32"))


def test_real_targets_in_their_own_unit(backend):
    train, val = nnx.data.split(blobs(n=300, task="regression"), (0.8, 0.2), seed=0)
    model = nnx.Sequential(nnx.Linear(4, 1), nnx.Unstandardize(1))
    run = nnx.fit(model, train, val, epochs=25, batch_size=32, optimizer=nnx.optim.Adam(0.05), backend=backend)
    assert run.history[-1]["val_r2"] > 0.99
    assert run.monitor == "val_r2"
    assert "mae" in run.history[-1]


def test_regression_without_validation_judges_by_the_loss():
    run = nnx.fit(nnx.Sequential(nnx.Linear(4, 1)), blobs(task="regression"), epochs=2)
    assert run.monitor == "loss"
    assert run.best["loss"] == min(run.curve("loss"))


# Callbacks ------------------------------------------------------------------------------------------------------------
def test_callbacks_are_told_in_order_and_may_end_it():
    told = []

    class Watch(Callback):
        def on_start(self, run):
            told.append(("start", run.step))

        def on_step(self, run):
            told.append(("step", run.step))

        def on_epoch(self, run, record):
            told.append(("epoch", record["epoch"]))
            return record["epoch"] == 2

        def on_end(self, run):
            told.append(("end", run.stopped))

    run = nnx.fit(network(), blobs(n=32), epochs=9, batch_size=16, callbacks=[Watch()])
    assert told == [
        ("start", 0), ("step", 1), ("step", 2), ("epoch", 1), ("step", 3), ("step", 4), ("epoch", 2), ("end", "a callback ended it"),
    ]  # fmt: skip
    assert len(run.history) == 2


def test_callbacks_may_come_one_by_one():
    told = []
    model = nnx.Sequential(nnx.Linear(2, 2))
    data = nnx.data.load((np.eye(2, dtype="float32"), np.asarray([0, 1])))
    nnx.fit(model, data, epochs=1, callbacks=(one for one in [lambda run, record: told.append(record["epoch"])]))
    assert told == [1]


def test_every_callback_is_told_of_the_last_epoch():
    seen = []
    nnx.fit(
        network(),
        blobs(),
        epochs=3,
        callbacks=[lambda run, record: True, lambda run, record: seen.append(record["epoch"])],
    )
    assert seen == [1]


def test_early_stopping_restores_the_best_arrays_and_buffers():
    train, val = nnx.data.split(blobs(), (0.5, 0.5), seed=0)
    stop = EarlyStopping(patience=2)
    run = nnx.fit(network(), train, val, epochs=200, optimizer=nnx.optim.Adam(0.1), callbacks=[stop])
    assert len(run.history) == stop.best_epoch + 2 < 200
    best = min(run.history, key=lambda record: record["val_loss"])
    assert best["epoch"] == stop.best_epoch
    assert evaluate(run.model, val)["loss"] == pytest.approx(best["val_loss"], rel=1e-6)


def test_early_stopping_without_restoring_keeps_the_last():
    train, val = nnx.data.split(blobs(), (0.5, 0.5), seed=0)
    stop = EarlyStopping(patience=2, restore=False)
    run = nnx.fit(network(), train, val, epochs=200, optimizer=nnx.optim.Adam(0.1), callbacks=[stop])
    assert evaluate(run.model, val)["loss"] == pytest.approx(run.history[-1]["val_loss"], rel=1e-6)


@pytest.mark.parametrize(
    "settings, values, ends, best",
    [
        ({"patience": 1, "monitor": "val_accuracy"}, [0.5, 0.7, 0.6], [False, False, True], 2),  # grows with quality
        ({"patience": 2, "min_delta": 0.1}, [1.0, 0.95, 0.85, 0.8, 0.76], [False, False, False, False, True], 3),
        ({"patience": 2}, [math.nan, math.nan], [False, True], 0),
    ],
)
def test_early_stopping_ends_where_nothing_gets_better(settings, values, ends, best):
    stop = EarlyStopping(**settings)
    stop.on_start(None)
    run, loaded = SimpleNamespace(model=SimpleNamespace(state=lambda: {"w": 1})), []
    run.model.load = loaded.append
    assert [stop.on_epoch(run, {"epoch": i, stop.monitor: value}) for i, value in enumerate(values, 1)] == ends
    assert stop.best_epoch == best
    stop.on_end(run)
    assert loaded == ([{"w": 1}] if best else [])  # where there was no best, nothing is put back


def test_early_stopping_needs_what_it_watches():
    with pytest.raises(ConfigError, match="Give fit validation data"):
        nnx.fit(network(), blobs(), epochs=2, callbacks=[EarlyStopping(3)])
    with pytest.raises(ConfigError, match="patience ≥ 1"):
        EarlyStopping(0)


# Endings --------------------------------------------------------------------------------------------------------------
def test_divergence_keeps_the_last_good_weights(tmp_path):
    class Blow(Callback):
        def on_epoch(self, run, record):
            self.good = bits(run.model) if record["epoch"] == 2 else getattr(self, "good", None)
            if record["epoch"] == 2:
                run.state = {**run.state, "rate_factor": 1e300}

    blow = Blow()
    model = nnx.Sequential(nnx.Linear(4, 3))
    with (
        np.errstate(all="ignore"),
        pytest.raises(
            DivergedError,
            match=r"in the weights after the update.*\(step 5, batch 1 of epoch 3\). The weights of epoch 2 are kept",
        ),
    ):
        nnx.fit(model, blobs(), epochs=9, optimizer=nnx.optim.SGD(0.1), callbacks=[blow], directory=tmp_path / "r")
    assert bits(model) == blow.good
    assert bits(nnx.load(tmp_path / "r" / "model.safetensors")) == blow.good
    assert json.loads((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()[-1])["loss"] is None


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_signal_ends_it_between_two_steps(number, word, tmp_path):
    class Press(Callback):
        def on_step(self, run):
            if run.step == 8:
                os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    if number == signal.SIGINT:
        signal.signal(number, signal.default_int_handler)
    try:
        run = nnx.fit(network(), blobs(), epochs=9, batch_size=16, callbacks=[Press()], directory=tmp_path / "run")
        assert signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL)
    finally:
        signal.signal(number, before)
    assert run.stopped == word
    assert run.step == 8
    assert len(run.history) == 1
    assert bits(nnx.load(tmp_path / "run" / "model.safetensors")) == bits(run.model)


def test_a_program_with_its_own_handler_keeps_it():
    came = []

    class Press(Callback):
        def on_step(self, run):
            if run.step == 2:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, lambda *args: came.append(args))
    try:
        run = nnx.fit(network(), blobs(), epochs=1, callbacks=[Press()])
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(came) == 1
    assert run.stopped == ""


def test_it_trains_in_a_thread():
    runs = []
    thread = threading.Thread(target=lambda: runs.append(nnx.fit(network(), blobs(), epochs=1)))
    thread.start()
    thread.join(60)
    assert len(runs[0].history) == 1


# What is refused ------------------------------------------------------------------------------------------------------
def test_a_directory_has_one_run(tmp_path):
    nnx.fit(network(), blobs(), epochs=1, directory=tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(ConfigError, match=r"got .*model.safetensors. Choose another directory"):
        nnx.fit(network(), blobs(), epochs=1, directory=tmp_path / "run")
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "metrics.jsonl").write_text("")
    with pytest.raises(ConfigError, match=r"got .*metrics.jsonl"):
        nnx.fit(network(), blobs(), epochs=1, directory=tmp_path / "half")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file"):
        nnx.fit(network(), blobs(), epochs=1, directory=tmp_path / "file" / "run")


REFUSED = [
    ({"epochs": 0}, ConfigError, "epochs a whole number ≥ 1, got 0"),
    ({"epochs": 1.5}, ConfigError, "epochs a whole number ≥ 1, got 1.5"),
    ({"epochs": True}, ConfigError, "epochs a whole number ≥ 1, got True"),
    ({"batch_size": 0}, ConfigError, "batch_size a whole number ≥ 1, got 0"),
    ({"optimizer": "adam"}, ConfigError, r"optimizer=nnx.optim.Adam\(1e-3\)"),
    ({"loss": "crossentropy"}, ConfigError, "expected a loss: binary_cross_entropy"),
    ({"train": np.zeros((3, 4))}, ConfigError, r"nnx.data.load\(\(x, y\)\)"),
    ({"val": (np.zeros((3, 4)), np.zeros(3))}, ConfigError, "expected val as a Dataset, got tuple"),
    ({"batch_size": 1}, ConfigError, "got a batch of one row. Use batch_size=32"),
    ({"train": blobs().take([0])}, ConfigError, "got a batch of one row. Give it more rows"),
    (
        {"model": nnx.Sequential(nnx.Linear(4, 2))},
        ShapeError,
        r"outputs of shape \(N, 3\).*Give the last layer 3 outputs",
    ),
    ({"model": nnx.Sequential(nnx.Linear(5, 3))}, ShapeError, "layers.0"),
    ({"train": blobs(task="regression")}, ShapeError, "Give the last layer 1 outputs"),
    ({"backend": "nunpy"}, ConfigError, "Did you mean 'numpy'"),
]


@pytest.mark.parametrize(("change", "error", "says"), REFUSED)
def test_what_cannot_be_trained_is_refused_before_the_first_step(change, error, says):
    arguments = {"model": network(), "train": blobs(), **change}
    steps = []
    watch = type("Watch", (Callback,), {"on_step": lambda self, run: steps.append(1)})()
    with pytest.raises(error, match=says):
        nnx.fit(
            arguments.pop("model"), arguments.pop("train"), arguments.pop("val", None), callbacks=[watch], **arguments
        )
    assert steps == []


def test_validation_data_of_another_kind_are_refused():
    train = blobs()
    narrow = nnx.data.load((train.x[:, :2], train.y))
    with pytest.raises(DataError, match=r"expected validation data like the training data: rows of \(4,\)"):
        nnx.fit(network(), train, narrow)
    named = nnx.data.load((train.x, np.asarray(["a", "b", "c"])[train.y]))
    with pytest.raises(DataError, match="got the classes"):
        nnx.fit(network(), train, named)
    plane = blobs(task="regression")
    with pytest.raises(DataError, match="two validation rows or more"):
        nnx.fit(nnx.Sequential(nnx.Linear(4, 1)), plane, plane.take([0]))


def test_a_batch_of_one_is_fine_without_batch_norm():
    assert nnx.fit(nnx.Sequential(nnx.Linear(4, 3)), blobs(n=3), epochs=1, batch_size=1).step == 3


def test_a_row_left_over_joins_the_batch_before_it():
    assert nnx.fit(network(), blobs(n=33), epochs=1, batch_size=32).step == 1


def test_there_is_no_best_before_the_first_epoch():
    run = nnx.train.Run(network(), "classification", 1, 1, "accuracy")
    with pytest.raises(StateError, match="expected a finished epoch"):
        _ = run.best
