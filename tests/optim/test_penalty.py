"""``penalize`` adds the derivative of a penalty to the gradient: the same step as with the penalty in the loss."""

import numpy as np
import pytest
from support.compare import assert_agrees

import nnx
from nnx import optim, regularizers
from nnx.errors import ConfigError


def params_of(backend, dtype="float64"):
    draws = np.random.default_rng(0)
    arrays = {
        "a.weight": draws.normal(size=(3, 4)),
        "a.bias": draws.normal(size=4),
        "b.weight": draws.normal(size=(4, 2)),
    }
    return {path: backend.asarray(array, dtype=dtype) for path, array in arrays.items()}


def test_it_is_the_gradient_of_the_penalties_in_the_loss(backend):
    params = params_of(backend)

    def data_loss(params):
        xp = nnx.namespace(*params.values())
        return (
            xp.sum(xp.sin(params["a.weight"]))
            + xp.sum(params["a.bias"] * params["a.bias"])
            + xp.sum(params["b.weight"])
        )

    def whole(params):
        return data_loss(params) + regularizers.L2(0.3)(params) + regularizers.L1(0.2)(params)

    penalty = optim.penalize(l2=0.3, l1=0.2)
    got, state = penalty.transform(nnx.grad(data_loss)(params), {}, params)
    assert state == {}
    assert_agrees(data_loss(params) + penalty.value(params), whole(params), rtol=1e-14)
    for path, expected in nnx.grad(whole)(params).items():
        assert_agrees(got[path], expected, rtol=1e-12, scale=1.0, what=f"{path} ")


@pytest.mark.parametrize(
    ("applies_to", "moved"),
    [("weights", {"a.weight", "b.weight"}), ("all", {"a.weight", "a.bias", "b.weight"}), (("b.*",), {"b.weight"})],
)
def test_it_acts_on_what_is_meant(applies_to, moved):
    params = params_of(nnx.backends.get("numpy"))
    zeros = {path: np.zeros_like(array) for path, array in params.items()}
    got, _ = optim.penalize(l2=0.5, applies_to=applies_to).transform(zeros, {}, params)
    assert {path for path, array in got.items() if array.any()} == moved
    for path in moved:
        np.testing.assert_array_equal(got[path], 0.5 * params[path])


def test_it_stands_before_the_clipping():
    params = {"w": np.asarray([[30.0], [40.0]])}
    optimizer = optim.chain(optim.penalize(l2=1.0), optim.clip_by_global_norm(5.0), optim.SGD(1.0))
    new, _ = optimizer.update({"w": np.zeros((2, 1))}, optimizer.init(params), params)
    np.testing.assert_allclose(new["w"], [[27.0], [36.0]])


def test_nothing_to_penalise():
    assert optim.penalize(l2=1.0).transform({}, {}, {}) == ({}, {})


def test_it_is_written_down_and_read_again():
    chain = optim.chain(optim.penalize(l2=0.1, l1=0.2, applies_to=("*.weight",)), optim.Adam(1e-3))
    assert optim.from_config(chain.config()) == chain


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"l2": -1.0}, "l2 is out of range"),
        ({"l1": float("nan")}, "l1 is not a number"),
        ({"applies_to": "wieghts"}, "applies_to is unknown"),
    ],
)
def test_other_values_are_refused(arguments, says):
    with pytest.raises(ConfigError, match=says):
        optim.penalize(**arguments)
