"""Activations and their derivatives.

Solid: the function; dashed: its derivative, taken by nnx. Look at where the derivative is near 0: a sigmoid passes on at most a
quarter and nothing when saturated, a ReLU all or nothing, a leaky ReLU and ELU always something. SiLU and GELU dip below zero and
their derivatives rise above 1. Maxout is the upper edge of its k pieces, here 3 straight lines. Softmax and log-softmax are those of
the first of three values, the other two being 0.

Source: the formula of each stands in `nnx/ops/activation.py` and `nnx/ops/softmax.py`.
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, show

import nnx


def pieces(x):
    """Three lines: −x − 1, 0.2 x, 1.5 x − 2; maxout takes the largest."""
    xp = nnx.namespace(x)
    return nnx.ops.maxout(xp.stack([-x - 1.0, 0.2 * x, 1.5 * x - 2.0], axis=1), 3)[:, 0]


def first_of_three(function):
    """``function`` of the rows (x, 0, 0), first entry."""
    return lambda x: function(nnx.namespace(x).stack([x, 0.0 * x, 0.0 * x], axis=1))[:, 0]


FUNCTIONS = {
    "sigmoid": nnx.ops.sigmoid,
    "tanh": nnx.ops.tanh,
    "ReLU": nnx.ops.relu,
    "leaky ReLU (slope 0.1)": lambda x: nnx.ops.leaky_relu(x, 0.1),
    "ELU (α = 1)": nnx.ops.elu,
    "softplus": nnx.ops.softplus,
    "SiLU": nnx.ops.silu,
    "GELU (exact)": nnx.ops.gelu,
    "GELU (tanh form)": lambda x: nnx.ops.gelu(x, approximate=True),
    "maxout (3 pieces)": pieces,
    "softmax of (x, 0, 0)": first_of_three(nnx.ops.softmax),
    "log-softmax of (x, 0, 0)": first_of_three(nnx.ops.log_softmax),
}


def measure(backend):
    """Function and derivative from −5 to 5."""
    numbers = Numbers()
    grid = np.linspace(-5, 5, 101) + 1e-9  # beside the kinks
    x = backend.asarray(grid)
    for name, function in FUNCTIONS.items():
        y, back = nnx.vjp(function, x)
        (slope,) = back(nnx.namespace(y).ones_like(y))
        numbers.add(name, "function", grid, backend.to_numpy(y))
        numbers.add(name, "derivative", grid, backend.to_numpy(slope))
    return numbers


def lesson(numbers):
    """The numbers that the choice of an activation turns on."""
    steepest = {name: float(numbers[name, "derivative"][1].max()) for name in FUNCTIONS}
    at5 = {name: float(numbers[name, "derivative"][1][-1]) for name in FUNCTIONS}
    lowest = {name: float(numbers[name, "function"][1].min()) for name in FUNCTIONS}
    apart = float(np.abs(numbers["GELU (exact)", "function"][1] - numbers["GELU (tanh form)", "function"][1]).max())
    assert abs(steepest["sigmoid"] - 0.25) < 1e-4
    assert abs(steepest["tanh"] - 1) < 1e-4
    assert numbers["ReLU", "derivative"][1].min() == 0
    assert numbers["leaky ReLU (slope 0.1)", "derivative"][1].min() > 0.09
    assert apart < 5e-4
    sigmoid, tanh = (numbers[name, "function"][1] for name in ("sigmoid", "tanh"))
    x = numbers["tanh", "function"][0]
    doubled = np.abs(np.interp(x / 2, x, tanh) - (2 * sigmoid - 1)).max()
    assert doubled < 2e-3, "tanh x = 2σ(2x) − 1, but for the interpolation"
    return [
        f"steepest slope: sigmoid {steepest['sigmoid']:.2f}, tanh {steepest['tanh']:.2f}, SiLU {steepest['SiLU']:.3f}, GELU {steepest['GELU (exact)']:.3f}",
        f"slope at x = 5: sigmoid {at5['sigmoid']:.4f}, tanh {at5['tanh']:.5f}, ReLU {at5['ReLU']:.0f}, softplus {at5['softplus']:.3f}",
        f"lowest value: SiLU {lowest['SiLU']:.3f}, GELU {lowest['GELU (exact)']:.3f}; the two forms of GELU differ by {apart:.5f} at most",
    ]


def draw(figure, numbers):
    """Twelve small pictures on the same axes."""
    for axes, name in zip(figure.subplots(3, 4, sharex=True).flat, FUNCTIONS):
        axes.plot(*numbers[name, "function"], color=COLOURS[0], label="function")
        axes.plot(*numbers[name, "derivative"], color=COLOURS[1], linestyle="--", label="derivative")
        dress(axes, name, "x" if name in list(FUNCTIONS)[-4:] else "")
        axes.set_ylim((-5.2, 1.4) if "log-" in name else (-1.2, 2.2))
        axes.axhline(0, color="0.5", linewidth=0.6)
        if name == "sigmoid":
            axes.legend(frameon=False, loc="upper left")


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 6))
