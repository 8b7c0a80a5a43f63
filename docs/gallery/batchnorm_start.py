"""Batch norm makes training robust to the initial weights.

A network 64 → 4 × 64 (ReLU) → 10 learns the digits for ten epochs of gradient descent at rate 0.1, its hidden layers starting from He's weights
times a factor between 1/50 and 50. Without batch norm a factor of a few either way ends in no learning (signals vanish) or in
divergence (drawn at the level of guessing); with it the output of a layer does not depend on the scale of its weights and every start learns, from large weights more
slowly, for their gradient shrinks as they grow.

Source: Ioffe and Szegedy (2015), section 3.3.
"""

import numpy as np
from _gallery import MARKERS, Numbers, dress, plot_lines, show, trained

import nnx

FACTORS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
KINDS = ("plain", "batch norm")


def network(factor, batch_norm):
    """64 → 4 × 64 → 10, hidden weights scaled by the factor."""
    layers = []
    for _ in range(4):
        layers += [
            nnx.Linear(64, 64, bias=not batch_norm, init=nnx.init.he_normal(gain=factor)),
            *([nnx.BatchNorm(64)] if batch_norm else []),
            nnx.ReLU(),
        ]
    return nnx.Sequential(nnx.Standardize(64), *layers, nnx.Linear(64, 10, init=nnx.init.glorot_normal()))


def measure(backend):
    """Validation accuracy after ten epochs; a tenth where the loss was no longer a number."""
    numbers = Numbers()
    train, val = nnx.data.split(nnx.data.digits(), (0.8, 0.2), seed=0)
    for kind in KINDS:
        found = []
        for factor in FACTORS:
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    run = trained(
                        network(factor, kind == "batch norm"),
                        train,
                        val,
                        backend=backend,
                        optimizer=nnx.optim.SGD(0.1),
                        epochs=10,
                    )
                found.append(run.history[-1]["val_accuracy"])
            except nnx.errors.DivergedError:
                found.append(0.1)
        numbers.add("validation accuracy", kind, FACTORS, found)
    return numbers


def lesson(numbers):
    """Batch norm works from many more starts."""
    found = {kind: numbers["validation accuracy", kind][1] for kind in KINDS}
    good = {kind: int(np.sum(found[kind] > 0.9)) for kind in KINDS}
    assert good["batch norm"] >= 2 * good["plain"]
    assert found["batch norm"].min() > 0.7 > 0.2 > found["plain"].min()
    worst = {kind: found[kind].min() for kind in KINDS}
    return [
        f"starts of {len(FACTORS)} that end above 90 % validation accuracy: plain {good['plain']}, batch norm {good['batch norm']}",
        f"lowest validation accuracy: plain {worst['plain']:.3f}, batch norm {worst['batch norm']:.3f}",
    ]


def draw(figure, numbers):
    """Accuracy over the factor."""
    axes = figure.subplots()
    plot_lines(axes, numbers, "validation accuracy", marker=MARKERS[0], markersize=5)
    axes.axhline(0.1, color="0.5", linewidth=0.8)
    axes.text(FACTORS[0], 0.12, "guessing", fontsize=8)
    dress(axes, "after ten epochs", "initial weights as a multiple of He's", "validation accuracy (share)", log="x")
    axes.legend(frameon=False, loc="center left")
    axes.set_ylim(0, 1.02)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(7, 3.8))
