"""Clipping against PyTorch and closed forms, on every backend, without looking at a value."""

from typing import Any

import numpy as np
import pytest
from optim.problem import gradient, parameters
from support.compare import assert_agrees

from nnx import errors, optim

LIMITS = [1e-3, 0.1, 0.5, 100.0]
EPS = 1e-6  # PyTorch's, in c / (norm + EPS)


def norm(arrays: Any) -> float:
    return float(np.sqrt(sum(np.sum(np.square(array)) for array in arrays)))


def clipped(transform: Any, backend: Any, dtype: str = "float64") -> tuple[dict[str, Any], dict[str, Any]]:
    grads = gradient(parameters())
    out, state = transform.transform(
        {path: backend.asarray(g, dtype=dtype) for path, g in grads.items()}, transform.init({}), {}
    )
    assert state == {}
    return out, grads


@pytest.mark.parametrize("limit", LIMITS)
def test_by_value(limit: float, backend: Any) -> None:
    out, grads = clipped(optim.clip_by_value(limit), backend)
    for path, g in grads.items():
        assert_agrees(out[path], np.clip(g, -limit, limit), exact=True, backend=backend)


@pytest.mark.parametrize("limit", LIMITS)
def test_by_norm(limit: float, backend: Any) -> None:
    out, grads = clipped(optim.clip_by_norm(limit), backend)
    for path, g in grads.items():
        assert_agrees(out[path], g * min(1.0, limit / norm([g])), rtol=1e-14, backend=backend)


@pytest.mark.parametrize("limit", LIMITS)
def test_by_global_norm(limit: float, backend: Any) -> None:
    out, grads = clipped(optim.clip_by_global_norm(limit), backend)
    total = norm(grads.values())
    for path, g in grads.items():
        assert_agrees(out[path], g * min(1.0, limit / total), rtol=1e-14, backend=backend)
    measured = optim.global_norm({path: backend.asarray(g) for path, g in grads.items()})
    assert backend.to_numpy(measured) == pytest.approx(total, rel=1e-14)


@pytest.mark.parametrize("limit", LIMITS)
def test_pytorch(limit: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its clipping is an outside definition")
    grads = gradient(parameters())

    def theirs(clip: Any, chosen: list[str]) -> dict[str, Any]:
        params = {path: torch.zeros(grads[path].shape, dtype=torch.float64) for path in chosen}
        for path, p in params.items():
            p.grad = torch.tensor(grads[path])
        clip(list(params.values()), limit)
        return {path: p.grad.numpy() for path, p in params.items()}

    utils = torch.nn.utils
    for transform, expected, slack in (
        (optim.clip_by_value(limit), theirs(utils.clip_grad_value_, list(grads)), 0.0),
        (optim.clip_by_global_norm(limit), theirs(utils.clip_grad_norm_, list(grads)), EPS / norm(grads.values())),
    ):
        out, _ = transform.transform(grads, {}, {})
        for path in grads:
            assert_agrees(out[path], expected[path], rtol=slack * 1.01 + 1e-14)
    for path, g in grads.items():
        out, _ = optim.clip_by_norm(limit).transform({path: g}, {}, {})
        assert_agrees(out[path], theirs(utils.clip_grad_norm_, [path])[path], rtol=EPS / norm([g]) * 1.01 + 1e-14)


@pytest.mark.parametrize("make", [optim.clip_by_value, optim.clip_by_norm, optim.clip_by_global_norm])
def test_zeros_stay_zeros_and_dtypes_stay(make: Any, backend: Any) -> None:
    wide, narrow = np.zeros((2, 2)), np.zeros(3, dtype=np.float32)
    out, _ = make(1.0).transform({"wide": backend.asarray(wide), "narrow": backend.asarray(narrow)}, {}, {})
    assert_agrees(out["wide"], wide, exact=True, backend=backend)
    assert_agrees(out["narrow"], narrow, exact=True, backend=backend)


@pytest.mark.parametrize("make", [optim.clip_by_norm, optim.clip_by_global_norm])
def test_within_the_bound_every_bit_is_kept(make: Any) -> None:
    grads = gradient(parameters())
    out, _ = make(1e3).transform(grads, {}, {})
    for path, g in grads.items():
        assert_agrees(np.asarray(out[path]), g, exact=True)


@pytest.mark.parametrize("make", [optim.clip_by_value, optim.clip_by_norm, optim.clip_by_global_norm])
def test_not_a_number_is_not_hidden(make: Any) -> None:
    out, _ = make(1.0).transform({"w": np.asarray([1.0, np.nan])}, {}, {})
    assert np.isnan(out["w"][1])


def test_no_gradients_at_all() -> None:
    for make in (optim.clip_by_value, optim.clip_by_norm, optim.clip_by_global_norm):
        assert make(1.0).transform({}, {}, {}) == ({}, {})


class Counting(optim.GradientTransform):
    """Divides by how often it was asked."""

    name = "counting"

    def init(self, params: Any) -> Any:
        return {"asked": 0}

    def transform(self, grads: Any, state: Any, params: Any) -> Any:
        asked = state["asked"] + 1
        return {path: g / asked for path, g in grads.items()}, {"asked": asked}


def test_a_chain_nests_the_states_by_position() -> None:
    params = parameters()
    optimizer = optim.chain(Counting(), optim.clip_by_global_norm(0.1), optim.SGD(0.1, momentum=0.9))
    state = optimizer.init(params)
    assert list(state) == ["step", "0", "1", "2"]
    assert (state["0"], state["1"], list(state["2"])) == ({"asked": 0}, {}, ["step", "v"])
    plain, plain_state = optim.SGD(0.1, momentum=0.9), optim.SGD(0.1, momentum=0.9).init(params)
    expected = params
    for asked in (1, 2, 3):
        grads = gradient(params)
        params, state = optimizer.update(grads, state, params)
        shares, _ = optim.clip_by_global_norm(0.1).transform({path: g / asked for path, g in grads.items()}, {}, {})
        expected, plain_state = plain.update(shares, plain_state, expected)
        for path in params:
            assert_agrees(params[path], expected[path], exact=True)
    assert (state["step"], state["0"], state["2"]["step"]) == (3, {"asked": 3}, 3)


def test_a_chain_inside_a_chain() -> None:
    optimizer = optim.chain(optim.clip_by_value(1.0), optim.chain(optim.clip_by_norm(0.5), optim.SGD(1.0)))
    params = {"w": np.asarray([0.0, 0.0])}
    params, state = optimizer.update({"w": np.asarray([9.0, 0.0])}, optimizer.init(params), params)
    assert params["w"].tolist() == [-0.5, 0.0]
    assert state["1"]["1"]["step"] == 1
    assert optimizer.rate(state) == 1.0


def test_a_state_that_is_not_of_the_chain() -> None:
    params = parameters()
    with pytest.raises(
        errors.StateError,
        match="chain: the state is not of this chain, expected the optimizer's state under '1', got the keys 'step'",
    ):
        optim.chain(optim.clip_by_value(1.0), optim.SGD(0.1)).update(gradient(params), {"step": 0}, params)
