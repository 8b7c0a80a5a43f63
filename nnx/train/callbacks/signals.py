"""Signals: what flows through the layers of a model, measured on the device and brought to the host at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnx import backends
from nnx.autodiff.transforms import is_array
from nnx.layers import Dropout, Flatten, Module, ReLU, Sigmoid, Tanh, observing
from nnx.layers.training import inference
from nnx.typing import Array

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
ZERO, ROWS, FAR = 1e-5, 0.95, 5.0
"""A ReLU unit is dead when it gives at most ZERO on at least the share ROWS of the rows; tanh and sigmoid are saturated
where their input is beyond ±FAR. The doctor's checks T4 and T5 use the same bounds."""


@dataclass(frozen=True)
class Signal:
    """What a layer gave: mean and standard deviation, the quantiles of ``QUANTILES`` if they were asked for.

    ``dead`` is the share of dead units of a ReLU, ``saturated`` the share of saturated values of tanh or sigmoid; None for
    other layers.
    """

    path: str
    kind: str
    mean: float
    std: float
    quantiles: tuple[float, ...] = ()
    dead: float | None = None
    saturated: float | None = None


def signals(model: Module, x: Array, *, quantiles: bool = True) -> list[Signal]:
    """What each layer without layers inside gives in inference for rows x (N, …), in the order of the calls.

    Flatten and Dropout are left out: in inference they change nothing. What a model of your own computes between its
    layers is not seen. One transfer to the host, whatever the number of layers.
    """
    calls: list[tuple[Module, Array, Array]] = []

    def note(module: Module, args: Any, out: Any) -> None:
        leaf = not any(True for _ in module._children())
        if leaf and args and is_array(args[0]) and is_array(out) and not isinstance(module, (Flatten, Dropout)):
            calls.append((module, args[0], out))

    with observing(note), inference():
        model(x)
    with np.errstate(all="ignore"):
        figures = [figure for call in calls for figure in _figures(*call, quantiles)]
        pulled = iter(together(figures).tolist())
    return [_signal(module, pulled, quantiles) for module, _, _ in calls]


def _figures(module: Module, x: Array, out: Array, quantiles: bool) -> list[Array]:
    xp = backends.of(out).xp
    figures = [xp.mean(out), xp.std(out)]
    if quantiles:
        flat = xp.sort(xp.reshape(out, (-1,)))
        figures += [flat[round(q * (flat.shape[0] - 1))] for q in QUANTILES]
    if isinstance(module, ReLU):
        silent = xp.mean(xp.astype(xp.reshape(out, (-1, out.shape[-1])) <= ZERO, out.dtype), axis=0)
        figures.append(xp.mean(xp.astype(silent >= ROWS, out.dtype)))
    elif isinstance(module, (Tanh, Sigmoid)):
        figures.append(xp.mean(xp.astype(xp.abs(x) > FAR, out.dtype)))
    return figures


def _signal(module: Module, pulled: Any, quantiles: bool) -> Signal:
    mean, std = next(pulled), next(pulled)
    spread = tuple(next(pulled) for _ in QUANTILES) if quantiles else ()
    dead = next(pulled) if isinstance(module, ReLU) else None
    saturated = next(pulled) if isinstance(module, (Tanh, Sigmoid)) else None
    return Signal(module._path, type(module).__name__, mean, std, spread, dead, saturated)


def together(figures: Sequence[Array]) -> np.ndarray[Any, Any]:
    """0-d arrays of one device as a float64 host vector, in one transfer.

    >>> together([np.asarray(1.0), np.asarray(2.5)])
    array([1. , 2.5])
    """
    if not figures:
        return np.zeros(0)
    backend = backends.of(figures[0])
    xp = backend.xp
    dtype = xp.float64 if any("float64" in str(figure.dtype) for figure in figures) else xp.float32
    stacked = xp.stack([xp.astype(figure, dtype) for figure in figures])
    return np.asarray(backend.to_numpy(stacked), dtype=np.float64)
