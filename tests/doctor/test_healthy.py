"""On what is healthy the doctor is silent, and it leaves everything as it was."""

import copy

import numpy as np
import pytest
from cases.programs import basic, deep, deeper, digits, friedman, healthy, mlp, regression

import nnx

PROGRAMS = list(healthy(0))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_nothing_is_said_of_data_and_start(program):
    report = program.examine("quick")
    assert [(verdict.id, verdict.measured) for verdict in report.bad] == []
    assert not report.failed


@pytest.mark.parametrize("program", [basic(), regression(), PROGRAMS[-1]], ids=lambda program: program.name)
def test_nothing_is_said_of_a_short_training(program):
    report = program.examine()
    assert [(verdict.id, verdict.measured) for verdict in report.bad] == []
    assert {"T1", "T2", "T3", "T8", "T12"} <= {verdict.id for verdict in report if verdict.severity == "pass"}


def test_there_are_a_dozen_healthy_programs():
    assert len(PROGRAMS) >= 12


def test_the_model_is_as_it_was_bit_for_bit():
    model = deep(64, 32, 32, 10)
    model.initialize(3)
    before = {path: (id(array), array.tobytes()) for path, array in model.state().items()}
    dropouts = [module.p for _, module in model.modules() if isinstance(module, nnx.Dropout)]
    nnx.doctor(model, digits()[0], digits()[1])
    assert {path: (id(array), array.tobytes()) for path, array in model.state().items()} == before
    assert [module.p for _, module in model.modules() if isinstance(module, nnx.Dropout)] == dropouts
    assert not model.layers[0].is_fitted


def test_a_model_without_values_stays_without():
    model = mlp(10, 8, 1, between=nnx.Tanh)
    nnx.doctor(model, friedman()[0], check="quick")
    assert not model.initialized


def test_no_random_stream_is_touched():
    np.random.seed(5)
    state = copy.deepcopy(np.random.get_state())
    regression().examine()
    after = np.random.get_state()
    assert (state[0], state[2:]) == (after[0], after[2:])
    np.testing.assert_array_equal(state[1], after[1])


def test_training_after_the_doctor_gives_the_same_bits():
    def trained(examine):
        model = deeper().model.copy()
        train = nnx.data.load(digits()[0], task="classification")
        if examine:
            nnx.doctor(model, train, check="quick")
        nnx.fit(model, train, epochs=1)
        return model.state()

    plain, examined = trained(False), trained(True)
    assert all(plain[path].tobytes() == examined[path].tobytes() for path in plain)


def test_two_examinations_agree():
    first, second = (regression().examine() for _ in range(2))
    assert [verdict.to_dict() for verdict in first] == [verdict.to_dict() for verdict in second]


def test_frozen_parameters_are_not_called_forgotten():
    model = mlp(10, 16, 16, 1, between=nnx.Tanh).initialize(0)
    model.layers[1].freeze()
    report = nnx.doctor(model, friedman()[0], only=("T10", "I7"))
    assert [verdict.severity for verdict in report] == ["pass", "pass"]


def test_tied_weights_are_examined():
    shared = nnx.Parameter((10, 10), nnx.init.orthogonal())

    class Twice(nnx.Module):
        def __init__(self):
            self.first, self.second, self.last = shared, shared, nnx.Linear(10, 1, init=nnx.init.glorot_normal())

        def forward(self, x):
            xp = nnx.namespace(x)
            return self.last(xp.tanh(xp.tanh(x @ self.first) @ self.second))

    x, y = friedman()[0]
    report = nnx.doctor(Twice(), (x - 0.5, y), check="quick")
    assert not report.failed
    assert report["I7"].severity == "pass"
