"""What every optimizer promises: nothing in place, errors that name the path, a state that survives being saved."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from cases.optimizers import OPTIMIZERS
from optim.problem import gradient, parameters, run
from support.compare import assert_agrees

import nnx
from nnx import backends, errors, optim, tree
from nnx.optim import base

every = pytest.mark.parametrize("name", OPTIMIZERS)


@every
def test_inputs_are_left_alone(name: str) -> None:
    optimizer, params = OPTIMIZERS[name].make(0.05), parameters()
    grads, state = gradient(params), optimizer.init(params)
    arrays = [leaf for leaf in tree.leaves([params, grads, state]) if isinstance(leaf, np.ndarray)]
    for array in arrays:
        array.flags.writeable = False
    before, plain = [array.tobytes() for array in arrays], repr(state)
    optimizer.update(grads, state, params)
    assert [array.tobytes() for array in arrays] == before
    assert repr(state) == plain


@every
def test_a_saved_state_continues_bit_for_bit(name: str) -> None:
    optimizer = OPTIMIZERS[name].make(0.05)
    params, state = run(optimizer, 5, backends.get("numpy"))
    saved = {path: leaf.tobytes() if isinstance(leaf, np.ndarray) else leaf for path, leaf in tree.paths(state)}
    assert all(isinstance(leaf, (bytes, int)) for leaf in saved.values())
    restored: dict[str, Any] = {}
    for path, leaf in tree.paths(
        state
    ):  # rebuilt from nothing but names and values; empty branches are lost on the way
        keys = next(keys for keys in spellings(state) if ".".join(keys) == path)
        branch = restored
        for key in keys[:-1]:
            branch = branch.setdefault(key, {})
        branch[keys[-1]] = np.array(leaf) if isinstance(leaf, np.ndarray) else json.loads(json.dumps(leaf))
    grads = gradient(params)
    for array, expected in zip(
        tree.leaves(optimizer.update(grads, restored, params)),
        tree.leaves(optimizer.update(grads, state, params)),
        strict=True,
    ):
        assert_agrees(np.asarray(array), np.asarray(expected), exact=True)


def spellings(branch: Any, before: tuple[str, ...] = ()) -> Any:
    """Each leaf's keys, which may hold dots themselves."""
    if isinstance(branch, dict):
        for key, inner in branch.items():
            yield from spellings(inner, (*before, key))
    else:
        yield before


@every
def test_shape_dtype_device_and_kind_are_kept(name: str, backend: Any) -> None:
    optimizer = OPTIMIZERS[name].make(0.05)
    params = {path: backend.asarray(p) for path, p in parameters().items()}
    updated, state = optimizer.update(
        {path: backend.asarray(g) for path, g in gradient(parameters()).items()}, optimizer.init(params), params
    )
    for path, p in params.items():
        assert type(updated[path]) is type(p)
        assert updated[path].shape == p.shape
    for array in tree.leaves([updated, state]):
        if not isinstance(array, int):
            assert backends.of(array) is backend
    assert list(updated) == list(params)


def test_missing_and_unknown_gradients_are_named() -> None:
    optimizer, params = optim.SGD(0.1), parameters()
    grads, state = gradient(params), optimizer.init(params)
    missing = {path: g for path, g in grads.items() if path != "gain"}
    with pytest.raises(
        errors.StateError,
        match=r"^SGD.update: grads does not fit the parameters, expected one array for each of the 6 parameters, got none for gain\. Pass",
    ):
        optimizer.update(missing, state, params)
    with pytest.raises(errors.StateError, match=r"got none for gain and unknown third\.bias"):
        optimizer.update(missing | {"third.bias": grads["gain"]}, state, params)
    with pytest.raises(errors.StateError, match=r"none for first\.bias, first\.weight, gain and 3 more"):
        optimizer.update({}, state, params)


def test_a_gradient_of_another_shape_dtype_or_library_is_refused() -> None:
    optimizer, params = optim.Adam(), parameters()
    grads, state = gradient(params), optimizer.init(params)
    with pytest.raises(
        errors.ShapeError,
        match=r"gradient of first\.bias is not like its parameter, expected shape \(7,\), got \(1, 7\)",
    ):
        optimizer.update(grads | {"first.bias": grads["first.bias"][None, :]}, state, params)
    with pytest.raises(errors.ShapeError, match=r"gradient of gain .* got None"):
        optimizer.update(grads | {"gain": None}, state, params)
    with pytest.raises(errors.DtypeError, match=r"gradient of gain .* expected float64, got float32"):
        optimizer.update(grads | {"gain": grads["gain"].astype(np.float32)}, state, params)
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    with pytest.raises(
        errors.MixedArraysError, match=r"gradient of gain .* expected numpy\.ndarray, got array_api_strict"
    ):
        optimizer.update(grads | {"gain": strict.asarray(0.5, dtype=strict.float64)}, state, params)


def test_a_state_of_something_else_is_refused() -> None:
    params = parameters()
    grads = gradient(params)
    with pytest.raises(
        errors.StateError,
        match=r"Adam.update: the state is not of this optimizer, expected the keys step, m, v, got none for m, v",
    ):
        optim.Adam().update(grads, optim.SGD(0.1).init(params), params)
    with pytest.raises(errors.StateError, match="got none for step"):
        optim.SGD(0.1).update(grads, {}, params)
    state = optim.Adam().init(params)
    with pytest.raises(errors.StateError, match=r"state\['m'\] does not fit the parameters.* got none for gain"):
        optim.Adam().update(grads, state | {"m": {path: m for path, m in state["m"].items() if path != "gain"}}, params)


def test_whole_numbers_are_not_trained() -> None:
    with pytest.raises(
        errors.DtypeError,
        match=r"Adam.init: table cannot be trained, expected float32 or float64, got int64\. Make it a buffer",
    ):
        optim.Adam().init({"table": np.zeros(3, dtype=np.int64)})


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: optim.SGD(0.0), r"SGD: learning_rate is out of range, expected a number > 0, got 0\.0\. Pass for example learning_rate=1e-3"),
        (lambda: optim.Adam(float("nan")), r"learning_rate is not a number, expected a number > 0, got nan"),
        (lambda: optim.Adam("1e-3"), r"learning_rate is not a number.* got '1e-3'"),
        (lambda: optim.Adam(True), r"learning_rate is not a number.* got True"),
        (lambda: optim.SGD(0.1, momentum=1.0), r"momentum is out of range, expected a number in \[0, 1\), got 1\.0"),
        (lambda: optim.SGD(0.1, nesterov=True), r"expected a momentum > 0 for this form"),
        (lambda: optim.SGD(0.1, momentum=0.9, nesterov=1), r"nesterov is not a switch, expected True or False, got 1"),
        (lambda: optim.SGD(0.1, momentum=0.9, nesterov=True, averaged=True), r"expected one form of momentum, got nesterov and averaged"),
        (lambda: optim.SGDW(0.1, momentum=1.0), r"SGDW: momentum is out of range, expected a number in \[0, 1\), got 1\.0"),
        (lambda: optim.SGDW(0.1, weight_decay=-0.1), r"SGDW: weight_decay is out of range, expected a number >= 0, got -0\.1"),
        (lambda: optim.SGDW(0.1, applies_to="kernels"), r"SGDW: applies_to is unknown, .* got 'kernels'"),
        (lambda: optim.Adagrad(eps=0.0), r"Adagrad: eps is out of range"),
        (lambda: optim.RMSprop(rho=1.5), r"RMSprop: rho is out of range"),
        (lambda: optim.RMSprop(momentum=-0.1), r"RMSprop: momentum is out of range"),
        (lambda: optim.RMSprop(centered="yes"), r"RMSprop: centered is not a switch"),
        (lambda: optim.Adam(beta1=1.0), r"Adam: beta1 is out of range"),
        (lambda: optim.Adam(beta2=-0.1), r"Adam: beta2 is out of range"),
        (lambda: optim.Adam(amsgrad=0), r"Adam: amsgrad is not a switch"),
        (lambda: optim.AdamW(eps=-1e-8), r"AdamW: eps is out of range"),
        (lambda: optim.AdamW(applies_to=()), r"AdamW: applies_to is unknown"),
        (lambda: optim.Constrained(optim.SGD(0.1), max_norm=0.0), r"MaxNorm: limit is out of range"),
        (lambda: optim.Constrained("sgd", max_norm=1.0), r"Constrained: optimizer is of the wrong kind, expected a Optimizer, got 'sgd'"),
        (lambda: optim.chain(), r"chain: expected an optimizer, got nothing"),
        (lambda: optim.chain(optim.SGD(0.1), optim.clip_by_value(1.0)), r"chain: the last of the chain is of the wrong kind"),
        (lambda: optim.chain(optim.SGD(0.1), optim.SGD(0.1)), r"chain: link 0 is of the wrong kind, expected a GradientTransform"),
        (lambda: optim.clip_by_norm(0.0), r"clip_by_norm: limit is out of range"),
        (lambda: optim.clip_by_value(-1.0), r"clip_by_value: limit is out of range"),
        (lambda: optim.clip_by_global_norm("1"), r"clip_by_global_norm: limit is not a number"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_when_the_optimizer_is_made(make: Any, sentence: str) -> None:
    with pytest.raises(errors.ConfigError, match=sentence):
        make()


MADE = (
    *(kind(0.1) for kind in optim.OPTIMIZERS.values()),
    *(kind(1.0) for kind in (optim.clip_by_value, optim.clip_by_norm, optim.clip_by_global_norm, optim.Constant)),
    *(kind() for kind in (optim.LBFGS, optim.ReduceOnPlateau, optim.penalize)),
    *(kind(0.1, length=5) for kind in (optim.CosineDecay, optim.OneCycle)),
    optim.StepDecay(0.1),
    optim.ExponentialDecay(0.1, rate=0.5),
    optim.ExponentialDecay(0.1, factor=0.5),
    optim.InverseDecay(0.1, rate=0.5),
    optim.InverseRootDecay(0.1),
    optim.Linear(0.5, end=1.0, length=5),
    optim.Warmup(optim.Constant(0.1), length=5),
)


@pytest.mark.parametrize("made", MADE, ids=[made.name for made in MADE])
def test_every_number_is_checked(made: Any) -> None:
    for name, value in vars(made).items():
        if type(value) in (int, float):
            with pytest.raises(errors.ConfigError, match=rf": {name} is (not a number|out of range)"):
                replace(made, **{name: float("nan")})


def test_what_is_not_said() -> None:
    adam = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    for made, settings in (
        (optim.Adam(), {**adam, "amsgrad": False}),
        (optim.AdamW(), {**adam, "weight_decay": 0.01}),
        (optim.RMSprop(), {"learning_rate": 1e-3, "rho": 0.9, "eps": 1e-8, "centered": False, "momentum": 0.0}),
        (optim.Adagrad(), {"learning_rate": 1e-2, "eps": 1e-10}),
        (optim.SGD(0.1), {"momentum": 0.0, "nesterov": False, "averaged": False}),
        (optim.SGDW(0.1), {"momentum": 0.9, "nesterov": False, "weight_decay": 0.01}),
        (optim.StepDecay(0.1), {"per": "epoch", "every": 20, "factor": 0.1}),
        (optim.CosineDecay(0.1, length=5), {"per": "epoch", "floor": 0.0}),
        (optim.OneCycle(0.1, length=5), {"rise": 0.3, "start": 0.04, "end": 4e-6}),
        (optim.ReduceOnPlateau(), {"factor": 0.1, "patience": 10, "threshold": 1e-4, "cooldown": 0, "floor": 0.0}),
        (optim.LBFGS(), {"history": 10, "c1": 1e-4, "c2": 0.9, "evaluations": 25, "tolerance": 1e-5}),
    ):
        assert settings.items() <= vars(made).items()


@every
def test_a_rate_below_0_is_refused(name: str) -> None:
    made = OPTIMIZERS[name].make(1)
    kind = type(getattr(made, "optimizer", made)).__name__
    with pytest.raises(errors.ConfigError, match=f"^{kind}: learning_rate is out of range, .*got -1"):
        OPTIMIZERS[name].make(-1)


def test_a_rule_is_fused_once_for_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Counting:
        name = "counting"

        def fuse(self, rule: Any) -> Any:
            made.append(rule)
            return rule

    monkeypatch.setattr(base, "_fused", {})
    for _ in range(3):
        base.fused(Counting(), optim.Adam().rule())
    base.fused(Counting(), optim.SGD(0.1).rule())
    assert made == [optim.Adam().rule(), optim.SGD(0.1).rule()]


@every
def test_only_python_floats_reach_a_rule(name: str) -> None:
    optimizer = OPTIMIZERS[name].make(np.float32(0.05))
    inner = getattr(optimizer, "optimizer", optimizer)
    numbers = inner.numbers(0, inner.rate({"step": 0}), True)
    assert {type(number) for number in numbers} == {float}


@dataclass(frozen=True)
class Halves(optim.Schedule):
    def at(self, t: float) -> float:
        return np.float64(0.5)


def test_what_a_schedule_gives_becomes_a_python_float() -> None:
    optimizer = optim.SGD(Halves(per="step"), momentum=Halves(per="step"))
    assert {type(number) for number in optimizer.numbers(0, optimizer.rate({"step": 0}), False)} == {float}


def test_host_scalars_of_another_kind_do_not_widen_the_parameters() -> None:
    params = {"w": np.ones((2, 2), dtype=np.float32)}
    for optimizer in (
        optim.SGD(np.float64(0.1), momentum=np.float64(0.9)),
        optim.AdamW(np.float64(0.1), weight_decay=np.float64(0.1)),
    ):
        updated, state = optimizer.update(params, optimizer.init(params), params)
        assert {array.dtype for array in tree.leaves([updated, state]) if hasattr(array, "dtype")} == {
            np.dtype("float32")
        }


def test_biases_are_not_decayed_unless_asked() -> None:
    params = {"layer.weight": np.ones((2, 2)), "layer.bias": np.ones(2)}
    still = {path: np.zeros_like(p) for path, p in params.items()}

    def decayed(applies_to: Any) -> list[str]:
        optimizer = optim.AdamW(0.1, weight_decay=0.5, applies_to=applies_to)
        updated, _ = optimizer.update(still, optimizer.init(params), params)
        return [path for path in params if not np.array_equal(updated[path], params[path])]

    assert decayed("weights") == ["layer.weight"]
    assert decayed("all") == ["layer.weight", "layer.bias"]
    assert decayed(("*.bias",)) == ["layer.bias"]
    assert decayed(lambda path, p: p.ndim == 1) == ["layer.bias"]


def test_no_parameters_at_all() -> None:
    assert optim.Adam().update({}, optim.Adam().init({}), {}) == ({}, {"step": 1, "m": {}, "v": {}})


def test_a_rate_factor_lowers_the_rate_and_lasts() -> None:
    params = {"w": np.asarray([1.0])}
    for optimizer in (
        optim.SGD(0.5),
        optim.chain(optim.clip_by_value(9.0), optim.SGD(0.5)),
        optim.Constrained(optim.SGD(0.5), max_norm=9.0),
    ):
        state = optimizer.with_rate_factor(optimizer.init(params), 0.5)
        assert optimizer.rate(state) == 0.25
        updated, state = optimizer.update({"w": np.asarray([1.0])}, state, params)
        assert updated["w"].tolist() == [0.75]
        assert optimizer.rate(state) == 0.25
    with pytest.raises(errors.ConfigError, match="SGD: factor is out of range"):
        optim.SGD(0.5).with_rate_factor({"step": 0}, 0.0)


@every
def test_steps_can_be_differentiated(name: str, backend: Any) -> None:
    optimizer, start = OPTIMIZERS[name].make(0.05), np.asarray([[0.5, 1.5], [-0.7, 0.2]])

    def after_two_steps(w: Any) -> Any:
        params, state = {"w": w}, optimizer.init({"w": w})
        for _ in range(2):
            params, state = optimizer.update({"w": params["w"] * params["w"] * params["w"]}, state, params)
        return nnx.namespace(params["w"]).sum(params["w"] * params["w"])

    slope = backend.to_numpy(nnx.grad(after_two_steps)(backend.asarray(start)))
    for index in np.ndindex(start.shape):
        ends = []
        for h in (1e-6, -1e-6):
            there = start.copy()
            there[index] += h
            ends.append(after_two_steps(there))
        assert slope[index] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-8)


def test_another_rate_with_the_same_state() -> None:
    params = parameters()
    made = optim.Constrained(optim.chain(optim.clip_by_value(1.0), optim.Adam(0.5)), max_norm=3.0)
    params, state = made.update(gradient(params), made.init(params), params)
    other = optim.with_learning_rate(made, 0.01)
    assert other.rate(state) == 0.01
    by_factor = made.update(gradient(params), made.with_rate_factor(state, 0.01 / 0.5), params)[0]
    for path, array in other.update(gradient(params), state, params)[0].items():
        assert_agrees(array, by_factor[path], rtol=1e-12)
    with pytest.raises(errors.ConfigError, match=r"learning_rate is out of range, expected a number > 0, got -1"):
        optim.with_learning_rate(made, -1)
    with pytest.raises(errors.ConfigError, match=r"expected an optimizer with a learning rate, got LBFGS"):
        optim.with_learning_rate(optim.LBFGS(), 0.1)  # type: ignore[arg-type]
