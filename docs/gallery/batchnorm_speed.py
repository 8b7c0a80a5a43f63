"""Batch norm: training speed with and without.

Digits, plain gradient descent, with batch norm before each activation (dashed) and without (solid). Left: three hidden layers of 100
sigmoid units, the network of the paper's figure 1: with batch norm it is far ahead at every rate. Right: eight hidden layers of 64 ReLU
units from He's weights, which need it less: at the same small rate batch norm is *slower* here, and its noise keeps the training loss
higher; what it gives is a rate at which the plain network diverges (its line ends), and the better validation accuracy.

Source: Ioffe and Szegedy (2015), sections 4.1 and 4.2.
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, show, trained

import nnx

EPOCHS = 15
NETWORKS = {
    "3 × 100 sigmoid": (nnx.Sigmoid, [100] * 3, (0.1, 1.0)),
    "8 × 64 ReLU": (nnx.ReLU, [64] * 8, (0.01, 0.1, 1.0)),
}
KINDS = ("plain", "batch norm")


def network(activation, widths, batch_norm):
    """64 → widths → 10."""
    layers, features, start = [], 64, nnx.init.he_normal() if activation is nnx.ReLU else nnx.init.glorot_normal()
    for width in widths:
        layers += [
            nnx.Linear(features, width, bias=not batch_norm, init=start),
            *([nnx.BatchNorm(width)] if batch_norm else []),
            activation(),
        ]
        features = width
    return nnx.Sequential(nnx.Standardize(64), *layers, nnx.Linear(features, 10, init=nnx.init.glorot_normal()))


def measure(backend):
    """Training loss of each epoch while it is a number, and the best validation accuracy."""
    numbers = Numbers()
    train, val = nnx.data.split(nnx.data.digits(), (0.8, 0.2), seed=0)
    for panel, (activation, widths, rates) in NETWORKS.items():
        for rate in rates:
            for kind in KINDS:
                records, model = [], network(activation, widths, kind == "batch norm")
                try:
                    with np.errstate(over="ignore", invalid="ignore"):
                        trained(model, train, val, backend=backend, optimizer=nnx.optim.SGD(rate), epochs=EPOCHS,
                                callbacks=[lambda run, record: records.append(record)])  # fmt: skip # noqa: B023 (called at once)
                except nnx.errors.DivergedError:
                    records.pop()
                line = f"{kind}, rate {rate:g}"
                numbers.add(
                    f"{panel}: training loss", line, np.arange(1, len(records) + 1), [r["loss"] for r in records]
                )
                numbers.add(f"{panel}: best accuracy", line, len(records), max(r["val_accuracy"] for r in records))
    return numbers


def lesson(numbers):
    """Far faster with sigmoids; with ReLU it allows rates that the plain network cannot take."""
    said = []
    for panel, (_, _, rates) in NETWORKS.items():
        loss = {
            kind: [numbers[f"{panel}: training loss", f"{kind}, rate {rate:g}"][1] for rate in rates] for kind in KINDS
        }
        accuracy = {
            kind: [numbers.value(f"{panel}: best accuracy", f"{kind}, rate {rate:g}") for rate in rates]
            for kind in KINDS
        }
        if panel == "3 × 100 sigmoid":
            assert all(with_[4] < 0.25 * without[4] for without, with_ in zip(loss["plain"], loss["batch norm"]))
        else:
            assert loss["plain"][0][-1] < loss["batch norm"][0][-1], "slower at the small rate: if not, mend the text"
            assert loss["plain"][-1].size < EPOCHS == loss["batch norm"][-1].size
            assert max(accuracy["batch norm"]) > max(accuracy["plain"])
        said.append(f"{panel}, training loss after 5 epochs, plain / batch norm: " + "; ".join(
            f"rate {rate:g}: {f'{a[4]:.3f}' if a.size > 4 else f'diverged after {a.size}'} / {b[4]:.3f}"
            for rate, a, b in zip(rates, loss["plain"], loss["batch norm"])
        ))  # fmt: skip
        said.append(
            f"{panel}, best validation accuracy at any rate: plain {max(accuracy['plain']):.3f}, batch norm {max(accuracy['batch norm']):.3f}"
        )
    return said


def draw(figure, numbers):
    """Loss curves: colour for the rate, dashes for batch norm."""
    for axes, (panel, (_, _, rates)) in zip(figure.subplots(1, 2), NETWORKS.items()):
        for index, rate in enumerate(rates):
            for kind in KINDS:
                axes.plot(*numbers[f"{panel}: training loss", f"{kind}, rate {rate:g}"], color=COLOURS[index], marker="osD"[index],
                          markersize=3, linestyle="-" if kind == "plain" else "--", label=f"{kind}, rate {rate:g}")  # fmt: skip
        dress(axes, f"hidden layers {panel}", "epoch", "training cross-entropy", log="y", legend=True)
        axes.set_ylim(5e-4, 4)
        axes.legend(frameon=False, loc="lower left")


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 4))
