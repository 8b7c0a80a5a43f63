"""Schedules against their formulas and against PyTorch's schedulers."""

import math
from typing import Any

import pytest
from cases.optimizers import OPTIMIZERS, SCHEDULES, ScheduleRow

from nnx import errors, optim

rows = pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in SCHEDULES.items()])
STEPS = 100


def torch_rates(make: Any, steps: int) -> list[float]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its schedulers are an outside definition")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler, rates = make(torch.optim.lr_scheduler, optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@rows
def test_formula(row: ScheduleRow) -> None:
    for step in range(2 * STEPS):
        assert row.ours(step) == pytest.approx(row.formula(step), rel=1e-12, abs=1e-17), step
        assert type(row.ours(step)) is float


@pytest.mark.parametrize("name", [name for name, row in SCHEDULES.items() if row.torch])
def test_pytorch(name: str) -> None:
    # CosineAnnealingLR multiplies as it goes and loses digits near its end: hence the absolute part.
    row = SCHEDULES[name]
    assert [row.ours(step) for step in range(STEPS)] == pytest.approx(
        torch_rates(row.torch, STEPS), rel=1e-10, abs=1e-15
    )


def test_pytorch_or_a_reason() -> None:
    assert [name for name, row in SCHEDULES.items() if (row.torch is None) != bool(row.why)] == []


def test_by_epoch_a_decay_is_constant_within_an_epoch() -> None:
    schedule = optim.ExponentialDecay(1.0, factor=0.5).bind(steps_per_epoch=3)
    assert [schedule(step) for step in range(7)] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]


def test_by_epoch_a_cosine_moves_within_an_epoch() -> None:
    by_epoch, by_step = optim.CosineDecay(1.0, length=5).bind(10), optim.CosineDecay(1.0, length=50, per="step")
    assert [by_epoch(step) for step in range(60)] == pytest.approx([by_step(step) for step in range(60)], abs=1e-15)


def test_a_decay_after_a_warm_up_counts_its_own_epochs() -> None:
    schedule = optim.Warmup(optim.StepDecay(1.0, every=2, factor=0.5), length=1.5).bind(4)
    assert [schedule(step) for step in (0, 3, 6, 13, 14, 22)] == [0.0, 0.5, 1.0, 1.0, 0.5, 0.25]


def test_by_epoch_needs_the_steps_of_an_epoch() -> None:
    with pytest.raises(
        errors.ConfigError, match=r"StepDecay: a schedule by epoch was asked for a step.*bind\(steps_per_epoch\)"
    ):
        optim.StepDecay(0.1)(0)
    warm = optim.Warmup(optim.StepDecay(0.1), length=2)
    assert warm.bind(7).then.steps_per_epoch == 7
    assert optim.StepDecay(0.1).bind(7).bind(8).steps_per_epoch == 8


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_binds_all_its_schedules(name: str) -> None:
    optimizer = OPTIMIZERS[name].make(optim.InverseDecay(0.5, rate=1.0))
    state = optimizer.init({})
    with pytest.raises(errors.ConfigError, match="asked for a step"):
        optimizer.rate(state)
    assert optimizer.with_steps_per_epoch(3).rate(state) == 0.5
    assert OPTIMIZERS[name].make(0.5).with_steps_per_epoch(3).rate(state) == 0.5


def test_a_momentum_schedule_by_epoch_is_bound_too() -> None:
    optimizer = optim.SGD(0.1, momentum=optim.Linear(0.5, end=0.99, length=20)).with_steps_per_epoch(10)
    assert optimizer.numbers(100, 0.1, False) == (0.1, 0.745)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: optim.StepDecay(0.1, per="batch"), r'StepDecay: per is unknown, expected "step" or "epoch", got \'batch\''),
        (lambda: optim.StepDecay(0.1, every=0), r"every is out of range, expected a whole number >= 1, got 0"),
        (lambda: optim.StepDecay(0.1, every=1.5), r"every is out of range"),
        (lambda: optim.StepDecay(0.1, factor=0), r"factor is out of range"),
        (lambda: optim.StepDecay(-0.1), r"StepDecay: learning_rate is out of range"),
        (lambda: optim.StepDecay(0.1).bind(0), r"steps_per_epoch is out of range, expected a whole number >= 1, got 0"),
        (lambda: optim.Constant(math.inf), r"Constant: learning_rate is not a number"),
        (lambda: optim.ExponentialDecay(0.1), r"expected rate or factor, one of them, got neither"),
        (lambda: optim.ExponentialDecay(0.1, rate=0.1, factor=0.9), r"expected rate or factor, one of them, got both"),
        (lambda: optim.ExponentialDecay(0.1, rate=-1), r"rate is out of range"),
        (lambda: optim.InverseDecay(0.1, rate=-0.1), r"rate is out of range"),
        (lambda: optim.InverseRootDecay(0.1, scale=0), r"scale is out of range"),
        (lambda: optim.Table(0.1, rates=()), r"expected pairs of time and rate"),
        (lambda: optim.Table(0.1, rates=((5, 0.1), (5, 0.2))), r"expected times that rise, got \[5, 5\]"),
        (lambda: optim.Table(0.1, rates=((5, 0.0),)), r"a rate is out of range"),
        (lambda: optim.Linear(-0.5, end=0.9, length=10), r"start is out of range"),
        (lambda: optim.CosineDecay(0.1, length=0), r"length is out of range"),
        (lambda: optim.Warmup(0.1, length=5), r"Warmup: expected a schedule per epoch to follow, got 0\.1"),
        (lambda: optim.Warmup(optim.Constant(0.1, per="step"), length=5), r"expected a schedule per epoch to follow"),
        (lambda: optim.Warmup(optim.Constant(0.1), length=5, start=1.0), r"start is out of range"),
        (lambda: optim.OneCycle(0.1, length=10, rise=1.0), r"rise is out of range"),
        (lambda: optim.ReduceOnPlateau(factor=1.0), r"ReduceOnPlateau: factor is out of range"),
        (lambda: optim.ReduceOnPlateau(factor=0.0), r"ReduceOnPlateau: factor is out of range"),
        (lambda: optim.ReduceOnPlateau(mode="least"), r'mode is unknown, expected "min" or "max"'),
        (lambda: optim.ReduceOnPlateau(patience=-1), r"patience is out of range"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_when_the_schedule_is_made(make: Any, sentence: str) -> None:
    with pytest.raises(errors.ConfigError, match=sentence):
        make()


@pytest.mark.parametrize("mode, sign", [("min", 1.0), ("max", -1.0)])
@pytest.mark.parametrize("cooldown, floor", [(0, 0.0), (2, 0.0), (1, 0.2)])
def test_plateau_reduces_when_pytorch_does(mode: str, sign: float, cooldown: int, floor: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: its schedulers are an outside definition")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    settings = {"factor": 0.5, "patience": 2, "threshold": 0.01, "cooldown": cooldown}
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, min_lr=floor, eps=0.0, **settings)
    ours = optim.ReduceOnPlateau(mode=mode, floor=floor, **settings)
    state, seen = ours.init(), []
    for step in range(60):
        value = 2.0 + sign * math.cos(0.3 * step) * math.exp(-0.02 * step) + 0.001 * sign * step
        theirs.step(value)
        state = ours.observe(value, state)
        assert state["factor"] == optimizer.param_groups[0]["lr"], step
        seen.append(state["factor"])
    assert len(set(seen)) > 2


def test_a_value_that_is_no_number_is_no_improvement() -> None:
    plateau = optim.ReduceOnPlateau(patience=0, factor=0.5)
    state = plateau.observe(math.nan, plateau.init())
    assert state == {"factor": 0.5, "best": None, "bad": 0, "resting": 0}
