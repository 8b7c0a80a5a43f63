"""What is no finite number ends a training within one step; it says where that began, and saves the state before."""

import math

import numpy as np
import pytest
from support.divergence import (
    CASES,
    Emits,
    Impure,
    Poison,
    SetRate,
    StopAt,
    cost,
    data,
    diverged,
    linear,
    network,
    state_at,
    wrong,
)

import nnx
from nnx.errors import DivergedError
from nnx.train.files.checkpoint import listed, read_checkpoint
from nnx.train.trouble.watch import Watch

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.mark.parametrize("name", CASES)
def test_it_is_named_and_the_state_before_it_saved_bit_for_bit(name, tmp_path):
    assert wrong(CASES[name], nnx.backends.get("numpy"), tmp_path) == ""


def test_on_every_backend(backend, tmp_path):
    """The other cases are tried there by benchmarks/trust/divergence.py."""
    assert wrong(CASES["learning rate"], backend, tmp_path) == ""


def test_rows_of_the_batch_and_of_the_damage_are_named(tmp_path):
    about = diverged(CASES["data"], nnx.backends.get("numpy"), tmp_path).report
    order = [rows for epoch in range(3) for rows in nnx.data.batches(100, 16, seed=0, epoch=epoch)]
    assert about["batch_rows"] == order[about["step"] - 1].tolist()
    assert about["bad_rows"] == [17]
    assert 17 in about["batch_rows"]


def test_a_number_too_large_for_the_model_is_told_as_such(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 3))
    x[9, 1] = 1e300
    with pytest.raises(
        DivergedError, match=r"train.x: expected finite data, got inf in row 9, at 1: 1e\+300 does not fit into float32"
    ):
        nnx.fit(linear(3), nnx.data.load((x, np.arange(40) % 3)), epochs=2)


def test_it_goes_on_from_there_with_a_lower_rate(tmp_path):
    case = CASES["update"]
    error = diverged(case, nnx.backends.get("numpy"), tmp_path)
    with pytest.raises(DivergedError) as again:  # with the same rate it comes again
        nnx.resume(tmp_path, data())
    assert again.value.report["step"] == error.report["step"]
    run = nnx.resume(tmp_path, data(), optimizer=nnx.optim.SGD(0.01))
    assert run.stopped == ""
    assert run.step == 21
    assert not (tmp_path / "diverged.json").exists()


@pytest.mark.parametrize("every", [1, 2, 5, 100])
def test_any_distance_of_looks_finds_the_same_step(every, monkeypatch, tmp_path):
    """As on a GPU, where a look waits for the device."""
    case = CASES["a layer of one's own"]
    enter = Watch.enter

    def rarely(self, run, epoch, *, touching):
        enter(self, run, epoch, touching=touching)
        self.every, self._soon = every, run.step + every

    be = nnx.backends.get("numpy")
    monkeypatch.setattr(Watch, "enter", rarely)
    for eager in (True, False):
        monkeypatch.setitem(be.__dict__, "eager", eager)
        about = diverged(case, be, tmp_path / f"{eager}").report
        assert (about["step"], about["where"]) == (case.step, case.where)


def test_a_rate_that_a_callback_sets_between_two_looks_is_replayed(tmp_path):
    """Without the looks at what callbacks change, the state before would be of another rate."""
    case = CASES["a layer of one's own"]._replace(callbacks=lambda x: [SetRate(9)])
    about = diverged(case, nnx.backends.get("numpy"), tmp_path / "whole").report
    saved = read_checkpoint(tmp_path / "whole" / about["checkpoint"])
    weights, _ = state_at(case, nnx.backends.get("numpy"), tmp_path / "cut", about["step"] - 1)
    assert {p: a.tobytes() for p, a in saved.weights.items()} == {p: a.tobytes() for p, a in weights.items()}


def test_what_does_not_come_again_is_told_as_such(tmp_path):
    model = nnx.Sequential(nnx.Linear(6, 8), Impure(11), nnx.Linear(8, 3))
    with pytest.raises(DivergedError, match="did not come again when these were repeated"):
        nnx.fit(model, data(), epochs=3, batch_size=16, directory=tmp_path)
    assert all(np.isfinite(array).all() for array in model.parameters().values())


def test_no_checkpoint_is_written_of_a_state_that_is_no_number(tmp_path):
    case = CASES["a gradient"]
    with pytest.raises(DivergedError, match="gradient"):
        nnx.fit(case.model(), data(), epochs=3, batch_size=16, directory=tmp_path, checkpoint_every=1)
    for path in listed(tmp_path / "checkpoints"):
        assert all(np.isfinite(array).all() for array in read_checkpoint(path).weights.values())


def test_an_interrupted_training_is_looked_at_before_it_is_saved(tmp_path):
    class Both(Poison):
        def on_step(self, run):
            super().on_step(run)
            if run.step == self.step:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(DivergedError, match="after step 4"):
        nnx.fit(network(), data(), epochs=3, batch_size=16, callbacks=[Both(4)], directory=tmp_path)


def test_lbfgs_names_the_layer_and_the_rows(tmp_path):
    train = data()
    model = nnx.Sequential(nnx.Linear(6, 8), Emits(None), nnx.Linear(8, 3))
    with pytest.raises(
        DivergedError, match=r"layers.1 \(Emits\): expected a finite loss, got inf in .* of its|in its output"
    ) as caught:
        nnx.fit(model, train, epochs=3, batch_size=16, optimizer=nnx.optim.LBFGS(), directory=tmp_path)
    assert caught.value.report["batch_rows"] == list(range(16))


def test_without_a_directory_it_is_told_as_well():
    with pytest.raises(
        DivergedError,
        match=r"layers.2 \(Linear\).*; its input is within [1-9].*, its weights within [1-9].*The weights are those it began with. Lower the learning rate by 10",
    ) as caught:
        nnx.fit(linear(), data(), epochs=3, batch_size=16, optimizer=nnx.optim.SGD(1e6))
    assert caught.value.report["checkpoint"] is None


def test_a_training_without_such_numbers_has_the_same_bits_as_unwatched(monkeypatch):
    watched = StopAt(10**9)
    run = nnx.fit(network(), data(), epochs=3, batch_size=16, callbacks=[watched])
    for name in ("enter", "before", "passed", "look"):
        monkeypatch.setattr(Watch, name, lambda *args, **kwargs: None)
    plain = nnx.fit(network(), data(), epochs=3, batch_size=16)
    assert {p: a.tobytes() for p, a in run.model.state().items()} == {
        p: a.tobytes() for p, a in plain.model.state().items()
    }


def test_a_watch_that_does_not_look_would_be_seen(monkeypatch, tmp_path):
    for name in ("before", "passed", "look"):
        monkeypatch.setattr(Watch, name, lambda *args, **kwargs: None)
    run = nnx.fit(linear(), data(), epochs=3, batch_size=16, optimizer=nnx.optim.SGD(1e6))
    assert math.isnan(run.history[-1]["loss"])


def test_it_costs_little():
    """Under 1 % is measured by benchmarks/trust/divergence.py; here, that nothing large has crept in."""
    looking, stepping = cost(rounds=2)
    assert looking < 0.05 * stepping
