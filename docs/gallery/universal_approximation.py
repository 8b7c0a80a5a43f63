"""Universal approximation: a wider hidden layer fits a given function better.

f(x) = sin(2πx) + ½ sin(6πx) + abs(x − ½) on [−1, 1], 200 points, by a network 1 → width (tanh) → 1 trained with L-BFGS, the best of
three starts for each width. The theorem says that some width suffices for any error; the run shows how the error falls with
the width, evenly but for a wait at 8. It does not say that training finds the best
weights: 400 iterations from three starts are what is drawn.

Source: Cybenko (1989); Hornik, Stinchcombe and White (1989).
"""

from itertools import pairwise

import numpy as np
from _gallery import COLOURS, Numbers, dress, show

import nnx

WIDTHS, SHOWN, STARTS, ITERATIONS = (1, 2, 4, 8, 16, 32), (2, 4, 8, 32), 3, 400
LOOSE = ("4", "8", "16", "32")  # four hundred iterations carry rounding far: errors differ by some per cent


def given(x):
    """The function to fit."""
    return np.sin(2 * np.pi * x) + 0.5 * np.sin(6 * np.pi * x) + np.abs(x - 0.5)


def fitted(width, seed, x, y, backend):
    """The root mean square error of a network of this width after training, and what it gives."""
    start = nnx.init.normal(5.0)
    model = nnx.Sequential(
        nnx.Linear(1, width, init=start), nnx.Tanh(), nnx.Linear(width, 1, init=nnx.init.lecun_normal())
    )
    model.initialize(seed, dtype="float64").to(backend)
    centres = backend.asarray(nnx.random.uniform(nnx.random.key(seed, "centres"), (width,), -1, 1))
    model.load({**model.parameters(), "layers.0.bias": -model[0].weight[0, :] * centres})
    cost = nnx.value_and_grad(lambda model, x, y: nnx.losses.mse(model(x), y))
    found = nnx.optim.LBFGS(history=20).minimize(
        lambda p: cost(model.load(p), x, y), model.parameters(), iterations=ITERATIONS, tolerance=1e-6
    )
    return found.loss**0.5, backend.to_numpy(model.load(found.params)(x))[:, 0]


def measure(backend):
    """The fit of each width, and its root mean square error."""
    numbers = Numbers()
    grid = np.linspace(-1, 1, 200)
    x, y = backend.asarray(grid[:, None]), backend.asarray(given(grid)[:, None])
    numbers.add("fit", "given", grid, given(grid))
    for width in WIDTHS:
        error, fit = min((fitted(width, seed, x, y, backend) for seed in range(STARTS)), key=lambda one: one[0])
        numbers.add("error", f"{width}", width, error)
        if width in SHOWN:
            numbers.add("fit", f"{width}", grid, fit)
    return numbers


def lesson(numbers):
    """The error falls with the width."""
    errors = [numbers.value("error", f"{width}") for width in WIDTHS]
    spread = numbers["fit", "given"][1].std()
    assert errors[0] > 0.5 * spread
    assert errors[-1] < 0.03 * spread
    assert all(later < earlier for earlier, later in pairwise(errors))
    x, target = numbers["fit", "given"]
    worst = x[np.abs(numbers["fit", "32"][1] - target).argmax()]
    return [
        "root mean square error by width: "
        + "; ".join(f"{width}: {error:.4f}" for width, error in zip(WIDTHS, errors))
        + f" (standard deviation of f: {spread:.2f})",
        f"the largest error of 32 units lies at x = {worst:.2f}",
    ]


def draw(figure, numbers):
    """Four fits, and the error over the width."""
    grid = figure.add_gridspec(2, 4)
    for place, width in zip(((0, 0), (0, 1), (1, 0), (1, 1)), SHOWN):
        axes = figure.add_subplot(grid[place])
        axes.plot(*numbers["fit", "given"], color="0.6", linewidth=3, label="f(x)")
        axes.plot(*numbers["fit", f"{width}"], color=COLOURS[1], linestyle="--", label="network")
        dress(axes, f"width {width}", "x" if place[0] else "", "" if place[1] else "f(x)")
        if width == SHOWN[0]:
            axes.legend(frameon=False, fontsize=7)
    axes = figure.add_subplot(grid[:, 2:])
    axes.plot(WIDTHS, [numbers.value("error", f"{width}") for width in WIDTHS], color=COLOURS[0], marker="o")
    dress(axes, "error of the best of three starts", "hidden units", "root mean square error", log="xy")
    axes.set_xticks(WIDTHS, WIDTHS)
    axes.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
    axes.minorticks_off()


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 4.2))
