"""All optimizers on Rosenbrock's function.

f(w) = (1 − w₁)² + 100 (w₂ − w₁²)² from (−1.5, 2), 1,000 steps each, the rates set by hand: a curved valley whose floor
falls hardly at all. Every optimizer finds the floor at once; the question is how fast it moves along it. Rates that keep plain descent from
flying out of the valley let it creep; momentum and Adam get along; Adagrad's steps have become small by then;
RMSprop at a constant rate trembles about the floor, and AdamW ends beside the minimum, for its decay pulls towards the origin. L-BFGS follows the bend, for its steps come from a line search.

Source: Rosenbrock (1960); the update rules stand in the docstrings of `nnx.optim`.
"""

import numpy as np
from _gallery import show
from _optimizers import optimizers, panels, paths, steps_to

TARGET = 1e-3


def rosenbrock(a, b):
    """(1 − a)² + 100 (b − a²)²"""
    return (1.0 - a) * (1.0 - a) + 100.0 * ((b - a * a) * (b - a * a))


def measure(backend):
    """Each optimizer's path."""
    return paths(backend, rosenbrock, (-1.5, 2.0), optimizers(0.001, 0.0005, 0.1, beta=0.95), 1000, TARGET)


def lesson(numbers):
    """Plain descent creeps, momentum does not, and L-BFGS needs far fewer steps than any."""
    steps = steps_to(numbers)
    values = {name: numbers.value("value", name) for name in numbers.names("path")}
    assert steps["gradient descent"] == np.inf
    assert steps["momentum"] < np.inf
    assert steps["Adam"] < np.inf
    assert steps["L-BFGS"] < 60
    return [
        f"steps to f < {TARGET:g}: "
        + "; ".join(
            f"{name} {f'{steps[name]:.0f}' if steps[name] < np.inf else f'not in 1000 (f = {values[name]:.2g})'}"
            for name in steps
        )
    ]


def draw(figure, numbers):
    """Eleven paths and the values."""
    panels(figure, numbers, rosenbrock, ((-2, 1.6), (-0.8, 2.8)), [0.3, 3, 10, 40, 150, 500], (1, 1), TARGET)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9.5, 7.6))
