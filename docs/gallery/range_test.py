"""The range test: train with a rising rate, and see where the loss falls fastest and where it blows up.

Left: `nnx.lr_find` takes up to 100 steps on a copy of the model (64 → 64 ReLU → 10, digits) while the rate rises from 10⁻⁵ to 10, with each of four
optimizers; a dot marks the rate it suggests, well below the one at which the loss blows up. Right: the validation loss after ten
epochs at that rate and at multiples of it. The rates differ by a factor of forty between the optimizers; the suggestion is the best of the four
multiples for each of them.

Source: Smith (2017), section 3.3.
"""

from dataclasses import replace

import numpy as np
from _gallery import COLOURS, LINES, MARKERS, Numbers, dress, show, trained

import nnx

OPTIMIZERS = {
    "gradient descent": nnx.optim.SGD(1.0),
    "momentum": nnx.optim.SGD(1.0, momentum=0.9),
    "Adam": nnx.optim.Adam(),
    "RMSprop": nnx.optim.RMSprop(1e-3),
}
MULTIPLES = (0.01, 0.1, 1.0, 10.0)


def network():
    """64 → 64 → 10."""
    return nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 64), nnx.ReLU(), nnx.Linear(64, 10))


def measure(backend):
    """The range tests, and trainings at multiples of what they suggest."""
    numbers = Numbers()
    train, val = nnx.data.split(nnx.data.digits(), (0.8, 0.2), seed=0)
    for name, optimizer in OPTIMIZERS.items():
        with np.errstate(all="ignore"):
            found = nnx.lr_find(
                network().initialize(0, dtype="float64"), train, optimizer=optimizer, backend=backend, low=1e-5
            )
            numbers.add("range test", name, found.rates, np.minimum(found.smooth, 20.0))
            numbers.add("suggested", name, found.suggested, np.interp(found.suggested, found.rates, found.smooth))
            losses = [
                trained(
                    network(),
                    train,
                    val,
                    backend=backend,
                    optimizer=replace(optimizer, learning_rate=found.suggested * multiple),
                    epochs=10,
                ).history[-1]["val_loss"]
                for multiple in MULTIPLES
            ]
        numbers.add("validation loss", name, MULTIPLES, losses)
    return numbers


def lesson(numbers):
    """The suggestion is the best of its multiples."""
    suggested = {name: numbers["suggested", name][0][0] for name in OPTIMIZERS}
    losses = {name: numbers["validation loss", name][1] for name in OPTIMIZERS}
    assert all(loss.argmin() == MULTIPLES.index(1.0) for loss in losses.values())
    return [
        f"{name}: suggested {suggested[name]:.2g}; validation loss after ten epochs at × "
        + "; ".join(f"{multiple:g}: {loss:.3f}" for multiple, loss in zip(MULTIPLES, losses[name]))
        for name in OPTIMIZERS
    ]


def draw(figure, numbers):
    """The tests left, the trainings right."""
    left, right = figure.subplots(1, 2)
    for index, name in enumerate(OPTIMIZERS):
        look = {"color": COLOURS[index], "linestyle": LINES[index], "label": name}
        left.plot(*numbers["range test", name], **look)
        left.plot(*numbers["suggested", name], color=COLOURS[index], marker=MARKERS[index], markersize=8)
        right.plot(*numbers["validation loss", name], marker=MARKERS[index], **look)
    dress(left, "range test", "learning rate", "smoothed cross-entropy", log="x", legend=True)
    left.set_ylim(0, 3.5)
    dress(
        right,
        "ten epochs at a multiple of the suggestion",
        "multiple of the suggested rate",
        "validation cross-entropy",
        log="xy",
        legend=True,
    )


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 4))
