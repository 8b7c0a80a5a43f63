"""Every learning-rate schedule.

Rates over 60 epochs of 10 steps from 0.1 on (the one-cycle policy has its peak there). Decays by epoch stand still within an epoch;
cosine, warm-up and one-cycle move at every step. Reduce-on-plateau follows what training measures, here a validation loss that falls for 15
epochs, rests for 15, falls and rests again: it multiplies the rate by 0.1 after more than 5 epochs without improvement.

Source: the equations stand in the docstrings of `nnx.optim`.
"""

import numpy as np
from _gallery import Numbers, dress, plot_lines, show

import nnx

EPOCHS, STEPS, RATE = 60, 10, 0.1
PANELS = {
    "steps down": {
        "step: × 0.1 every 20 epochs": nnx.optim.StepDecay(RATE, factor=0.1, every=20),
        "table: 0.03 from 10, 0.003 from 45": nnx.optim.Table(RATE, rates=((10, 0.03), (45, 0.003))),
    },
    "smooth decays": {
        "1/t: α₀ / (1 + 0.2 epoch)": nnx.optim.InverseDecay(RATE, rate=0.2),
        "exponential: α₀ exp(−0.05 epoch)": nnx.optim.ExponentialDecay(RATE, rate=0.05),
        "exponential: α₀ · 0.97^epoch": nnx.optim.ExponentialDecay(RATE, factor=0.97),
        "root: α₀ / √epoch": nnx.optim.InverseRootDecay(RATE),
    },
    "schedules that move at every step": {
        "cosine": nnx.optim.CosineDecay(RATE, length=60),
        "warm-up, then cosine": nnx.optim.Warmup(nnx.optim.CosineDecay(RATE, length=50), length=10),
        "one-cycle": nnx.optim.OneCycle(RATE, length=60),
        "linear": nnx.optim.Linear(RATE, end=0.0, length=60),
    },
}


def measure(backend):
    """The rate at each step, in epochs."""
    numbers = Numbers()
    at = np.arange(0, EPOCHS * STEPS, 5)
    for panel, lines in PANELS.items():
        for name, schedule in lines.items():
            bound = schedule.bind(STEPS)
            numbers.add(panel, name, at / STEPS, [bound(int(step)) for step in at])
    plateau = nnx.optim.ReduceOnPlateau(factor=0.1, patience=5)
    epochs = np.arange(EPOCHS)
    losses = np.concatenate([np.linspace(2, 1, 15), np.full(15, 1.0), np.linspace(0.95, 0.5, 15), np.full(15, 0.5)])
    state, rates = plateau.init(), []
    for loss in losses:
        rates.append(RATE * state["factor"])
        state = plateau.observe(float(loss), state)
    numbers.add("reduce on plateau", "rate", epochs, rates)
    numbers.add("reduce on plateau", "validation loss", epochs, losses)
    return numbers


def lesson(numbers):
    """Where each of them ends."""
    _, step = numbers["steps down", "step: × 0.1 every 20 epochs"]
    x, one_cycle = numbers["schedules that move at every step", "one-cycle"]
    _, plateau = numbers["reduce on plateau", "rate"]
    assert np.allclose(step[[0, 50, 100]], [0.1, 0.01, 0.001], rtol=1e-5)
    assert abs(x[one_cycle.argmax()] - 18) < 0.5
    assert np.allclose(np.unique(np.round(np.log10(plateau))), [-5, -4, -3, -2, -1][-np.unique(plateau).size :])
    last = {name: numbers[panel, name][1][-1] for panel in PANELS for name in numbers.names(panel)}
    drops = [int(epoch) for epoch in np.flatnonzero(np.diff(plateau)) + 1]
    return [
        "rate in the last half epoch: " + "; ".join(f"{name} → {value:.2g}" for name, value in last.items()),
        f"reduce on plateau lowers the rate before epochs {', '.join(map(str, drops))}",
    ]


def draw(figure, numbers):
    """Four panels."""
    grid = figure.subplots(2, 2)
    for axes, panel in zip(grid.flat, PANELS):
        plot_lines(axes, numbers, panel)
        dress(axes, panel, "epoch", "learning rate", log="y" if panel == "steps down" else "")
        axes.legend(frameon=False, loc="lower left" if panel == "steps down" else "upper right")
    grid[0, 0].set_ylim(1e-4)
    grid[1, 0].set_ylim(0, 0.16)
    axes = grid[1, 1]
    epochs, loss = numbers["reduce on plateau", "validation loss"]
    axes.step(*numbers["reduce on plateau", "rate"], where="post", color="#0072B2", label="learning rate (left)")
    dress(axes, "reduce on plateau", "epoch", "learning rate", log="y")
    right = axes.twinx()
    right.plot(epochs, loss, color="#D55E00", linestyle="--", label="validation loss (right)")
    right.set_ylabel("validation loss")
    right.set_ylim(0)
    right.legend(
        *[a + b for a, b in zip(axes.get_legend_handles_labels(), right.get_legend_handles_labels())],
        frameon=False,
        loc="lower left",
    )


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 6.4))
