"""Everyone who is timed does the same work."""

from dataclasses import replace

import numpy as np
import pytest
from support.contest import HERE, SMALL, ask, by_hand

from benchmarks import process
from benchmarks.contestants import BY_HAND, FLOOR, Contestant
from benchmarks.networks import Convolutional


@pytest.mark.parametrize(
    "contestant", [one for one in HERE if one.label not in (BY_HAND, FLOOR)], ids=lambda one: one.label
)
def test_a_step_has_the_losses_of_the_step_written_by_hand(field, contestant):
    if contestant.options.get("compiled"):
        contestant = replace(contestant, options={**contestant.options, "compiled": False})  # it would take a minute
    found = ask(field, contestant, "step", SMALL, "losses", steps=10)
    expected = by_hand("step", SMALL, "losses", field, steps=10)
    assert found == pytest.approx(expected, rel=2e-4)
    assert found[9] < found[1]  # the same batch of eight, once it was trained on


@pytest.mark.parametrize(
    "contestant",
    [one for one in HERE if one.plays("inference") and one.label not in (BY_HAND, FLOOR)],
    ids=lambda one: one.label,
)
@pytest.mark.parametrize("regular", [False, True])
def test_an_answer_is_the_one_written_by_hand(field, contestant, regular):
    if contestant.options.get("compiled"):
        contestant = replace(contestant, options={**contestant.options, "compiled": False})
    network = replace(SMALL, regular=regular)  # fresh batch norm only scales by 1/√(1 + ε)
    if contestant.plays("inference", regular):
        found = np.asarray(ask(field, contestant, "inference", network, "outputs"))
        expected = np.asarray(by_hand("inference", SMALL, "outputs", field))
        for answer in (found, expected):
            answer -= answer.mean(axis=1, keepdims=True)  # scikit-learn gives probabilities
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("contestant", [one for one in HERE if one.plays("step", True)], ids=lambda one: one.label)
def test_batch_norm_and_dropout_are_timed_too(field, contestant):
    if not contestant.options.get("compiled"):
        median, best, cpu = ask(field, contestant, "step", replace(SMALL, regular=True), "block", calls=2)
        assert median >= best > 0
        assert cpu >= 0


def test_what_a_process_cannot_do_is_told_and_it_goes_on(field):
    worker = field.process(HERE[0])
    with pytest.raises(process.FailedError, match=f"{worker.label}: KeyError: 'nonsense'"):  # whoever began it
        ask(field, HERE[0], "nonsense", SMALL, "block", calls=1)
    assert worker.ask("versions")["nnx"]


def test_a_process_that_dies_says_its_last_words():
    worker = process.Process(Contestant("broken", "no_such_file"))
    try:
        with pytest.raises(process.FailedError, match="no_such_file"):
            worker.ask("versions")
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(process.FailedError, match="its process is gone"):
            worker.ask("versions")
    finally:
        worker.end()


def test_numba_is_hidden_where_it_is_to_be_absent(field):
    pure = next(one for one in HERE if one.hides)
    assert field.process(pure).ask("versions")["fused"] == "off"


def test_the_convolutional_network_is_the_same_for_all():
    pytest.importorskip("torch", reason="PyTorch is not installed: it is what nnx is timed against")
    from benchmarks.contestants import ours, pytorch

    network = Convolutional((4, 6), 5, side=8, classes=3)
    first, second = ours.make("step", network, backend="numpy"), pytorch.make("step", network)
    losses = [first.loss() for _ in range(4)]
    assert losses == pytest.approx([second.loss() for _ in range(4)], rel=1e-4)
    assert len(set(losses)) == 4
    answers = ours.make("inference", network, backend="numpy").outputs(), pytorch.make("inference", network).outputs()
    assert answers[0] == pytest.approx(answers[1], rel=1e-4, abs=1e-5)
