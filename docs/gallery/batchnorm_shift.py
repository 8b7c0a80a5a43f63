"""Covariate shift: what a later layer is given moves while the layers before it learn, unless batch norm holds it.

A network 64 → 4 × 64 (tanh) → 10 learns the digits by gradient descent at rate 0.1. Before training and after each epoch the inputs of the
fourth layer's activation are looked at for all training images: the bands hold half of the units' means and the lines are the
median of their standard deviations. Without batch norm both drift. With it (before the activation, batch statistics) what the layer sees
is held at mean β and standard deviation γ, which are learnt and so move as well, but by choice and slowly.

Source: Ioffe and Szegedy (2015), section 4.1 and figure 1.
"""

import numpy as np
from _gallery import COLOURS, Numbers, dress, plot_lines, show, trained

import nnx

EPOCHS, KINDS = 30, ("plain", "batch norm")


def network(batch_norm):
    """64 → 4 × 64 → 10."""
    layers = []
    for _ in range(4):
        layers += [
            nnx.Linear(64, 64, bias=not batch_norm, init=nnx.init.glorot_normal()),
            *([nnx.BatchNorm(64)] if batch_norm else []),
            nnx.Tanh(),
        ]
    return nnx.Sequential(nnx.Standardize(64), *layers, nnx.Linear(64, 10, init=nnx.init.glorot_normal()))


def before_last_activation(model, x):
    """(images, units): what the fourth tanh is given, with the statistics of these images."""
    with nnx.training(write_back=False):
        given = model[:-2](x)
    return nnx.backends.of(given).to_numpy(given)


def measure(backend):
    """Quartiles of the units' means and the median of their standard deviations, epoch by epoch."""
    numbers = Numbers()
    train, _ = nnx.data.split(nnx.data.digits(), (0.8, 0.2), seed=0)
    x = backend.asarray(train.x.astype(np.float64))
    for kind in KINDS:
        model, rows = network(kind == "batch norm").initialize(0, dtype="float64"), []
        model[0].fit(train.x)

        def look(run, record, rows=rows):
            given = before_last_activation(run.model, x)
            means, stds = given.mean(axis=0), given.std(axis=0)
            rows.append((*np.quantile(means, (0.25, 0.75)), np.median(stds), np.sqrt(np.mean(means**2))))

        look(nnx.train.Run(model.to(backend), None, 0, 0, ""), None)
        trained(model, train, backend=backend, optimizer=nnx.optim.SGD(0.1), epochs=EPOCHS, callbacks=[look])
        for name, values in zip(
            ("mean, lower quartile", "mean, upper quartile", "standard deviation", "mean, root mean square"), zip(*rows)
        ):
            numbers.add(name, kind, np.arange(EPOCHS + 1), values)
    return numbers


def lesson(numbers):
    """The plain network's fourth layer sees its inputs spread and shift."""
    spread = {kind: numbers["standard deviation", kind][1] for kind in KINDS}
    shift = {kind: numbers["mean, root mean square", kind][1] for kind in KINDS}
    factor = {kind: spread[kind][-1] / spread[kind][0] for kind in KINDS}
    assert factor["plain"] > 1.5 > 1.2 > factor["batch norm"] > 0.8
    return [
        "standard deviation of a unit's input, start → end: "
        + "; ".join(f"{kind} {spread[kind][0]:.2f} → {spread[kind][-1]:.2f}" for kind in KINDS),
        "mean of a unit's input (root mean square over the units), start → end: "
        + "; ".join(f"{kind} {shift[kind][0]:.3f} → {shift[kind][-1]:.3f}" for kind in KINDS),
    ]


def draw(figure, numbers):
    """Means as bands, standard deviations as lines."""
    left, right = figure.subplots(1, 2)
    for index, kind in enumerate(KINDS):
        epochs, low = numbers["mean, lower quartile", kind]
        _, high = numbers["mean, upper quartile", kind]
        left.fill_between(epochs, low, high, color=COLOURS[index], alpha=0.35, hatch=("", "//")[index], label=kind)
    dress(left, "means of the units: the middle half", "epoch", "input of the activation", legend=True)
    plot_lines(right, numbers, "standard deviation")
    dress(right, "standard deviation of the median unit", "epoch", "input of the activation", legend=True)
    right.set_ylim(0)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 3.8))
