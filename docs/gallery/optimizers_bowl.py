"""All optimizers on an elongated bowl.

f(w) = ½ (w₁² + 100 w₂²) from (−4, 0.8), 400 steps each, the rates set by hand so that each does well. Gradient descent crosses
the valley; momentum builds up speed along it and overshoots; the averaged form with its rate divided by 1 − β is the same path;
Nesterov overshoots less. The adaptive methods scale both axes alike and so go diagonally; RMSprop at a constant rate trembles about the minimum. AdamW is pulled
towards the origin, which here is the minimum. L-BFGS learns the two curvatures and is there in a few steps.

Source: the update rules stand in the docstrings of `nnx.optim`.
"""

import numpy as np
from _gallery import show
from _optimizers import optimizers, panels, paths, steps_to

TARGET = 1e-3


def bowl(a, b):
    """½ (a² + 100 b²)"""
    return 0.5 * (a * a + 100.0 * (b * b))


def measure(backend):
    """Each optimizer's path."""
    return paths(backend, bowl, (-4.0, 0.8), optimizers(0.0195, 0.01, 0.2, beta=0.8), 400, TARGET)


def lesson(numbers):
    """Momentum beats plain descent on a long valley, L-BFGS beats all."""
    steps = steps_to(numbers)
    physical, averaged = (np.stack(numbers["path", name]) for name in ("momentum", "momentum, averaged"))
    assert np.abs(physical - averaged).max() < 1e-4
    assert steps["L-BFGS"] == min(steps.values())
    assert 2 * max(steps["Nesterov"], steps["momentum"]) < steps["gradient descent"]
    return [
        f"steps to f < {TARGET:g}: "
        + "; ".join(f"{name} {f'{value:.0f}' if value < np.inf else 'not in 400'}" for name, value in steps.items())
    ]


def draw(figure, numbers):
    """Eleven paths and the values."""
    panels(figure, numbers, bowl, ((-4.6, 2.2), (-1.1, 1.1)), [0.1, 1, 4, 10, 20, 40], (0, 0), TARGET)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9.5, 7.2))
