"""Symmetry never breaks: units that start alike stay alike, whatever the data.

A network 64 → 16 (tanh) → 10 learns the digits by gradient descent from weights all 0, from weights all 0.1, and from
Xavier's random ones. From zeros no weight ever gets a gradient: only the biases of the output learn the class frequencies. From a
constant all 16 hidden units get the same gradient and remain one unit; random weights are apart from the start. The images are
the incoming weights of the first four hidden units after training.

Source: Goodfellow, Bengio and Courville, Deep Learning (2016), section 8.4.
"""

import numpy as np
from _gallery import Numbers, dress, plot_lines, show, trained

import nnx

STARTS = {
    "zeros": nnx.init.zeros(),
    "constant 0.1": nnx.init.constant(0.1),
    "random (Xavier)": nnx.init.glorot_normal(),
}
EPOCHS, HIDDEN, SHOWN = 20, 16, 4


def measure(backend):
    """Loss of each epoch, how far apart the hidden units are, and the weights of the first units."""
    numbers = Numbers()
    train, val = nnx.data.split(nnx.data.digits(), (0.8, 0.2), seed=0)
    for name, start in STARTS.items():
        model = nnx.Sequential(
            nnx.Standardize(64), nnx.Linear(64, HIDDEN, init=start), nnx.Tanh(), nnx.Linear(HIDDEN, 10, init=start)
        )
        apart = []

        def spread(run, record, apart=apart):
            weight = backend.to_numpy(run.model[1].weight)
            apart.append(float(np.max(np.std(weight, axis=1))))

        run = trained(
            model, train, val, backend=backend, optimizer=nnx.optim.SGD(0.1), epochs=EPOCHS, callbacks=[spread]
        )
        epochs = np.arange(1, EPOCHS + 1)
        numbers.add("training loss", name, epochs, run.curve("loss"))
        numbers.add("spread of the units", name, epochs, apart)
        numbers.add("accuracy", name, EPOCHS, run.history[-1]["val_accuracy"])
        weight = backend.to_numpy(model[1].weight)
        for unit in range(SHOWN):
            numbers.add("weights", f"{name}, unit {unit + 1}", np.arange(64), weight[:, unit])
    return numbers


def lesson(numbers):
    """Units that start alike are alike at the end."""
    spreads = [numbers.value("spread of the units", name) for name in STARTS]
    accuracy = [numbers.value("accuracy", name) for name in STARTS]
    assert spreads[0] == 0.0
    assert spreads[1] < 1e-9 < 0.05 < spreads[2]
    assert abs(numbers.value("training loss", "zeros") - np.log(10)) < 0.01
    assert accuracy[0] < 0.15 < accuracy[1] < 0.6 < 0.9 < accuracy[2]
    return [
        f"largest standard deviation of a weight over the 16 units after {EPOCHS} epochs: zeros {spreads[0]:.1g}, "
        f"constant {spreads[1]:.1g}, random {spreads[2]:.2f}",
        f"validation accuracy: zeros {accuracy[0]:.3f}, constant {accuracy[1]:.3f} (what one unit can do), random {accuracy[2]:.3f}",
        f"training loss from zeros stays at {numbers.value('training loss', 'zeros'):.4f} (ln 10 = {np.log(10):.4f})",
    ]


def draw(figure, numbers):
    """Loss, and the weights of four units for each start."""
    left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
    axes = left.subplots()
    plot_lines(axes, numbers, "training loss")
    dress(axes, "training loss", "epoch", "cross-entropy", legend=True)
    axes.axhline(np.log(10), color="0.5", linewidth=0.8)
    axes.text(EPOCHS, np.log(10) + 0.03, "ln 10", ha="right", fontsize=8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    images = right.subplots(len(STARTS), SHOWN)
    for row, name in enumerate(STARTS):
        for unit in range(SHOWN):
            image = images[row, unit].imshow(
                numbers["weights", f"{name}, unit {unit + 1}"][1].reshape(8, 8), cmap="cividis", vmin=-0.5, vmax=0.5
            )
            images[row, unit].set(xticks=[], yticks=[])
            images[row, unit].set_title(f"unit {unit + 1}" if not row else "", fontsize=8)
        images[row, 0].set_ylabel(name, fontsize=8)
    right.colorbar(image, ax=images, label="weight from each pixel", shrink=0.8)


if __name__ == "__main__":
    show(measure, lesson, draw, size=(9, 4))
