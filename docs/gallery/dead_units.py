"""Dead ReLUs and saturated units, counted while a network trains.

Left: digits through two hidden layers of 64 ReLU units, by gradient descent at a good rate, a high one and one
that is too high. A unit is dead when it is 0 for every training image: its weights get no gradient and it seldom comes back. Right: the
same network with tanh and sigmoid units, from Xavier's weights and from normal ones of standard deviation 1; a value is saturated
when its derivative is below a twentieth of the largest (tanh beyond ±0.975, sigmoid beyond 0.0127 or 0.9873). Large weights
saturate the units from the start, and training does not take that back.

Source: Glorot and Bengio (2010), section 3; CS231n notes, neural networks, part 1.
"""

import numpy as np
from _gallery import Numbers, dress, plot_lines, show, trained

import nnx

EPOCHS = 15
LOOSE = ("ReLU, rate 2",)  # it flies about: rounding decides where to
DEAD = {"ReLU, rate 0.1": (nnx.ReLU, 0.1), "ReLU, rate 1": (nnx.ReLU, 1.0), "ReLU, rate 2": (nnx.ReLU, 2.0)}
SATURATED = {
    "tanh, normal 1": (nnx.Tanh, nnx.init.normal(1.0)),
    "sigmoid, normal 1": (nnx.Sigmoid, nnx.init.normal(1.0)),
    "tanh, Xavier": (nnx.Tanh, nnx.init.glorot_normal()),
    "sigmoid, Xavier": (nnx.Sigmoid, nnx.init.glorot_normal()),
}


def network(activation, start=None):
    """64 → 64 → 64 → 10."""
    return nnx.Sequential(nnx.Standardize(64), nnx.Linear(64, 64, init=start), activation(), nnx.Linear(64, 64, init=start), activation(),
                          nnx.Linear(64, 10, init=nnx.init.glorot_normal()))  # fmt: skip


def hidden(model, data, kind):
    """The outputs of all hidden units (rows, units), on the host."""
    seen = []

    def note(module, arguments, out):
        if isinstance(module, kind):
            seen.append(nnx.backends.of(out).to_numpy(out))

    with nnx.layers.observing(note):
        nnx.predict(model, data.x, batch_size=len(data))
    return np.concatenate(seen, axis=1)


def dead(h):
    """Share of units that are nowhere above 0."""
    return np.mean(np.all(h <= 0, axis=0))


def saturated(h, kind):
    """Share of values where the derivative is below a twentieth of its largest."""
    slope = 1 - h * h if kind is nnx.Tanh else 4 * h * (1 - h)
    return np.mean(slope < 0.05)


def measure(backend):
    """The shares before training and after each epoch, and the accuracy at the end."""
    numbers = Numbers()
    train, val = nnx.data.split(nnx.data.digits(), (0.8, 0.2), seed=0)
    cases = [("dead units", line, kind, None, rate) for line, (kind, rate) in DEAD.items()]
    cases += [("saturated values", line, kind, start, 0.1) for line, (kind, start) in SATURATED.items()]
    for panel, line, kind, start, rate in cases:
        model, shares = network(kind, start), []

        def note(run, record, panel=panel, kind=kind, shares=shares):
            h = hidden(run.model, train, kind)
            shares.append(dead(h) if panel == "dead units" else saturated(h, kind))

        model.initialize(0, dtype="float64")[0].fit(train.x)
        note(nnx.train.Run(model.to(backend), None, 0, 0, ""), None)
        run = trained(
            model, train, val, backend=backend, optimizer=nnx.optim.SGD(rate), epochs=EPOCHS, callbacks=[note]
        )
        numbers.add(panel, line, np.arange(EPOCHS + 1), shares)
        numbers.add("accuracy", line, EPOCHS, run.history[-1]["val_accuracy"])
    return numbers


def lesson(numbers):
    """A high rate kills, large weights saturate."""
    killed = {line: numbers.value("dead units", line) for line in DEAD}
    at_start = {line: float(numbers["saturated values", line][1][0]) for line in SATURATED}
    accuracy = {line: numbers.value("accuracy", line) for line in (*DEAD, *SATURATED)}
    assert killed["ReLU, rate 0.1"] == 0 < 0.3 < killed["ReLU, rate 2"]
    assert accuracy["ReLU, rate 2"] < 0.3 < 0.9 < accuracy["ReLU, rate 0.1"]
    assert at_start["tanh, normal 1"] > 0.6 > 0.1 > at_start["tanh, Xavier"]
    assert numbers.value("saturated values", "tanh, normal 1") > 0.6
    assert at_start["sigmoid, normal 1"] > 10 * at_start["sigmoid, Xavier"]
    return [
        f"dead after {EPOCHS} epochs: " + "; ".join(f"{line}: {share:.1%}" for line, share in killed.items()),
        f"ReLU, rate 2 after its first epoch: {numbers['dead units', 'ReLU, rate 2'][1][1]:.1%} dead",
        "saturated at the start → end: "
        + "; ".join(
            f"{line}: {share:.1%} → {numbers.value('saturated values', line):.1%}" for line, share in at_start.items()
        ),
        "validation accuracy: " + "; ".join(f"{line}: {value:.3f}" for line, value in accuracy.items()),
    ]


def draw(figure, numbers):
    """Shares over the epochs."""
    for axes, panel, title in zip(
        figure.subplots(1, 2), ("dead units", "saturated values"), ("dead hidden units", "saturated hidden values")
    ):
        plot_lines(axes, numbers, panel)
        dress(axes, title, "epoch", "share")
        axes.legend(frameon=False, loc=(0.55, 0.57) if panel == "dead units" else (0.55, 0.13))
        axes.set_ylim(-0.02, 1)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 3.8))
