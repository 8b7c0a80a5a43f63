"""Fifty steps of every optimizer of the table against its definition from outside."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from cases.optimizers import OPTIMIZERS, Row
from optim.problem import gradient, parameters, run
from support.compare import assert_agrees

from nnx import backends, optim, tree
from nnx.optim import base

STEPS = 50
rows = pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in OPTIMIZERS.items()])


def by_reference(row: Row, rate: Any = None) -> dict[str, Any]:
    params, memory = parameters(), {path: defaultdict(float) for path in parameters()}
    everything = getattr(row.make(1.0), "applies_to", "weights") == "all"
    for t in range(1, STEPS + 1):
        grads, α = gradient(params), row.rate if rate is None else rate(t - 1)
        params = {
            path: np.asarray(row.reference(t, w, grads[path], memory[path], α, row.decay * (everything or w.ndim >= 2)))
            for path, w in params.items()
        }
    return params


def by_torch(row: Row, scheduler: Any = None) -> dict[str, Any]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its trajectories are the outside definition")
    params = {path: torch.tensor(p, requires_grad=True) for path, p in parameters().items()}
    assert row.torch is not None
    optimizer = row.torch(list(params.values()), row.rate)
    schedule = scheduler(torch.optim.lr_scheduler, optimizer) if scheduler else None
    for _ in range(STEPS):
        grads = gradient({path: p.detach().numpy() for path, p in params.items()})
        for path, p in params.items():
            p.grad = torch.tensor(grads[path])
        optimizer.step()
        if schedule:
            schedule.step()
    return {path: p.detach().numpy() for path, p in params.items()}


def assert_same(params: dict[str, Any], expected: dict[str, Any], rtol: float, **kind: Any) -> float:
    return max(assert_agrees(params[path], expected[path], rtol=rtol, what=f"{path}: ", **kind)[0] for path in expected)


@rows
def test_reference_loop(row: Row) -> None:
    params, state = run(row.make(row.rate), STEPS, backends.get("numpy"))
    assert_same(params, by_reference(row), rtol=1e-10)
    assert state["step"] == STEPS


@pytest.mark.parametrize("name", [name for name, row in OPTIMIZERS.items() if row.torch])
def test_pytorch(name: str, record_disagreement: Any) -> None:
    row = OPTIMIZERS[name]
    params, _ = run(row.make(row.rate), STEPS, backends.get("numpy"))
    worst = assert_same(params, by_torch(row), rtol=1e-10)
    record_disagreement(f"optim {name} against PyTorch", "numpy", "float64", worst, 1e-10)


def test_pytorch_or_a_reason() -> None:
    assert [name for name, row in OPTIMIZERS.items() if (row.torch is None) != bool(row.why)] == []


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rmsprop", "adam", "adamw"])
def test_pytorch_with_a_schedule(name: str) -> None:
    row = OPTIMIZERS[name]
    schedule = optim.StepDecay(row.rate, every=3, factor=0.7).bind(steps_per_epoch=5)
    expected = by_torch(row, lambda lr, optimizer: lr.StepLR(optimizer, step_size=15, gamma=0.7))
    assert_same(run(row.make(schedule), STEPS, backends.get("numpy"))[0], expected, rtol=1e-10)


def test_a_velocity_keeps_its_speed_when_the_rate_changes() -> None:
    row, schedule = OPTIMIZERS["sgd momentum"], optim.StepDecay(0.05, every=10, factor=0.5, per="step")
    params, _ = run(row.make(schedule), STEPS, backends.get("numpy"))
    assert_same(params, by_reference(row, schedule), rtol=1e-10)
    with pytest.raises(AssertionError, match="disagree"):
        assert_same(params, by_torch(row, lambda lr, o: lr.StepLR(o, step_size=10, gamma=0.5)), rtol=1e-10)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_backend_follows_numpy(name: str, backend: Any, record_disagreement: Any) -> None:
    row = OPTIMIZERS[name]
    params, state = run(row.make(row.rate), STEPS, backend)
    expected, _ = run(row.make(row.rate), STEPS, backends.get("numpy"))
    worst = assert_same(params, expected, rtol=1e-11, backend=backend)
    record_disagreement(f"optim {name}, {STEPS} steps", backend.spec, "float64", worst, 1e-11)
    assert state["step"] == STEPS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float32_stays_float32(name: str, backend: Any) -> None:
    row = OPTIMIZERS[name]
    params, state = run(row.make(row.rate), 3, backend, dtype="float32")
    expected, _ = run(row.make(row.rate), 3, backends.get("numpy"))
    for path, p in params.items():
        assert_agrees(p, expected[path], rtol=2e-5, scale=1.0, backend=backend, dtype="float32", what=path)
    slots = [
        array for slot in state.values() if isinstance(slot, dict) for array in slot.values() if hasattr(array, "dtype")
    ]
    assert {str(array.dtype).rpartition(".")[2] for array in slots} <= {"float32"}


def planted(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Every rule runs with this change to it: change(rule, xp, arguments) -> what it returns."""
    monkeypatch.setattr(base, "fused", lambda backend, rule: lambda xp, *arguments: change(rule, xp, list(arguments)))


@rows
def test_a_step_off_by_a_thousandth_is_caught(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    def longer(rule: Any, xp: Any, arguments: list[Any]) -> Any:
        p, *slots = rule(xp, *arguments)
        return arguments[0] + 1.001 * (p - arguments[0]), *slots

    expected = by_reference(row)
    planted(monkeypatch, longer)
    with pytest.raises(AssertionError, match="disagree"):
        assert_same(run(row.make(row.rate), STEPS, backends.get("numpy"))[0], expected, rtol=1e-10)


@rows
def test_a_number_off_by_a_thousandth_is_caught(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = row.make(row.rate)
    inner = getattr(optimizer, "optimizer", optimizer)
    expected = by_reference(row)
    first = 2 + len(inner.kept())
    for index, number in enumerate(inner.numbers(1, row.rate, False), first):
        if not number:
            continue

        def off(rule: Any, xp: Any, arguments: list[Any], index: int = index) -> Any:
            arguments[index] = arguments[index] * 1.001
            return rule(xp, *arguments)

        planted(monkeypatch, off)
        with pytest.raises(AssertionError, match="disagree"):
            assert_same(run(optimizer, STEPS, backends.get("numpy"))[0], expected, rtol=1e-10)


def bowl(x: Any) -> tuple[float, Any]:
    scales = np.asarray([[1.0, 10.0]])
    return float(np.sum(scales * x * x)) / 2, scales * x


def rosenbrock(x: Any) -> tuple[float, Any]:
    a, b = x[0, 0], x[0, 1]
    return float((1 - a) ** 2 + 100 * (b - a * a) ** 2), np.asarray(
        [[-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)]]
    )


def minimise(optimizer: Any, f: Any, x: Any, steps: int) -> tuple[float, Any]:
    params = {"x": np.asarray([x])}
    state = optimizer.init(params)
    for _ in range(steps):
        params, state = optimizer.update({"x": f(params["x"])[1]}, state, params)
    return f(params["x"])[0], params["x"]


@rows
def test_reaches_the_bottom_of_an_elongated_bowl(row: Row) -> None:
    value, _ = minimise(row.make(row.bowl), bowl, [1.0, 0.5], 2000)
    assert value < 1e-4 * bowl(np.asarray([[1.0, 0.5]]))[0]


@rows
def test_follows_the_valley_of_rosenbrock(row: Row) -> None:
    value, x = minimise(row.make(row.valley), rosenbrock, [-1.0, 1.0], row.steps)
    assert value < 0.05, x  # it begins at 4; also where decay or a constraint moves the minimum a little


@pytest.mark.skip_backends("jax", reason="has one compiled rule for arrays of any size")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_large_arrays_go_through_the_fused_rule(
    name: str, dtype: str, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.Generator(np.random.Philox(key=[0, 11]))
    params = {"weight": backend.asarray(rng.normal(size=(200, 200)), dtype=dtype)}
    grads = [{"weight": backend.asarray(0.1 * rng.normal(size=(200, 200)), dtype=dtype)} for _ in range(3)]

    def three_steps() -> tuple[Any, Any]:
        optimizer, now = OPTIMIZERS[name].make(0.01), params
        state = optimizer.init(now)
        for g in grads:
            now, state = optimizer.update(g, state, now)
        return now["weight"], [array for path, array in tree.paths(state) if hasattr(array, "dtype")]

    fused, slots = three_steps()
    optimizer = OPTIMIZERS[name].make(0.01)
    rule = base.fused(backend, getattr(optimizer, "optimizer", optimizer).rule())
    assert getattr(rule, "declined", "") == ""
    monkeypatch.setattr(base, "fused", lambda backend, rule: rule)
    plain, plain_slots = three_steps()
    eps = 2.0**-23 if dtype == "float32" else 2.0**-52
    for array, expected in ((fused, plain), *zip(slots, plain_slots, strict=True)):
        assert_agrees(array, expected, rtol=0.0 if backend.name == "numpy" else 8 * eps, scale=1.0)
