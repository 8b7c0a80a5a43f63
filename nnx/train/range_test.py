"""The range test: which learning rates make the loss fall, found by trying all of them in one short training."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnx import losses, optim, random
from nnx.data import Dataset, batch_count, batches
from nnx.errors import ConfigError, DivergedError
from nnx.layers import Module, training
from nnx.train import checks
from nnx.train.given import check_model
from nnx.train.objective import default_loss, minimised
from nnx.train.problem import Problem
from nnx.train.step import train_step
from nnx.typing import Array

LOW, HIGH, STEPS, STOP = 1e-7, 10.0, 100, 4.0
ROWS = 256
"""Rows that the loss is measured on."""
SMOOTH, BEGIN = 0.5, 10
"""The weight of the past in the smoothed loss; steps at the start that are looked at only to compare with."""


@dataclass(frozen=True)
class RangeTest:
    """What a range test found: the loss before the step at each rate, and the rates that follow from it.

    ``steepest`` is the rate at which the smoothed loss falls fastest for a step of the logarithm of the rate,
    ``lowest`` the one at which it is least; both ``None`` if no rate lowers it by 2 %. ``ended`` says why it stopped
    before its last rate.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smooth: tuple[float, ...]
    steepest: float | None
    lowest: float | None
    ended: str

    @property
    def tenth(self) -> float | None:
        """A tenth of ``lowest``."""
        return None if self.lowest is None else self.lowest / 10

    @property
    def suggested(self) -> float | None:
        """The rate to begin with: the smaller of ``steepest`` and ``tenth``."""
        return None if self.steepest is None or self.tenth is None else min(self.steepest, self.tenth)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**asdict(self), "tenth": self.tenth, "suggested": self.suggested}

    def __str__(self) -> str:
        """A table of the loss at every half power of ten, and what follows from it; 80 columns at most."""
        top = max(self.smooth, default=1.0) or 1.0
        marked = {self._at(self.steepest): "falls fastest", self._at(self.lowest): "lowest"}
        tens = [math.floor(2 * math.log10(rate) + 1e-9) for rate in self.rates]
        lines = ["learning rate      loss"]
        for k, loss in enumerate(self.smooth):
            if k == 0 or tens[k] != tens[k - 1] or k in marked or k == len(self.smooth) - 1:
                bar = "━" * max(round(28 * loss / top), 0)
                lines.append(f"{self.rates[k]:>13.2g} {loss:>9.4g}  {bar:<28}  {marked.get(k, '')}".rstrip())
        ended = f"{self.ended} at {self.rates[-1]:.2g}" if self.ended else f"after {len(self.rates)} steps"
        said = ["nothing      no rate lowers the loss: nnx doctor says why"]
        if self.steepest is not None and self.tenth is not None:
            said = [
                f"steepest     {self.steepest:.2g}, where the loss falls fastest",
                f"tenth        {self.tenth:.2g}, a tenth of the rate where it is lowest",
                f"suggested    {self.suggested:.2g}, the smaller of the two",
            ]
        return "\n".join([*lines, "", *said, f"ended        {ended}"])

    def _at(self, rate: float | None) -> int:
        return -1 if rate is None else self.rates.index(rate)


def lr_find(
    model: Module,
    train: Dataset,
    *,
    loss: str | Callable[..., Array] | None = None,
    optimizer: optim.Optimizer | None = None,
    batch_size: int = 64,
    backend: Any = None,
    seed: int = 0,
    low: float = LOW,
    high: float = HIGH,
    steps: int = STEPS,
    stop: float = STOP,
) -> RangeTest:
    """Train a copy for ``steps`` steps at rates that rise from ``low`` to ``high``, and see when the loss falls::

        α_k = low (high/low)^(k/(steps − 1)),      smoothed loss  s_k = ½ s_{k−1} + ½ loss_k, without the bias of its start

    The steps are those of ``nnx.fit`` with the same arguments, only the rate is another: ``optimizer`` gives its other
    settings. The loss is measured before each step on the same 256 rows (or all, if they are fewer) with the same
    dropout mask, so that what moves it is the rate and not the draw of the batch. It ends when the loss is ``stop``
    times its least, or no number. The model that is given stays as it is.

    >>> import nnx
    >>> model = nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 10))
    >>> found = lr_find(model, nnx.data.load("digits"))
    >>> 1e-3 < found.suggested < 1.0
    True

    Errors: ``ConfigError`` for a range that does not rise, fewer than 20 steps, and an optimizer without a rate;
    ``DivergedError`` for a loss that is no number at the start; otherwise as ``nnx.fit``.
    Source: Smith, Cyclical Learning Rates for Training Neural Networks (2017), arXiv:1506.01186, section 3.3. The
    steepest point and the tenth of the lowest are the rules of Gugger and Howard's fastai.
    """
    check_model(model, "lr_find")
    _check_range(low, high, steps, stop)
    rising = optim.ExponentialDecay(low, factor=(high / low) ** (1 / (steps - 1)), per="step")
    trial = optim.with_learning_rate(optimizer or optim.Adam(), rising)
    checks.check_settings(1, batch_size, train, None, trial)
    twin = model.copy() if model.initialized else copy.deepcopy(model)
    checks.prepare(twin, train, seed)
    if backend is not None:
        twin.to(backend)
    problem = Problem(twin, train, losses.get(loss or default_loss(train.task)), batch_size, seed)
    checks.check_outputs(twin, train)
    found: list[float] = []
    with problem.device.use():
        checks.check_batches(twin, train, batch_size)
        x, y = problem.rows(np.sort(random.permutation(random.key(seed, "range test"), len(train))[:ROWS]))
        trial = trial.with_steps_per_epoch(batch_count(len(train), batch_size))
        state = trial.init(twin.parameters())
        for k, rows in enumerate(_batches(problem, steps)):
            with training(seed=seed, step=0, write_back=False):
                found.append(float(problem.device.to_numpy(minimised(problem.loss)(twin, x, y)[0])))
            if _over(found, stop):
                break
            state = train_step(twin, problem.loss, trial, state, *problem.rows(rows), seed, k).state
    if not math.isfinite(found[0]):
        raise DivergedError(
            expected="a finite loss to start from",
            got=f"{found[0]}",
            where="lr_find",
            fix="Look for bad values in the data; nnx.doctor tells more.",
        )
    return judge([float(rising(k)) for k in range(len(found))], found, stop)


def judge(rates: Sequence[float], losses: Sequence[float], stop: float = STOP) -> RangeTest:
    """What losses at rising rates say, up to where the loss is ``stop`` times its least.

    >>> rates = [10 ** (k / 12.4 - 7) for k in range(100)]
    >>> found = judge(rates, [1.0 - 0.9 / (1.0 + (1e-3 / rate) ** 2) for rate in rates])
    >>> 3e-4 < found.steepest < 3e-3
    True
    """
    smooth: list[float] = []
    average, ended = 0.0, ""
    for k, loss in enumerate(losses):
        if not math.isfinite(loss):
            ended = "no number"
            break
        average = SMOOTH * average + (1 - SMOOTH) * float(loss)
        smooth.append(average / (1 - SMOOTH ** (k + 1)))
        if k > BEGIN and loss > stop * min(smooth):
            ended = f"{stop:g} times its least"
            break
    n, curve = len(smooth), np.asarray(smooth)
    steepest = lowest = None
    if n >= BEGIN + 5 and curve.min() <= 0.98 * curve[:BEGIN].mean():
        bottom = int(np.argmin(curve))
        before = np.gradient(curve)[BEGIN : max(min(bottom + 1, n - 1), BEGIN + 1)]  # what falls later had risen first
        steepest = float(rates[BEGIN + int(np.argmin(before))])
        lowest = float(rates[bottom])
    return RangeTest(
        tuple(map(float, rates[:n])), tuple(map(float, losses[:n])), tuple(smooth), steepest, lowest, ended
    )


def _over(found: list[float], stop: float) -> bool:
    return bool(judge([1.0] * len(found), found, stop).ended)


def _batches(problem: Problem, steps: int) -> Any:
    """The rows of so many steps, epoch after epoch."""
    taken, epoch = 0, 0
    while True:
        for rows in batches(len(problem.train), problem.batch_size, seed=problem.seed, epoch=epoch):
            if taken == steps:
                return
            yield rows
            taken += 1
        epoch += 1


def _check_range(low: float, high: float, steps: int, stop: float) -> None:
    for name, value in (("low", low), ("high", high), ("stop", stop)):
        optim.check.positive(value, name=name, where="lr_find")
    if not low < high:
        raise ConfigError(
            expected="rates that rise, low < high", got=f"{low:g} and {high:g}", where="lr_find", fix="Use 1e-7 and 10."
        )
    if stop <= 1:
        raise ConfigError(expected="stop > 1", got=f"{stop:g}", where="lr_find", fix="Use stop=4.")
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 20:
        raise ConfigError(expected="20 steps or more", got=repr(steps), where="lr_find", fix="Use steps=100.")
