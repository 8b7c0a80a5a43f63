"""The table of optimizers, schedules and gradient transforms, each with its definition from outside.

``reference`` is an independent NumPy loop over one parameter, written from the paper: ``(t, w, g, memory, α, λ) -> w`` with t from 1,
``memory`` a dictionary that starts at zeros, and λ the weight decay where it applies and 0 elsewhere. ``torch`` makes
PyTorch's optimizer; where it is None, ``why`` says how PyTorch's definition differs.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nnx import optim


class Row(NamedTuple):
    covers: tuple[str, ...]
    make: Callable[[Any], Any]
    reference: Callable[..., Any]
    torch: Callable[[list[Any], float], Any] | None
    why: str = ""
    rate: float = 0.05
    decay: float = 0.0
    bowl: float = 0.05
    valley: float = 0.001
    steps: int = 4000


def _torch(name: str, **settings: Any) -> Callable[[list[Any], float], Any]:
    def make(params: list[Any], rate: float) -> Any:
        import torch

        return getattr(torch.optim, name)(params, lr=rate, foreach=False, **settings)

    return make


def descent(t, w, g, memory, α, λ):
    return w - α * (g + λ * w)


def momentum(t, w, g, memory, α, λ, μ=0.9):
    memory["v"] = μ * memory["v"] - α * g
    return w + memory["v"] - α * λ * w


def annealed(t, w, g, memory, α, λ):
    return momentum(t, w, g, memory, α, λ, μ=min(0.5 + 0.04 * (t - 1), 0.9))


def nesterov(t, w, g, memory, α, λ):
    # The notes' form: look back at the velocity before, w += −μ v_before + (1 + μ) v.
    before = memory["v"]
    memory["v"] = 0.9 * before - α * g
    return w - 0.9 * before + 1.9 * memory["v"] - α * λ * w


def averaged(t, w, g, memory, α, λ):
    memory["V"] = 0.9 * memory["V"] + (1 - 0.9) * g
    return w - α * memory["V"]


def adagrad(t, w, g, memory, α, λ):
    memory["cache"] = memory["cache"] + g**2
    return w - α * g / (np.sqrt(memory["cache"]) + 1e-4)


def rmsprop(centered: bool, with_momentum: bool) -> Callable[..., Any]:
    def step(t, w, g, memory, α, λ):
        memory["s"] = memory["s"] + 0.05 * (g**2 - memory["s"])
        memory["a"] = memory["a"] + 0.05 * (g - memory["a"])
        variance = memory["s"] - memory["a"] ** 2 if centered else memory["s"]
        memory["b"] = (0.8 * memory["b"] if with_momentum else 0.0) + g / (np.sqrt(variance) + 1e-4)
        return w - α * memory["b"]

    return step


def adam(t, w, g, memory, α, λ):
    memory["m"] = memory["m"] + 0.2 * (g - memory["m"])
    memory["v"] = memory["v"] + 0.01 * (g**2 - memory["v"])
    return w - α * (memory["m"] / (1 - 0.8**t)) / (np.sqrt(memory["v"] / (1 - 0.99**t)) + 1e-4) - α * λ * w


def amsgrad(t, w, g, memory, α, λ):
    memory["m"] = memory["m"] + 0.2 * (g - memory["m"])
    memory["v"] = memory["v"] + 0.01 * (g**2 - memory["v"])
    memory["u"] = np.where(memory["u"] > memory["v"], memory["u"], memory["v"])
    return w - α * (memory["m"] / (1 - 0.8**t)) / (np.sqrt(memory["u"] / (1 - 0.99**t)) + 1e-4)


def constrained(t, w, g, memory, α, λ):
    w = w - α * g
    if w.ndim < 2:
        return w
    units = [w[..., k] for k in range(w.shape[-1])]
    return np.stack([u * min(1.0, 1.2 / np.linalg.norm(u)) for u in units], axis=-1)


def clipped(t, w, g, memory, α, λ):
    return w - α * np.clip(g, -0.1, 0.1)


MOMENTS = {"beta1": 0.8, "beta2": 0.99, "eps": 1e-4}
BETAS = {"betas": (0.8, 0.99), "eps": 1e-4}

OPTIMIZERS: dict[str, Row] = {
    "sgd": Row(("SGD",), optim.SGD, descent, _torch("SGD"), bowl=0.1),
    "sgd momentum": Row(("SGD",), lambda α: optim.SGD(α, momentum=0.9), momentum, _torch("SGD", momentum=0.9)),
    "sgd nesterov": Row(
        ("SGD",),
        lambda α: optim.SGD(α, momentum=0.9, nesterov=True),
        nesterov,
        _torch("SGD", momentum=0.9, nesterov=True),
    ),
    "sgd averaged": Row(
        ("SGD",),
        lambda α: optim.SGD(α, momentum=0.9, averaged=True),
        averaged,
        None,
        "PyTorch's dampening leaves the first gradient undamped",
        rate=0.2,
        valley=0.002,
    ),
    "sgd annealed momentum": Row(
        ("SGD", "Linear"),
        lambda α: optim.SGD(α, momentum=optim.Linear(0.5, end=0.9, length=10, per="step")),
        annealed,
        None,
        "PyTorch has no schedule for a momentum alone",
    ),
    "sgdw": Row(
        ("SGDW",),
        lambda α: optim.SGDW(α, momentum=0.9, weight_decay=0.1),
        momentum,
        None,
        "PyTorch has no SGDW: its weight_decay passes through the velocity",
        decay=0.1,
    ),
    "sgdw nesterov": Row(
        ("SGDW",),
        lambda α: optim.SGDW(α, momentum=0.9, nesterov=True, weight_decay=0.1),
        nesterov,
        None,
        "PyTorch has no SGDW: its weight_decay passes through the velocity",
        decay=0.1,
    ),
    "sgdw without momentum": Row(
        ("SGDW",),
        lambda α: optim.SGDW(α, momentum=0.0, weight_decay=0.1, applies_to="all"),
        descent,
        _torch("SGD", weight_decay=0.1),
        decay=0.1,
    ),
    "adagrad": Row(
        ("Adagrad",), lambda α: optim.Adagrad(α, eps=1e-4), adagrad, _torch("Adagrad", eps=1e-4), bowl=1.0, valley=0.5
    ),
    "rmsprop": Row(
        ("RMSprop",),
        lambda α: optim.RMSprop(α, rho=0.95, eps=1e-4),
        rmsprop(False, False),
        _torch("RMSprop", alpha=0.95, eps=1e-4),
        bowl=0.005,
    ),
    "rmsprop centered": Row(
        ("RMSprop",),
        lambda α: optim.RMSprop(α, rho=0.95, eps=1e-4, centered=True),
        rmsprop(True, False),
        _torch("RMSprop", alpha=0.95, eps=1e-4, centered=True),
        bowl=0.005,
        valley=0.0005,
    ),
    "rmsprop momentum": Row(
        ("RMSprop",),
        lambda α: optim.RMSprop(α, rho=0.95, eps=1e-4, momentum=0.8),
        rmsprop(False, True),
        _torch("RMSprop", alpha=0.95, eps=1e-4, momentum=0.8),
        rate=0.01,
        bowl=0.005,
        valley=0.0005,
    ),
    "rmsprop centered momentum": Row(
        ("RMSprop",),
        lambda α: optim.RMSprop(α, rho=0.95, eps=1e-4, centered=True, momentum=0.8),
        rmsprop(True, True),
        _torch("RMSprop", alpha=0.95, eps=1e-4, centered=True, momentum=0.8),
        rate=0.01,
        bowl=0.002,
        valley=0.0002,
        steps=8000,
    ),
    "adam": Row(("Adam",), lambda α: optim.Adam(α, **MOMENTS), adam, _torch("Adam", **BETAS), valley=0.02),
    "adam amsgrad": Row(
        ("Adam",),
        lambda α: optim.Adam(α, amsgrad=True, **MOMENTS),
        amsgrad,
        _torch("Adam", amsgrad=True, **BETAS),
        bowl=0.1,
        valley=0.05,
    ),
    "adamw": Row(
        ("AdamW",),
        lambda α: optim.AdamW(α, weight_decay=0.1, applies_to="all", **MOMENTS),
        adam,
        _torch("AdamW", weight_decay=0.1, **BETAS),
        decay=0.1,
        valley=0.002,
    ),
    "adamw on weights": Row(
        ("AdamW",),
        lambda α: optim.AdamW(α, weight_decay=0.1, **MOMENTS),
        adam,
        None,
        "PyTorch decays every parameter of a group; here biases are left alone",
        decay=0.1,
        valley=0.002,
    ),
    "constrained": Row(
        ("Constrained",),
        lambda α: optim.Constrained(optim.SGD(α), max_norm=1.2),
        constrained,
        None,
        "PyTorch has no max-norm constraint",
        bowl=0.1,
    ),
    "chain": Row(
        ("Chain", "chain"),
        lambda α: optim.chain(optim.clip_by_value(0.1), optim.SGD(α)),
        clipped,
        None,
        "PyTorch clips outside of its optimizers: see the transforms",
        rate=0.5,
        bowl=0.2,
        valley=0.005,
        steps=8000,
    ),
}


class ScheduleRow(NamedTuple):
    covers: tuple[str, ...]
    ours: Any
    formula: Callable[[int], float]
    torch: Callable[[Any, Any], Any] | None
    why: str = ""


def _warm_cosine(t: int) -> float:
    return 0.3 * (0.1 + 0.9 * t / 7) if t < 7 else 0.15 * (1 + math.cos(math.pi * min((t - 7) / 50, 1)))


def _cycle(t: int) -> float:
    # T = 101 steps in PyTorch's count: the peak at 0.3 T − 1, the end at T − 1.
    top, end = 0.3 * 101 - 1, 100
    low, last = 0.3 / 25, 0.3 / 250_000
    if t <= top:
        return low + (0.3 - low) * (1 - math.cos(math.pi * t / top)) / 2
    return last + (0.3 - last) * (1 + math.cos(math.pi * min((t - top) / (end - top), 1))) / 2


SCHEDULES: dict[str, ScheduleRow] = {
    "constant": ScheduleRow(
        ("Constant",), optim.Constant(0.3, per="step"), lambda t: 0.3, lambda lr, o: lr.ConstantLR(o, factor=1.0)
    ),
    "step": ScheduleRow(
        ("StepDecay",),
        optim.StepDecay(0.3, every=20, factor=0.1, per="step"),
        lambda t: 0.3 * 0.1 ** (t // 20),
        lambda lr, o: lr.StepLR(o, step_size=20, gamma=0.1),
    ),
    "exponential rate": ScheduleRow(
        ("ExponentialDecay",),
        optim.ExponentialDecay(0.3, rate=0.05, per="step"),
        lambda t: 0.3 * math.exp(-0.05 * t),
        lambda lr, o: lr.ExponentialLR(o, gamma=math.exp(-0.05)),
    ),
    "exponential factor": ScheduleRow(
        ("ExponentialDecay",),
        optim.ExponentialDecay(0.3, factor=0.97, per="step"),
        lambda t: 0.3 * 0.97**t,
        lambda lr, o: lr.ExponentialLR(o, gamma=0.97),
    ),
    "inverse": ScheduleRow(
        ("InverseDecay",),
        optim.InverseDecay(0.3, rate=0.2, per="step"),
        lambda t: 0.3 / (1 + 0.2 * t),
        lambda lr, o: lr.LambdaLR(o, lambda t: 1 / (1 + 0.2 * t)),
    ),
    "inverse root": ScheduleRow(
        ("InverseRootDecay",),
        optim.InverseRootDecay(0.3, scale=0.9, per="step"),
        lambda t: 0.3 * 0.9 / math.sqrt(t + 1),
        lambda lr, o: lr.LambdaLR(o, lambda t: 0.9 * (t + 1) ** -0.5),
    ),
    "table": ScheduleRow(
        ("Table",),
        optim.Table(0.3, rates=((10, 0.03), (60, 0.003)), per="step"),
        lambda t: 0.3 if t < 10 else 0.03 if t < 60 else 0.003,
        lambda lr, o: lr.MultiStepLR(o, milestones=[10, 60], gamma=0.1),
    ),
    "linear": ScheduleRow(
        ("Linear",),
        optim.Linear(0.3, end=0.03, length=40, per="step"),
        lambda t: 0.3 - 0.27 * min(t, 40) / 40,
        lambda lr, o: lr.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=40),
    ),
    "cosine": ScheduleRow(
        ("CosineDecay",),
        optim.CosineDecay(0.3, length=99, floor=0.01, per="step"),
        lambda t: 0.01 + 0.145 * (1 + math.cos(math.pi * min(t, 99) / 99)),
        lambda lr, o: lr.CosineAnnealingLR(o, T_max=99, eta_min=0.01),
    ),
    "warm-up": ScheduleRow(
        ("Warmup",),
        optim.Warmup(optim.CosineDecay(0.3, length=50, per="step"), length=7, start=0.1, per="step"),
        _warm_cosine,
        None,
        "PyTorch's SequentialLR warns of its own use of a deprecated argument",
    ),
    "warm-up, constant": ScheduleRow(
        ("Warmup",),
        optim.Warmup(optim.Constant(0.3, per="step"), length=7, start=0.1, per="step"),
        lambda t: 0.3 * (0.1 + 0.9 * min(t, 7) / 7),
        lambda lr, o: lr.LinearLR(o, start_factor=0.1, total_iters=7),
    ),
    "one cycle": ScheduleRow(
        ("OneCycle",),
        optim.OneCycle(0.3, length=100, rise=(0.3 * 101 - 1) / 100, per="step"),
        _cycle,
        lambda lr, o: lr.OneCycleLR(o, max_lr=0.3, total_steps=101, cycle_momentum=False),
    ),
}

TESTED_APART: dict[str, str] = {
    "OPTIMIZERS": "test_config.py::test_the_registry_holds_every_optimizer_and_schedule",
    "SCHEDULES": "test_config.py::test_the_registry_holds_every_optimizer_and_schedule",
    "Optimizer": "test_contract.py::test_missing_and_unknown_gradients_are_named",
    "Schedule": "test_schedules.py::test_by_epoch_needs_the_steps_of_an_epoch",
    "GradientTransform": "test_clip.py::test_a_chain_nests_the_states_by_position",
    "LBFGS": "test_lbfgs.py::test_rosenbrock_within_scipys_iterations",
    "ReduceOnPlateau": "test_schedules.py::test_plateau_reduces_when_pytorch_does",
    "clip_by_value": "test_clip.py::test_by_value",
    "clip_by_norm": "test_clip.py::test_by_norm",
    "clip_by_global_norm": "test_clip.py::test_by_global_norm",
    "global_norm": "test_clip.py::test_by_global_norm",
    "penalize": "test_penalty.py::test_it_is_the_gradient_of_the_penalties_in_the_loss",
    "from_config": "test_config.py::test_settings_survive_json",
    "parse_schedule": "test_config.py::test_schedules_from_flags",
    "parse_optimizer": "test_config.py::test_optimizers_from_flags",
    "parse_lbfgs": "test_config.py::test_lbfgs_from_flags",
    "parse_plateau": "test_config.py::test_plateau_from_flags",
    "with_learning_rate": "test_contract.py::test_another_rate_with_the_same_state",
}
"""Public names that are no row of the tables above, and the test of each."""
